"""What a table is made of, from files on disk to protocols: official splits, pools, class lists, the reported part."""

from pathlib import Path

import pytest

from framecue.config import RunConfig, build_config
from framecue.datasets.protocols import closed_set
from framecue.datasets.records import load_data
from framecue.errors import DatasetError
from framecue.tasks.recognition_data import part_records
from framecue.training.table_data import load_table_data
from framecue.training.table_rows import TableOptions, build_protocols
from framecue.training.table_trials import spread

CLASSES = ("ApplyEyeMakeup", "Archery", "BabyCrawling", "Punch")
GROUPS = 9  # sources of each class, of which an official split tests three


def ucf(folder: Path, splits: tuple[int, ...] = (1, 2, 3)) -> Path:
    """A data set in the form of UCF-101, whose videos nobody opens; split N tests groups N, N + 3 and N + 6."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "classInd.txt").write_text(
        "".join(f"{number} {name}\n" for number, name in enumerate(CLASSES, 1))
    )
    names = {
        (name, group): f"{name}/v_{name}_g{group:02d}_c01.avi" for name in CLASSES for group in range(1, GROUPS + 1)
    }
    for file in names.values():
        (folder / "videos" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / file).touch()
    for split in splits:
        for part, tested in (("train", False), ("test", True)):
            lines = [file for (_, group), file in names.items() if (group % 3 == split % 3) == tested]
            (folder / "annotations" / f"{part}list{split:02d}.txt").write_text("\n".join(lines) + "\n")
    return folder


def kinetics(folder: Path, classes: tuple[str, ...], parts: dict[str, int]) -> Path:
    """A data set in the form of Kinetics, so many clips a class and part."""
    (folder / "videos").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for part, count in parts.items():
        lines = ["label,youtube_id,time_start,time_end,split"]
        for name in classes:
            for number in range(count):
                video = f"{part}{classes.index(name):03d}{number:05d}"
                lines.append(f"{name},{video},0,10,{part}")
                (folder / "videos" / f"{video}_000000_000010.mp4").touch()
        (folder / "annotations" / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


def config_of(folder: Path, format: str, **data: object) -> RunConfig:
    source = {"source": str(folder / "videos"), "annotations": str(folder / "annotations"), "format": format}
    return build_config({"data": source | data, "out": str(folder / "out")}, name="test")


def protocols(table: str, config: RunConfig, options: TableOptions, dataset: str, other: RunConfig | None = None):
    data = load_table_data(table, config.data, other and other.data)
    return data, build_protocols(table, data, config, options, dataset=dataset)


def test_ucf_is_trained_and_tested_on_each_official_split(tmp_path):
    config = config_of(ucf(tmp_path), "auto")
    data, (protocol,) = protocols("closed-set", config, TableOptions(), "ucf101")
    assert data.measured_splits == [1, 2, 3]
    assert [(trial.name, trial.split) for trial in protocol.trials] == [
        ("split 1 seed 0", 1),
        ("split 2 seed 0", 2),
        ("split 3 seed 0", 3),
    ]
    for number, trial in enumerate(protocol.trials, 1):
        alone = closed_set(data.by_split[number]).trials[0]
        assert (trial.train, trial.val, trial.tests) == (alone.train, alone.val, alone.tests)
        assert len(trial.tests["test"]) == 12
        assert {record.split for record in trial.val} == {"train"}
    tested = [record.path for trial in protocol.trials for record in trial.tests["test"]]
    assert len(set(tested)) == len(tested) == 36
    assert "mean over the official splits 1, 2 and 3" in protocol.description


def test_one_split_alone_is_one_table_as_before(tmp_path):
    config = config_of(ucf(tmp_path, (2,)), "ucf101", split=2)
    data, (protocol,) = protocols("closed-set", config, TableOptions(seeds=(0, 1)), "ucf101")
    assert data.measured_splits == [2]
    assert [(trial.name, trial.split) for trial in protocol.trials] == [("seed 0", None), ("seed 1", None)]
    with pytest.raises(DatasetError, match=r"split 1 .*To measure one official split alone, say data\.split=1\."):
        protocols("closed-set", config_of(tmp_path, "ucf101"), TableOptions(), "ucf101")


def test_other_tables_take_the_split_of_the_config(tmp_path):
    ucf(tmp_path)
    data, _ = protocols("few-shot", config_of(tmp_path, "ucf101"), TableOptions(shots=(1,), draws=1), "ucf101")
    assert data.measured_splits == [1]


def test_a_second_data_set_is_tested_on_each_official_split(tmp_path):
    train = kinetics(tmp_path / "k", ("running", "walking"), {"train": 3, "val": 1})
    other = config_of(ucf(tmp_path / "ucf"), "ucf101")
    data, (protocol,) = protocols("cross-dataset", config_of(train, "kinetics"), TableOptions(), "kinetics400", other)
    assert data.measured_splits == [1, 2, 3]
    (trial, *_) = protocol.trials
    full = {name: {record.path for record in part} for name, part in trial.tests.items() if name.startswith("full")}
    assert {name: len(part) for name, part in full.items()} == {f"full split {number}": 12 for number in (1, 2, 3)}
    assert len(set.union(*full.values())) == 36
    assert len(trial.tests) == 3 + 3 * 10
    assert "12, 12 and 12 videos of another data set" in protocol.description


def test_the_spread_is_over_splits_and_each_split_counts_once():
    found = spread([0.5, 0.7, 0.6, 0.8, 0.9, 0.7], [1, 1, 2, 2, 3, 3])
    assert found["values"] == pytest.approx([0.6, 0.7, 0.8])
    assert (found["n"], found["over"], found["mean"]) == (3, "splits", pytest.approx(0.7))
    assert found["std"] == pytest.approx(0.1)
    assert spread([0.5] * 40, [1, 2] * 20)["n"] == 2  # however often each was trained


def test_few_shot_has_the_papers_k(tmp_path):
    config = config_of(kinetics(tmp_path, ("running", "walking"), {"train": 16, "val": 1}), "kinetics")
    _, made = protocols("few-shot", config, TableOptions(draws=1), "kinetics400")
    assert [protocol.name.split("-")[4] for protocol in made] == ["1", "2", "4", "5", "8", "16"]


POOL = ("apply eye makeup", "archery", "punch")


@pytest.mark.parametrize("form", ["file", "folder"])
def test_episodes_are_drawn_from_the_pool_that_is_asked_for(tmp_path, form):
    pool = tmp_path / "pool"
    if form == "file":
        pool.write_text("ApplyEyeMakeup\nArchery\npunch\nbaby_crawling\nRun\n")
    else:
        (pool / "train").mkdir(parents=True)
        lines = [
            f"{name}/{i}\n" for name in ("ApplyEyeMakeup", "Archery", "Punch", "run", "BabyCrawling") for i in "ab"
        ]
        (pool / "train" / "split_0.list").write_text("".join(lines))
    classes = (*POOL, "baby crawling", "run", "never drawn", "nor this")
    config = config_of(kinetics(tmp_path / "data", classes, {"train": 7}), "kinetics")
    _, (protocol,) = protocols("few-shot-5-way", config, TableOptions(episodes=4, pool=pool), "kinetics400")
    drawn = {name for trial in protocol.trials for name in trial.class_names}
    assert drawn == {*POOL, "baby crawling", "run"}
    assert protocol.source == f"drawn from seed 0, classes of {pool}"


def test_a_named_data_set_has_its_published_pool(tmp_path):
    classes = ("fencing", "kick", "kick_ball", "pick", "pour", "pushup", "run", "sit", "smoke", "talk", "wave", "jump")
    data = tmp_path / "manifest.csv"
    for name in classes:
        for number in range(6):
            (tmp_path / f"{name}{number}.mp4").touch()
    lines = [f"{name}{number}.mp4,{name},train" for name in classes for number in range(6)]
    data.write_text("path,label,split\n" + "\n".join(lines) + "\n")
    config = build_config({"data": {"source": str(data)}, "out": str(tmp_path / "out")}, name="test")
    for dataset, said, number in (("hmdb51", ", classes of the published pool of hmdb51", 10), ("mine", "", 12)):
        _, (protocol,) = protocols("few-shot-5-way", config, TableOptions(), dataset)
        assert protocol.source == f"drawn from seed 0{said}"
        assert len({name for trial in protocol.trials for name in trial.class_names}) == number
    assert len(protocol.trials) == 200


def test_zero_shot_reads_the_authors_lists_by_name_in_any_order(tmp_path):
    classes = ("Abseiling", "air drumming", "zumba", "yoga-pose")
    config = config_of(kinetics(tmp_path / "data", classes, {"train": 10, "val": 2}), "kinetics")
    lists = tmp_path / "K700"
    lists.mkdir()
    (lists / "train.list").write_text("zumba\nair_drumming\n")
    (lists / "test.list").write_text("Yoga pose\nabseiling\n")
    _, (protocol,) = protocols("zero-shot", config, TableOptions(seeds=(0,), splits=lists), "kinetics700")
    (trial,) = protocol.trials
    assert trial.class_names == ("air drumming", "zumba")
    assert trial.test_names == {"test": ("Abseiling", "yoga-pose")}
    assert {record.path.name[:3] for record in trial.tests["test"]} == {"val"}
    assert {record.path.name[:5] for record in [*trial.train, *trial.val]} == {"train"}
    (lists / "test.list").write_text("yoga posing\n")
    with pytest.raises(DatasetError, match=r"test\.list:1: no class 'yoga posing' in the data; did you mean"):
        protocols("zero-shot", config, TableOptions(splits=lists), "kinetics700")


def test_the_validation_part_of_kinetics_is_reported_and_chooses_nothing(tmp_path):
    config = config_of(kinetics(tmp_path, ("running", "walking"), {"train": 10, "val": 3}), "kinetics")
    parts = part_records(config, load_data(config.data)[0])
    _, (protocol,) = protocols("closed-set", config, TableOptions(seeds=(0,)), "kinetics400")
    for train, val, test in ((parts.train, parts.val, parts.test), _trial_parts(protocol)):
        assert {record.path.name[:3] for record in test} == {"val"}
        assert len(test) == 6
        assert val
        assert {record.path.name[:5] for record in [*train, *val]} == {"train"}
        assert len(train) + len(val) == 20


def test_where_kinetics_has_a_labelled_test_part_that_is_reported(tmp_path):
    config = config_of(kinetics(tmp_path, ("running", "walking"), {"train": 10, "val": 3, "test": 2}), "kinetics")
    parts = part_records(config, load_data(config.data)[0])
    assert {record.path.name[:4] for record in parts.test} == {"test"}
    assert {record.path.name[:3] for record in parts.val} == {"val"}


def _trial_parts(protocol):
    (trial,) = protocol.trials
    return trial.train, trial.val, trial.tests["test"]
