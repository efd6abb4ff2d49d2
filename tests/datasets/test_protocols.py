import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.datasets.protocols import base_to_novel, closed_set, cross_dataset, episodes, few_shot, zero_shot
from framecue.datasets.trials import Protocol, Trial, portable_names, uses
from framecue.errors import DatasetError, UsageError
from framecue.types import Record

COUNTS = {"run": 12, "sit up": 10, "fall": 9, "brush hair": 11, "wave": 8, "Jump": 9}


def data(root: str = "data", split: dict[str, float] | None = None, **counts: int) -> list[Record]:
    """Records in class folders; of each class the first 60 % are train, the rest test, or as `split` says."""
    shares = split or {"train": 0.6, "test": 0.4}
    records = []
    for label, count in (counts or COUNTS).items():
        parts = [part for part, share in shares.items() for _ in range(round(share * count) + 1)]
        records += [
            Record(
                Path(root, label.replace(" ", "_"), f"{label[:2]}{i:03d}.mp4"), label, parts[i], origin=f"{label}:{i}"
            )
            for i in range(count)
        ]
    return records


def names(records: list[Record]) -> list[str]:
    return [f"{record.path.parent.name}/{record.path.name}" for record in records]


def shape(protocol: Protocol) -> list:
    """A protocol without the place of the data."""
    return [
        protocol.name,
        protocol.source_hash,
        protocol.description,
        [
            (t.name, t.seed, t.class_names, t.test_names, {p: names(r) for p, r in uses(t).items()})
            for t in protocol.trials
        ],
    ]


