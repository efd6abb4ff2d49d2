from pathlib import Path

import pytest

from framecue.datasets.localization import (
    draw_class_splits,
    read_class_splits,
    read_ground_truth,
    split_by_labels,
)
from framecue.errors import DatasetError, UsageError
from framecue.types import AnnotatedVideo, Segment

LISTS = Path("annotations", "efficient_prompt", "Open-set Action Localisation")
TRUTHS = {
    "THUMOS14": Path("annotations", "thumos14", "official_txt"),
    "ActivityNet1.3": Path("annotations", "activitynet", "anet_anno_action.json"),
}


def refusal(call, *args, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        call(*args, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture(scope="module")
def truths(shared_data):
    return {name: read_ground_truth(shared_data / path) for name, path in TRUTHS.items()}


@pytest.mark.parametrize(
    ("folder", "data", "num_train", "num_test"),
    [
        ("train75%; test25%", "THUMOS14", 15, 5),
        ("train50%; test50%", "THUMOS14", 10, 10),
        ("train75%; test25%", "ActivityNet1.3", 150, 50),
        ("train50%; test50%", "ActivityNet1.3", 100, 100),
    ],
)
def test_the_authors_ten_splits_fit_the_annotations_letter_for_letter(
    shared_data, truths, folder, data, num_train, num_test
):
    splits = read_class_splits(shared_data / LISTS / folder / data, truths[data].labels)
    assert [split.name for split in splits] == [f"split {number}" for number in range(10)]
    assert len({split.train_labels for split in splits}) == 10
    for number, split in enumerate(splits):
        assert (len(split.train_labels), len(split.test_labels)) == (num_train, num_test)
        assert {*split.train_labels, *split.test_labels} == set(truths[data].labels)
        written = (shared_data / LISTS / folder / data / "test" / f"split_{number}.list").read_text().splitlines()
        assert set(split.test_labels) == {line for line in written if line}


def test_a_real_split_parts_the_videos(shared_data, truths):
    truth = truths["THUMOS14"]
    split = read_class_splits(shared_data / LISTS / "train75%; test25%" / "THUMOS14", truth.labels)[0]
    parts = split_by_labels(truth.videos, split.train_labels, split.test_labels, train_subset="val", test_subset="test")
    assert {s.label for video in parts.train for s in video.segments} == set(split.train_labels)
    assert {s.label for video in parts.test for s in video.segments} == set(split.test_labels)
    assert {video.subset for video in parts.train} == {"validation"}
    assert {video.subset for video in parts.test} == {"test"}
    assert set(parts.ignored) <= {video.video_id for video in parts.train}
    of_part = [
        s
        for video in truth.videos
        if video.subset == "validation"
        for s in video.segments
        if s.label in split.train_labels
    ]
    assert sum(len(video.segments) for video in parts.train) == len(of_part)


def test_divers_off_cliffs_are_told_where_the_two_classes_are_apart(shared_data, truths):
    truth = truths["THUMOS14"]
    splits = read_class_splits(shared_data / LISTS / "train50%; test50%" / "THUMOS14", truth.labels)
    told = apart = 0
    for split in splits:
        parts = split_by_labels(
            truth.videos, split.train_labels, split.test_labels, train_subset="validation", test_subset="test"
        )
        told += any("are segments of a test class too" in note for note in parts.notes)
        apart += ("CliffDiving" in split.train_labels) != ("Diving" in split.train_labels)
    assert 0 < told == apart


def video(name: str, subset: str, *labels: str) -> AnnotatedVideo:
    return AnnotatedVideo(name, 9.0, subset, tuple(Segment(i, i + 1, label) for i, label in enumerate(labels)))


VIDEOS = (
    video("both", "training", "run", "sit", "run"),
    video("unseen", "training", "sit"),
    video("seen", "training", "run"),
    video("t1", "testing", "sit", "run"),
    video("t2", "testing", "run"),
    video("t3", "testing"),
)


def test_segments_of_other_classes_are_ignored_in_training_and_left_out_in_testing():
    parts = split_by_labels(VIDEOS, ["Run"], ["sit"], train_subset="train", test_subset="test")
    assert [(v.video_id, len(v.segments)) for v in parts.train] == [("both", 2), ("seen", 1)]
    assert parts.ignored == {"both": (Segment(1, 2, "sit"),)}
    assert [(v.video_id, [s.label for s in v.segments]) for v in parts.test] == [("t1", ["sit"])]
    assert parts.notes == (
        "Of 3 videos and 5 segments of 'train', 2 and 3 are of training classes.",
        "Of 3 videos and 3 segments of 'test', 1 and 1 are of test classes.",
    )


def test_videos_of_trained_and_tested_classes_alone_need_no_note():
    videos = (video("a", "training", "run"), video("b", "testing", "sit"))
    parts = split_by_labels(videos, ["run"], ["sit"], train_subset="train", test_subset="test")
    assert (parts.notes, parts.ignored) == ((), {})


@pytest.mark.parametrize(
    ("train", "test", "subset", "told"),
    [
        (["run"], ["sit", "run"], "train", "Class 'run' is in train_labels and test_labels both. Remove it from one."),
        (["runs"], ["sit"], "train", "train_labels: no class 'runs' in the data; did you mean 'run'?"),
        (["run"], ["sit"], "val", "the ground truth: no subset 'val'; there are testing, training."),
    ],
)
def test_a_split_that_does_not_fit_the_data_is_refused(train, test, subset, told):
    assert told in refusal(split_by_labels, VIDEOS, train, test, train_subset=subset, test_subset="test")


def test_a_part_without_videos_is_refused():
    told = refusal(
        split_by_labels, VIDEOS[1:2] + VIDEOS[3:], ["run"], ["sit"], train_subset="train", test_subset="test"
    )
    assert told == "No video of the train subset has a segment of the train classes. Choose others."


def test_drawn_splits_depend_on_names_and_seeds_alone():
    labels = [f"class {number}" for number in range(20)]
    splits = draw_class_splits(labels)
    assert splits == draw_class_splits(labels[::-1])
    assert len(splits) == len({split.test_labels for split in splits}) == 10
    assert all((len(split.train_labels), len(split.test_labels)) == (15, 5) for split in splits)
    assert all({*split.train_labels, *split.test_labels} == set(labels) for split in splits)
    half = draw_class_splits(labels, train_fraction=0.5, seeds=[3])[0]
    assert half.name == "seed 3"
    assert len(half.train_labels) == 10
    assert set(half.train_labels) < set(splits[3].train_labels)  # the smaller draw is part of the larger
    assert draw_class_splits(["a", "b"], train_fraction=0.99, seeds=[0])[0].test_labels


def test_a_draw_that_cannot_be_made_is_refused():
    assert refusal(draw_class_splits, ["run", "run"]).startswith("A split needs at least two classes, found 1.")
    with pytest.raises(UsageError, match=r"^train_fraction must be between 0 and 1, found 1\.$"):
        draw_class_splits(["a", "b"], train_fraction=1.0)
    with pytest.raises(UsageError, match="seeds must be different numbers"):
        draw_class_splits(["a", "b"], seeds=[1, 1])


def lists(folder: Path, **parts: str) -> Path:
    for part, names in parts.items():
        (folder / part).mkdir(parents=True)
        (folder / part / "split_0.list").write_text(names)
    return folder


def test_lists_in_another_spelling_give_the_spelling_of_the_data(tmp_path):
    folder = lists(tmp_path, train="high jump\n", test="Long-Jump\n")
    (split,) = read_class_splits(folder, ["High jump", "long_jump"])
    assert (split.train_labels, split.test_labels) == (("High jump",), ("long_jump",))


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"train": "run\n", "test": "jog\n"}, "no class 'jog' in the data"),
        ({"train": "run\n", "test": "Run\n"}, "class 'run' is in the train and test lists both"),
        ({"train": "run\n"}, "holds no test/split_0.list. Restore the missing files."),
        ({"test": "run\n"}, "holds no train/split_0.list"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path, parts, told):
    assert told in refusal(read_class_splits, lists(tmp_path, **parts), ["run", "sit"])
