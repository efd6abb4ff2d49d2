import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.datasets.official import read_hmdb51, read_ucf101
from framecue.datasets.splits import (
    Unit,
    draw_part,
    held_out_classes,
    hmdb_group,
    partition,
    small_part_notes,
    source_group,
    split_validation,
    ucf_group,
)
from framecue.errors import DatasetError
from framecue.types import Record

ANNOTATIONS = Path(__file__).parents[2] / ".." / "shared" / "data" / "annotations"


def videos(**counts: int) -> list[Record]:
    return [Record(Path(f"data/{label}/{i:03d}.mp4"), label) for label, count in counts.items() for i in range(count)]


def labels(records: list[Record]) -> Counter:
    return Counter(record.label for record in records)


def test_each_class_gives_its_part():
    train, val = split_validation(videos(run=20, sit=10, fall=2, once=1), 0.1, seed=0)
    assert labels(val) == {"run": 2, "sit": 1}
    assert labels(train) == {"run": 18, "sit": 9, "fall": 2, "once": 1}


@pytest.mark.parametrize("number", [10, 40, 500, 5000])
def test_parts_have_the_size_asked_for(number):
    """For every seed, of few and of many classes, alone and one after the other, whatever may be in a unit."""
    for seed in range(10):
        for classes in {2, number // 2} if seed < 2 or number < 5000 else {number // 10}:
            records = [Record(Path(f"{i % classes}/{i}.mp4"), str(i % classes)) for i in range(number)]
            assert len(split_validation(records, 0.1, seed)[1]) == max(1, number // 10)
        units = [Unit(f"v{i}", {"": 1}) for i in range(number)]
        test = draw_part(units, 0.2, seed=seed, purpose="test")
        val = draw_part([unit for unit in units if unit.name not in test], 0.1, seed=seed, purpose="val")
        assert (len(test), abs(len(val) - 0.08 * number) <= 0.5) == (number // 5, True)
        grouped = [Record(Path(f"v/{i}.mp4"), "ab"[i % 2], origin=str(i // 7)) for i in range(number)]
        if number > 14:
            _, val = split_validation(grouped, 0.3, seed, group=lambda record: record.origin)
            assert abs(len(val) - 0.3 * number) <= 7


def test_draws_for_two_purposes_are_independent():
    units = [Unit(str(i), {"": 1}) for i in range(1000)]
    first, second = (draw_part(units, 0.3, seed=0, purpose=purpose) for purpose in ("test", "val"))
    assert 60 < len(first & second) < 120


def test_a_unit_added_moves_few_others():
    drawn = [draw_part([Unit(str(i), {"": 1}) for i in range(n)], 0.2, seed=0, purpose="val") for n in (1000, 1001)]
    assert len(drawn[0] ^ drawn[1]) <= 2


def test_zero_fraction_gives_nothing():
    train, val = split_validation(videos(run=5, sit=5), 0.0, seed=0)
    assert (len(train), val) == (10, [])


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match=r"fraction must be in \[0, 1\)"):
        split_validation([], fraction, seed=0)


def test_seed_decides_and_order_does_not():
    records = videos(run=30, sit=30)
    shuffled = random.Random(1).sample(records, len(records))
    assert split_validation(records, 0.2, seed=3) == split_validation(shuffled, 0.2, seed=3)
    assert split_validation(records, 0.2, seed=3) != split_validation(records, 0.2, seed=4)


def test_draws_do_not_depend_on_where_the_data_lies():
    here = videos(run=30, sit=30)
    there = [Record(Path("/mnt/other") / record.path, record.label) for record in here]
    names = [[record.path.name for record in split_validation(records, 0.2, seed=0)[1]] for records in (here, there)]
    assert names[0] == names[1]


def test_draws_are_pinned():
    """Guards resumed and published runs: the same seed must give the same parts in every later version."""
    _, val = split_validation(videos(run=10, sit=10), 0.2, seed=0)
    assert [record.path.as_posix() for record in val] == PINNED


PINNED = ["data/run/000.mp4", "data/run/007.mp4", "data/sit/002.mp4", "data/sit/005.mp4"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=60),
    st.floats(0, 0.9),
    st.integers(0, 5),
)
def test_laws(drawn, fraction, seed):
    records = [Record(Path(f"{label}/{i}.mp4"), label, origin=str(group)) for i, (label, group) in enumerate(drawn)]
    group = lambda record: record.origin  # noqa: E731
    train, val = split_validation(records, fraction, seed, group=group)
    assert sorted(record.path for record in train + val) == sorted(record.path for record in records)
    assert not {group(record) for record in train} & {group(record) for record in val}
    assert set(labels(train)) == set(labels(records))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 40), min_size=1), st.floats(0.01, 0.9), st.integers(0, 5)
)
def test_without_groups_classes_are_in_proportion(counts, fraction, seed):
    _, val = split_validation(videos(**counts), fraction, seed)
    total = sum(counts.values())
    aim = max(1, int(fraction * total + 0.5))
    assert len(val) == min(aim, total - len(counts))
    if all(count - 1 > aim * count / total for count in counts.values()):
        assert all(abs(labels(val)[label] - aim * count / total) < 1 for label, count in counts.items())


def test_parts_of_one_video_stay_together():
    records = [Record(Path(f"v/{i // 4}.mp4"), "ab"[i % 2], start_seconds=float(i)) for i in range(80)]
    train, val = split_validation(records, 0.2, seed=0)
    assert val
    assert not {record.path for record in train} & {record.path for record in val}


def test_class_of_one_group_stays_in_train():
    records = [Record(Path(f"PushUps/v_PushUps_g01_c{i:02d}.avi"), "push ups") for i in range(5)]
    assert split_validation(records, 0.2, seed=0)[1] == []


def test_groups_of_names():
    assert ucf_group("x/v_PushUps_g01_c02.avi") == "v_PushUps_g01"
    assert ucf_group("x/jump_g01_c02.avi") is None
    assert hmdb_group("April_09_brush_hair_u_nm_np1_ba_goo_0.avi") == "April_09_brush_hair"
    assert hmdb_group("prelinger_wave_u_cm_np10_ba_med_2.avi") == "prelinger_wave"
    assert hmdb_group("holiday_2.mp4") is None
    assert source_group(Record(Path("/a/b/c/jump/1.mp4"), "jump")) == "jump/1.mp4"


@pytest.mark.parametrize(("name", "read"), [("hmdb51", read_hmdb51), ("ucf101", read_ucf101)])
def test_official_splits_do_not_tear_our_groups(name, read):
    if not (ANNOTATIONS / name).is_dir():
        pytest.skip(f"no {ANNOTATIONS / name}: the real annotation files are not on this machine")
    parts = partition(read(Path("v"), ANNOTATIONS / name), val_fraction=0.1, seed=0)
    train, val, test = ({source_group(record) for record in part} for part in (parts.train, parts.val, parts.test))
    assert train & test == train & val == val & test == set()
    assert set(labels(parts.val)) == set(labels(parts.train)) == set(labels(parts.test))
    assert 0.09 < len(parts.val) / (len(parts.train) + len(parts.val)) < 0.12


def test_partition_takes_validation_from_train_only_when_there_is_none():
    train, test = videos(run=10, sit=10), [Record(Path("t/a.mp4"), "run", "test")]
    parts = partition(train + test, val_fraction=0.1, seed=0)
    assert (len(parts.train), len(parts.val), parts.test) == (18, 2, test)
    val = [Record(Path("w/a.mp4"), "run", "val")]
    parts = partition(train + test + val, val_fraction=0.1, seed=0)
    assert (len(parts.train), parts.val, parts.test) == (20, val, test)


def test_held_out_classes():
    records = videos(brush_hair=1, run=2, sit=1)
    seen, novel = held_out_classes(records, ["Brush hair", "sit"])
    assert (labels(seen), labels(novel)) == ({"run": 2}, {"brush_hair": 1, "sit": 1})
    assert held_out_classes(records, []) == (records, [])
    with pytest.raises(DatasetError, match=r"data\.held_out: no class 'runn' in the data; did you mean 'run'\?"):
        held_out_classes(records, ["runn"])
    with pytest.raises(DatasetError, match=r"names all 3 classes"):
        held_out_classes(records, ["run", "sit", "brush_hair"])


def test_parts_too_small_for_their_purpose_are_told():
    assert small_part_notes(val=0, test=0) == small_part_notes(val=10, test=30) == []
    assert small_part_notes(val=4, test=1) == [
        "The val part holds 4 videos, too few to choose weights by (at least 10): one video is 25 points. Add videos "
        "to it.",
        "The test part holds 1 video, too few for figures to rest on (at least 30): one video is 100 points. Add "
        "videos to it.",
    ]