LABELS = sorted(COUNTS)
DRAWS = {
    "closed_set": lambda records, seed: closed_set(records, val_fraction=0.2, seeds=(seed, seed + 1)),
    "episodes": lambda records, seed: episodes(records, ways=3, shots=2, count=5, seed=seed),
    "few_shot": lambda records, seed: few_shot(records, shots=2, draws=3, seed=seed),
    "zero_shot": lambda records, seed: zero_shot(
        records, train_classes=LABELS[:4], test_classes=LABELS[4:], val_fraction=0.2, seeds=(seed,)
    ),
    "base_to_novel": lambda records, seed: base_to_novel(records, shots=2, seeds=(seed, seed + 1), seed=seed),
    "cross_dataset": lambda records, seed: cross_dataset(
        records, data("other", a=4, run=4, c=4, d=4, e=4), val_fraction=0.2, seeds=(seed,), halves=3, seed=seed
    ),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@every_draw
def test_neither_order_nor_place_matters(draw):
    here = data()
    shuffled = random.Random(1).sample(here, len(here))
    assert shape(draw(here, 3)) == shape(draw(shuffled, 3)) == shape(draw(data("/mnt/elsewhere/x"), 3))


@pytest.mark.parametrize("draw", [DRAWS["episodes"], DRAWS["few_shot"], DRAWS["base_to_novel"]])
def test_nor_does_the_layout_or_the_kind_of_file(draw):
    flat = [Record(Path("v", record.path.with_suffix(".avi").name), record.label, record.split) for record in data()]
    assert draw(flat, 3).source_hash == draw(data(), 3).source_hash


@every_draw
def test_seed_matters(draw):
    first, second = draw(data(), 3), draw(data(), 4)
    assert first.source_hash != second.source_hash


@every_draw
def test_parts_are_disjoint_and_named(draw):
    for trial in draw(data(), 0).trials:
        train, val = set(trial.train), set(trial.val)
        tested = {record for records in trial.tests.values() for record in records}
        assert train
        assert tested
        assert not train & val
        assert not (train | val) & tested
        assert {record.label for record in trial.train} == set(trial.class_names)
        assert {record.label for record in trial.val} <= set(trial.class_names)
        assert list(trial.class_names) == sorted(trial.class_names)
        for part, records in trial.tests.items():
            assert list(trial.test_names[part]) == sorted(trial.test_names[part])
            assert {record.label for record in records} <= set(trial.test_names[part])


def test_draws_are_pinned():
    """Guards published runs: the same seed must give the same lists in every later version."""
    first = episodes(data(), ways=2, shots=1, count=1).trials[0]
    assert (first.class_names, names(first.train)) == (("brush hair", "run"), PINNED_EPISODE)
    assert names(few_shot(data(run=5, sit=5), shots=2, draws=1).trials[0].train) == PINNED_DRAW


PINNED_EPISODE = ["brush_hair/br000.mp4", "run/ru000.mp4"]
PINNED_DRAW = ["run/ru002.mp4", "run/ru003.mp4", "sit/si002.mp4", "sit/si003.mp4"]


counts_of_classes = st.dictionaries(
    st.sampled_from(["run", "sit up", "Fall", "jump", "wave"]), st.integers(1, 14), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(counts_of_classes, st.integers(1, 5), st.integers(1, 4), st.integers(0, 5))
def test_laws_of_episodes(counts, ways, shots, seed):
    records = data(**counts)
    if ways > len(counts) or min(counts.values()) <= shots:
        with pytest.raises(DatasetError, match=r"need|needs"):
            episodes(records, ways=ways, shots=shots, count=3, seed=seed)
        return
    protocol = episodes(records, ways=ways, shots=shots, count=3, seed=seed)
    assert [trial.name for trial in protocol.trials] == ["episode 0", "episode 1", "episode 2"]
    assert len({trial.seed for trial in protocol.trials}) == 3
    for trial in protocol.trials:
        assert Counter(record.label for record in trial.train) == dict.fromkeys(trial.class_names, shots)
        assert len(trial.class_names) == ways
        whole = {record for record in records if record.label in trial.class_names}
        assert {*trial.train, *trial.tests["test"]} == whole
        assert len(trial.train) + len(trial.tests["test"]) == len(whole)
        assert trial.val == []


@settings(max_examples=60, deadline=None)
@given(counts_of_classes, st.integers(1, 6), st.integers(0, 5))
def test_laws_of_few_shot(counts, shots, seed):
    records = data(**{label: count + 3 for label, count in counts.items()})
    train = Counter(record.label for record in records if record.split == "train")
    if min(train.values()) < shots:
        with pytest.raises(DatasetError, match=f"A {shots}-shot training needs {shots} videos of each class"):
            few_shot(records, shots=shots, draws=2, seed=seed)
        return
    for number, trial in enumerate(few_shot(records, shots=shots, draws=2, seed=seed).trials):
        assert Counter(record.label for record in trial.train) == dict.fromkeys(counts, shots)
        assert {record.split for record in trial.train} == {"train"}
        assert set(trial.tests["test"]) == {record for record in records if record.split == "test"}
        if shots > 1:
            fewer = few_shot(records, shots=shots - 1, draws=2, seed=seed).trials[number]
            assert set(fewer.train) < set(trial.train)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(0, 5), st.booleans())
def test_laws_of_base_to_novel(shots, seed, all_shots):
    records = data(**{label: count + 3 for label, count in COUNTS.items()})
    protocol = base_to_novel(records, shots=None if all_shots else shots, val_fraction=0.2, seed=seed)
    assert [trial.seed for trial in protocol.trials] == [0, 1, 2]
    assert len({(trial.class_names, trial.test_names["novel"]) for trial in protocol.trials}) == 1
    for trial in protocol.trials:
        assert [*trial.tests] == ["base", "novel"]
        base, novel = trial.test_names["base"], trial.test_names["novel"]
        assert base == trial.class_names
        assert sorted(base + novel) == sorted(COUNTS)
        assert len(base) == len(novel) == 3
        assert {r.label for r in trial.tests["base"]} == set(base)
        assert {r.label for r in trial.tests["novel"]} == set(novel)
        assert {r.split for part in trial.tests.values() for r in part} == {"test"}
        assert {r.split for r in trial.train + trial.val} == {"train"}
        if not all_shots:
            assert Counter(r.label for r in trial.train) == dict.fromkeys(base, shots)
            assert max(Counter(r.label for r in trial.val).values()) <= shots
        assert {r.label for r in trial.val} == set(base)


def test_episodes_draw_from_their_pool():
    pool = ["Brush_Hair", "jump", "wave"]
    protocol = episodes(data(), ways=2, shots=3, count=30, pool=pool)
    assert protocol.name == "few-shot-2-way-3-shot"
    assert {name for trial in protocol.trials for name in trial.class_names} == {"brush hair", "Jump", "wave"}
    assert len({trial.class_names for trial in protocol.trials}) == 3
    assert "drawn from 3" in protocol.description


def test_more_episodes_begin_with_the_fewer():
    assert episodes(data(), ways=2, count=9).trials[:4] == episodes(data(), ways=2, count=4).trials


def test_closed_set():
    protocol = closed_set(data(), val_fraction=0.2, seeds=(0, 1))
    first, second = protocol.trials
    assert (protocol.name, first.name, first.seed) == ("closed-set", "seed 0", 0)
    assert first.class_names == first.test_names["test"] == tuple(sorted(COUNTS))
    assert sorted(first.train + first.val, key=str) == sorted(second.train + second.val, key=str)
    assert first.val != second.val
    assert protocol.source == "the data's own parts, 0.2 of train drawn for validation by the seed of the trial"


def test_a_val_part_chooses_where_there_is_a_test_part_and_is_tested_where_there_is_none():
    with_val = data(split={"train": 0.4, "val": 0.1, "test": 0.5})
    trial = closed_set(with_val).trials[0]
    assert {record.split for record in trial.val} == {"val"}
    assert {record.split for record in trial.tests["test"]} == {"test"}
    kinetics = data(split={"train": 0.6, "val": 0.4})
    trial = closed_set(kinetics).trials[0]
    assert {record.split for record in trial.val} == {"train"}
    assert {record.split for record in trial.tests["test"]} == {"val"}
    few = base_to_novel(with_val, shots=2).trials[0]
    assert {record.split for record in few.val} == {"val"}
    assert max(Counter(record.label for record in few.val).values()) <= 2
    crossed = cross_dataset(kinetics, data("x"), halves=0).trials[0]
    assert {record.split for record in crossed.val} == {"train"}


def test_zero_shot():
    protocol = zero_shot(data(), train_classes=["RUN", "sit_up", "fall"], test_classes=["wave", "jump"])
    trial = protocol.trials[0]
    assert trial.class_names == ("fall", "run", "sit up")
    assert trial.test_names == {"test": ("Jump", "wave")}
    assert {record.split for record in trial.tests["test"]} == {"test"}
    without_parts = [Record(record.path, record.label) for record in data()]
    trial = zero_shot(without_parts, train_classes=["run", "fall"], test_classes=["wave"]).trials[0]
    assert len(trial.tests["test"]) == COUNTS["wave"]


def test_base_and_novel_of_lists():
    both = base_to_novel(data(), base=["run", "wave"], novel=["Fall"], shots=2).trials[0]
    assert (both.class_names, both.test_names["novel"]) == (("run", "wave"), ("fall",))
    base = base_to_novel(data(), base=["run", "wave"], shots=2)
    assert base.trials[0].test_names["novel"] == ("Jump", "brush hair", "fall", "sit up")
    assert "base classes as listed, novel all others" in base.description
    novel = base_to_novel(data(), novel=["run", "wave"], shots=2)
    assert novel.trials[0].class_names == ("Jump", "brush hair", "fall", "sit up")


def test_validation_prefers_other_sources():
    groups = [
        Record(Path(f"{c}/v_{c}_g{g:02d}_c{i:02d}.avi"), c, "train") for c in "AB" for g in range(6) for i in range(4)
    ]
    tests = [Record(Path(f"{c}/v_{c}_g99_c01.avi"), c, "test") for c in "AB"]
    for trial in base_to_novel(groups + tests, shots=3, seeds=range(8)).trials:
        sources = [{record.path.stem[:7] for record in part} for part in (trial.train, trial.val)]
        assert len(trial.val) == 3
        assert not sources[0] & sources[1]


def test_validation_is_what_the_shots_leave():
    for trial in base_to_novel(data(run=5, sit=5), shots=3).trials:
        assert (len(trial.train), len(trial.val)) == (3, 1)


def test_cross_dataset():
    other = data("other", a=4, Run=4, c_d=4, d=4, e=4)
    protocol = cross_dataset(data(), other, halves=10)
    trial = protocol.trials[0]
    assert [*trial.tests] == ["full", *(f"half {i}" for i in range(10))]
    assert trial.test_names["full"] == ("Run", "a", "c_d", "d", "e")
    assert {record.path.parts[0] for record in trial.tests["full"]} == {"other"}
    halves = [trial.test_names[f"half {i}"] for i in range(10)]
    assert {len(half) for half in halves} == {2}
    assert len(set(halves)) > 3
    assert "1 of these names are training names too (Run)" in protocol.description
    assert "no name is shared" in cross_dataset(data(), data("x", a=4, b=4, c=4, d=4)).description
    unparted = [Record(record.path, record.label) for record in other]
    assert len(cross_dataset(data(), unparted, halves=0).trials[0].tests["full"]) == 20


def test_equal_names_in_two_parts_are_told_apart():
    records = [Record(Path(f"w/{part}/run/{i}.mp4"), "run", part) for part in ("train", "test") for i in range(4)]
    assert portable_names(records)[records[0]] == "train/run/0"
    assert portable_names(records[:4])[records[0]] == "run/0"
    trial = episodes(records, ways=1, shots=3, count=1).trials[0]
    assert len(trial.tests["test"]) == 5


def test_parts_of_one_file_have_names_of_their_own():
    records = [Record(Path("k/run/abc.mp4"), "run", None, float(i), i + 10.0) for i in (0, 48)]
    records.append(Record(Path("k/run/abc.mp4"), "run", None, 1.5, None))
    assert [*portable_names(records).values()] == ["run/abc_000000_000010", "run/abc_000048_000058", "run/abc_1.5_inf"]


RUNS = [Record(Path(f"d/run/{i}.mp4"), "run", "train", origin=f"m.csv:{i + 2}") for i in range(3)]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: episodes(data(), ways=7), "7-way episodes need 7 classes, the pool has 6. Ask for fewer ways."),
        (
            lambda: episodes(data(), ways=2, shots=9),
            "A 9-shot episode with queries needs 10 videos of each class, 'Jump' has 9, 'fall' has 9, 'wave' has 8. "
            "Ask for fewer shots.",
        ),
        (lambda: episodes(data(), pool=["runn"]), "pool: no class 'runn' in the data; did you mean 'run'?"),
        (lambda: episodes(data(), pool=[]), "pool names no classes. Name at least one."),
        (lambda: few_shot(data(run=9, sit=5), shots=5), "A 5-shot training needs 5 videos of each class, 'sit' has "),
        (lambda: few_shot(RUNS, shots=1), "The data has no test part to measure on."),
        (lambda: closed_set([*RUNS, Record(Path("x.mp4"), "sit", "test")]), "that are not among its 1 names: sit."),
        (lambda: closed_set([]), "No videos to draw from."),
        (lambda: closed_set([*RUNS, RUNS[0].__class__(RUNS[0].path, "run", "test", origin="m.csv:9")]), "m.csv:9: "),
        (
            lambda: closed_set([*RUNS, Record(Path("x.mp4"), "Run", origin="m.csv:7")]),
            "class 'run' and 'Run'|class 'Run' and 'run'",
        ),
        (lambda: closed_set([*RUNS, Record(Path("x.mp4"), None, origin="m.csv:7")]), "m.csv:7: x.mp4 has no label"),
        (
            lambda: zero_shot(data(), train_classes=["run", "Wave"], test_classes=["wave"]),
            "test_classes: class 'wave' is in the train and test class lists both ('wave', train_classes).",
        ),
        (
            lambda: zero_shot(data(), train_classes=["run", "RUN"], test_classes=["wave"]),
            "train_classes: class 'RUN' is named twice.",
        ),
        (
            lambda: zero_shot([*RUNS, *data(sit=9)], train_classes=["sit"], test_classes=["run"]),
            "test_classes: 1 of the 1 classes have no test videos in the data (run).",
        ),
        (lambda: base_to_novel(data(), base=LABELS), "All 6 classes are base. Leave some for the other part."),
        (lambda: base_to_novel(data(), base=["run"], novel=["run"]), "is in the base and novel lists both"),
        (lambda: base_to_novel(data(), shots=9), "A 9-shot training needs 9 videos of each class"),
        (lambda: cross_dataset(data(), data("o", a=6, b=6)), "Halves need at least 4 test classes, found 2."),
        (
            lambda: cross_dataset(data(), data(split={"test": 1}), halves=0),
            "and in the full part of seed 0. Keep it in one.",
        ),
    ],
)
def test_refused_in_one_line(call, said):
    with pytest.raises(DatasetError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert any(text in str(caught.value) for text in said.split("|"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: episodes(data(), shots=0), "shots must be at least 1, found 0."),
        (lambda: few_shot(data(), shots=1, draws=-1), "draws must be at least 1, found -1."),
        (lambda: closed_set(data(), seeds=()), "seeds must be different numbers, at least one, found []."),
        (lambda: closed_set(data(), seeds=(1, 1)), "seeds must be different numbers, at least one, found [1, 1]."),
        (lambda: cross_dataset(data(), data("o"), halves=-1), "halves must be at least 0, found -1."),
    ],
)
def test_senseless_options(call, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        call()


def test_trial_refuses_a_part_without_names():
    with pytest.raises(ValueError, match="the same parts"):
        Trial("seed 0", 0, RUNS, [], ("run",), {"test": RUNS}, {})
    with pytest.raises(DatasetError, match=r"The test part of seed 0 has no videos"):
        Trial("seed 0", 0, RUNS, [], ("run",), {"test": []}, {"test": ("run",)})
