"""The published split files against method.md 2.5, and our reading of them against the official lists."""

import tarfile
from collections import Counter
from pathlib import Path

import pytest

from framecue.datasets.class_lists import find_classes, read_class_list
from framecue.datasets.naming import class_key
from framecue.datasets.official import read_hmdb51, read_ucf101
from framecue.datasets.pools import published_pool, read_pool
from framecue.datasets.protocols import episodes, few_shot, zero_shot
from framecue.datasets.split_files import base_to_novel_from_lists, episodes_from_lists, few_shot_from_lists
from framecue.datasets.trials import portable_names
from framecue.datasets.video_lists import read_video_list
from framecue.errors import DatasetError
from framecue.types import Record

ANNOTATIONS = Path(__file__).parents[2] / ".." / "shared" / "data" / "annotations"
AUTHORS = ANNOTATIONS / "efficient_prompt"
VIFI_LISTS, VIFI_LABELS = ANNOTATIONS / "vificlip_splits", ANNOTATIONS / "vificlip_labels"

pytestmark = pytest.mark.skipif(
    not AUTHORS.is_dir(), reason=f"no {AUTHORS}: the real annotation files are not on this machine"
)

POOLS = {"HMDB-51": "hmdb51", "UCF-101": "ucf101", "K-400": "kinetics400"}
"""The data sets of the published pools by the authors' names of them."""

SETS = ("HMDB-51", "UCF-101", "K-400")


@pytest.fixture(scope="module")
def episode_lists(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("episodes")
    with tarfile.open(AUTHORS / "5-Shot-5-Way_all_episodes.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "datasplits" / "Few-shot Action Recognition" / "5-Shot-5-Way setting"


def official(name: str) -> list[Record]:
    """HMDB-51 or UCF-101 by its official lists; Kinetics' full list is not here, so the authors' lists stand for it."""
    if name == "HMDB-51":
        return read_hmdb51(Path("hmdb"), ANNOTATIONS / "hmdb51")
    return read_ucf101(Path("ucf"), ANNOTATIONS / "ucf101")


def named(lists: list[Path], part: str | None = None) -> list[Record]:
    """A record for each video that the lists name."""
    videos = {(video.group, video.stem) for path in lists for video in read_video_list(path)}
    return [Record(Path("k400", group, f"{stem}.mp4"), group, part) for group, stem in sorted(videos)]


def records_of(name: str, folder: Path) -> list[Record]:
    return named(sorted(folder.rglob("*.list"))) if name == "K-400" else official(name)


@pytest.mark.parametrize("name", SETS)
def test_episodes(episode_lists, name):
    records = records_of(name, episode_lists / name)
    protocol = episodes_from_lists(records, episode_lists / name)
    assert protocol.name == "few-shot-5-way-5-shot"
    assert [trial.name for trial in protocol.trials] == [f"episode {i}" for i in range(200)]
    assert protocol.skipped == []
    by_label: dict[str, set[Record]] = {}
    for record in records:
        by_label.setdefault(record.label, set()).add(record)
    for trial in protocol.trials:
        assert Counter(record.label for record in trial.train) == dict.fromkeys(trial.class_names, 5)
        assert len(trial.class_names) == 5
        assert not set(trial.train) & set(trial.tests["test"])
        assert {*trial.train, *trial.tests["test"]} == set().union(*(by_label[label] for label in trial.class_names))
    pool = {class_key(label) for trial in protocol.trials for label in trial.class_names}
    published = published_pool(POOLS[name])
    assert pool == {class_key(label) for label in published.names}
    assert pool == {class_key(label) for label in read_pool(episode_lists / name).names}
    assert len(pool) == {"HMDB-51": 10, "UCF-101": 21, "K-400": 24}[name]
    sizes = [len(trial.tests["test"]) for trial in protocol.trials]
    if name == "UCF-101":
        assert (min(sizes), max(sizes), round(sum(sizes) / 200)) == (545, 709, 627)
    else:
        assert set(sizes) == {475}


@pytest.mark.parametrize("name", ["HMDB-51", "UCF-101"])
def test_drawn_episodes_have_the_sizes_of_the_authors(episode_lists, name):
    published = episodes_from_lists(official(name), episode_lists / name)
    drawn = episodes(official(name), pool=published_pool(POOLS[name]))
    assert drawn.name == published.name
    assert len(drawn.trials) == len(published.trials) == 200
    pools = [{label for trial in protocol.trials for label in trial.class_names} for protocol in (drawn, published)]
    assert pools[0] == pools[1]
    means = [sum(len(t.tests["test"]) for t in protocol.trials) / 200 for protocol in (drawn, published)]
    assert means[0] == pytest.approx(means[1], rel=0.02)


def test_the_pool_of_kinetics_is_among_its_classes():
    labels = read_class_list(ANNOTATIONS / "class_lists" / "xclip_kinetics_400_labels.csv").names
    assert len(find_classes(published_pool("kinetics400"), labels, asked_by="")) == 24


def test_the_unpacked_sample_is_of_the_archive(episode_lists):
    sample = AUTHORS / "5-Shot-5-Way setting"
    for path in sample.rglob("*.list"):
        assert path.read_bytes() == (episode_lists / path.relative_to(sample)).read_bytes()


@pytest.mark.parametrize(
    ("name", "train", "test"), [("HMDB-51", 255, 1530), ("UCF-101", 505, 3783), ("K-400", 2000, 1)]
)
def test_all_way_draws(name, train, test):
    folder = AUTHORS / "5-Shot-C-Way setting" / name
    if name == "K-400":
        lists = named(sorted(folder.rglob("*.list")), "train")
        records = [*lists, Record(Path("k400/abseiling/x.mp4"), "abseiling", "test")]
    else:
        records = official(name)
    protocol = few_shot_from_lists(records, folder)
    assert protocol.name == "few-shot-all-way-5-shot"
    assert [trial.name for trial in protocol.trials] == [f"draw {i}" for i in range(10)]
    for trial in protocol.trials:
        assert len(trial.train) == train
        assert set(Counter(record.label for record in trial.train).values()) == {5}
        assert {record.split for record in trial.train} == {"train"}
        assert len(trial.tests["test"]) == test
        assert not set(trial.train) & set(trial.tests["test"])
    assert len({frozenset(trial.train) for trial in protocol.trials}) == 10


def test_all_way_lists_are_of_split_1():
    folder = AUTHORS / "5-Shot-C-Way setting" / "UCF-101"
    records = read_ucf101(Path("ucf"), ANNOTATIONS / "ucf101", split=2)
    with pytest.raises(
        DatasetError, match=r"split_0\.list:\d+: '.*' is in the test part of the data, like 204 of the 505"
    ):
        few_shot_from_lists(records, folder)


def test_drawn_all_way_has_the_sizes_of_the_authors():
    assert {len(trial.train) for trial in few_shot(official("UCF-101"), shots=5).trials} == {505}
    assert {len(trial.train) for trial in few_shot(official("HMDB-51"), shots=5).trials} == {255}


def test_k700_classes():
    folder = AUTHORS / "Open-set Action Recognition" / "K700"
    train, test = read_class_list(folder / "train.list"), read_class_list(folder / "test.list")
    assert (len(train.names), len(test.names)) == (400, 300)
    every = read_class_list(ANNOTATIONS / "class_lists" / "kinetics__label_map_k700.txt")
    assert {*train.names} | {*test.names} == {*every.names}
    records = [
        Record(Path(f"k700/{part}/{name}/{i}.mp4"), name, part)
        for name in every.names
        for part, i in PARTS
        for i in range(i)
    ]
    (trial,) = zero_shot(records, train_classes=train, test_classes=test).trials
    assert (len(trial.class_names), len(trial.test_names["test"])) == (400, 300)
    assert not {*trial.class_names} & {*trial.test_names["test"]}
    assert {record.label for record in trial.tests["test"]} == {*test.names}


PARTS = (("train", 2), ("val", 1))


@pytest.mark.parametrize(
    ("name", "labels", "base", "novel", "told"),
    [
        ("hmdb", "hmdb_51", (26, 416, 780), (25, 750), "what the lists call 'kick' is 'kick ball'"),
        ("ucf", "ucf_101", (51, 816, 2088), (50, 1695), "(classes and videos as listed)"),
    ],
)
def test_vificlip_lists(name, labels, base, novel, told):
    """Its HMDB-51 numbers interchange sword and sword exercise, kick and kick ball, which the protocol tells."""
    records = official({"hmdb": "HMDB-51", "ucf": "UCF-101"}[name])
    protocol = base_to_novel_from_lists(
        records,
        train=[VIFI_LISTS / f"{name}_splits__fs_base_s1_train.txt"],
        base_test=VIFI_LISTS / f"{name}_splits__base_val.txt",
        novel_test=VIFI_LISTS / f"{name}_splits__novel_val.txt",
        base_labels=VIFI_LABELS / f"{labels}_base_labels.csv",
        novel_labels=VIFI_LABELS / f"{labels}_novel_labels.csv",
    )
    (trial,) = protocol.trials
    assert (len(trial.class_names), len(trial.train), len(trial.tests["base"])) == base
    assert (len(trial.test_names["novel"]), len(trial.tests["novel"])) == novel
    assert Counter(record.label for record in trial.train) == dict.fromkeys(trial.class_names, 16)
    assert {*trial.tests["base"], *trial.tests["novel"]} == {record for record in records if record.split == "test"}
    assert {record.label for record in trial.val} == {*trial.class_names}
    assert told in protocol.description


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("class_lists/activitynet__action_name.csv", 200),
        ("class_lists/kinetics__label_map_k400.txt", 400),
        ("class_lists/xclip_kinetics_600_labels.csv", 600),
        ("class_lists/sthv2__label_map.txt", 174),
        ("ucf101/ucfTrainTestlist/classInd.txt", 101),
        ("vificlip_labels/ZS_split1_K600.csv", 160),
        ("vificlip_labels/ssv2_174_base_labels.csv", 87),
        ("vificlip_labels/kinetics_400_novel_labels.csv", 200),
    ],
)
def test_class_lists_of_every_form(name, count):
    listed = read_class_list(ANNOTATIONS / name)
    assert len(listed.names) == len({class_key(text) for text in listed.names}) == count


def test_a_published_list_with_a_class_twice_is_refused():
    with pytest.raises(
        DatasetError, match=r"gym__label_map\.txt:71: class '\(BB\) salto backward tucked' is listed twice"
    ):
        read_class_list(ANNOTATIONS / "class_lists" / "gym__label_map.txt")


def test_names_of_official_videos_are_unique_and_kept_whole():
    for name in ("HMDB-51", "UCF-101"):
        names = portable_names(official(name))
        assert len(set(names.values())) == len(names)
        assert all(text == f"{record.path.parent.name}/{record.path.stem}" for record, text in names.items())
