"""Annotated videos of a run: parted by subset and name, every bad input one counted line, held-out names kept apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fakes import ColorBackbone
from framecue.config import RunConfig
from framecue.errors import DatasetError
from framecue.tasks.localization_data import part_localization, prepare_localization, read_localization_parts
from framecue.tasks.localization_source import LocalizationSource
from framecue.types import AnnotatedVideo, Segment
from framecue.video.writer import write_video

FPS = 8
RUN, JUMP, SWIM, FLY = "running", "Long Jump", "swimming", "flying"


def database(**videos):
    """Ground truth of (subset, duration, [(start, end, label), ...]) for each video."""
    return {
        name: {
            "subset": subset,
            "duration": duration,
            "annotations": [{"segment": [start, end], "label": label} for start, end, label in segments],
        }
        for name, (subset, duration, segments) in videos.items()
    }


VIDEOS = {
    "a1": ("training", 4.0, [(0.5, 1.5, RUN), (2.0, 3.0, SWIM)]),
    "a2": ("training", 4.0, [(1.0, 2.0, JUMP), (2.5, 3.5, RUN)]),
    "a3": ("training", 4.0, [(1.0, 2.0, SWIM)]),
    "a4": ("training", 4.0, []),
    "a5": ("training", 4.0, [(0.0, 4.0, JUMP)]),
    "v1": ("validation", 4.0, [(1.0, 2.0, RUN)]),
    "v2": ("validation", 4.0, [(1.0, 2.0, RUN), (2.0, 3.0, SWIM)]),
    "t1": ("testing", 4.0, [(1.0, 2.0, RUN), (2.0, 3.0, SWIM), (3.0, 3.5, FLY)]),
    "t2": ("testing", 4.0, [(1.0, 2.0, SWIM)]),
    "t3": ("testing", 4.0, [(1.0, 2.0, FLY)]),
    "t4": ("testing", 4.0, []),
    "t5": ("testing", 4.0, [(0.5, 2.5, JUMP)]),
}


@pytest.fixture
def world(tmp_path):
    """A function that writes ground truth and gives a config; every video has an unread file, or none."""

    def make(videos=VIDEOS, *, files=True, data=None, **localization):
        source = tmp_path / "videos"
        source.mkdir(exist_ok=True)
        (source / "ground_truth.json").write_text(json.dumps({"database": database(**videos)}))
        for name in videos if files else ():
            (source / f"{name}.mp4").touch()
        subsets = {"val_subset": "validation", "test_subset": "testing"}
        return RunConfig.model_validate(
            {
                "task": "localization",
                "out": str(tmp_path / "run"),
                "data": {"source": str(source), "held_out": [SWIM], **(data or {})},
                "localization": {**subsets, **localization},
            }
        )

    return make


def ids(videos):
    return [video.video_id for video in videos]


def labels(videos):
    return {segment.label for video in videos for segment in video.segments}


def test_videos_by_subset_and_name(world):
    parts = read_localization_parts(world())
    assert ids(parts.train) == ["a1", "a2", "a4", "a5"]
    assert (parts.class_names, parts.novel_names) == ((JUMP, RUN), (SWIM,))
    assert labels(parts.train) == {RUN, JUMP}
    assert [[s.label for s in part] for part in parts.ignored] == [[SWIM], [], [], []]
    assert ids(parts.val) == ["v1"]
    assert ids(parts.test) == ["t1", "t4", "t5"]
    assert labels(parts.test) == {RUN, JUMP}
    assert ids(parts.novel) == ["t1", "t2"]
    assert labels(parts.novel) == {SWIM}
    assert parts.skipped == []
    assert all(video.path is not None for video in (*parts.train, *parts.val, *parts.test, *parts.novel))


def test_whatever_does_not_count_is_counted(world):
    assert read_localization_parts(world()).notes == [
        "1 of 5 training videos show other names alone: left out.",
        "1 of 2 validation videos show names not trained on: left out.",
        "Segments of other names in training videos, neither action nor background: 1.",
        "2 of 5 test videos show other names alone and do not count.",
        "Segments in test videos of names neither trained on nor held out, which do not count: 2 (flying).",
    ]
    closed = {name: video for name, video in VIDEOS.items() if name not in ("t1", "t3")}
    assert read_localization_parts(world(closed, data={"held_out": []})).notes == []


def test_names_in_any_spelling_and_of_one_kind_alone(world):
    parts = read_localization_parts(world(data={"held_out": ["long_jump"], "classes": ["long_jump", "RUNNING"]}))
    assert (parts.class_names, parts.novel_names) == ((RUN,), (JUMP,))
    assert ids(parts.train) == ["a1", "a2", "a4"]
    assert [[s.label for s in part] for part in parts.ignored] == [[SWIM], [JUMP], []]


def test_a_validation_part_is_drawn_by_the_seed(world):
    many = {f"a{i:02}": ("training", 4.0, [(1.0, 2.0, RUN), (2.0, 3.0, JUMP)]) for i in range(20)} | VIDEOS
    config = world(many, val_subset=None, data={"val_fraction": 0.25})
    learned = {f"a{i:02}" for i in range(20)} | {"a1", "a2", "a4", "a5"}
    drawn = {}
    for seed in (0, 0, 1):
        parts = read_localization_parts(config.model_copy(update={"seed": seed}))
        assert set(ids(parts.train)) | set(ids(parts.val)) <= learned
        assert not set(ids(parts.train)) & set(ids(parts.val))
        drawn.setdefault(seed, ids(parts.val))
        assert drawn[seed] == ids(parts.val)
        assert 5 <= len(parts.val) <= 6
    assert drawn[0] != drawn[1]
    assert read_localization_parts(world(many, val_subset=None, data={"val_fraction": 0})).val == []


@pytest.mark.parametrize("number", [10, 40, 500, 5000])
def test_the_validation_part_has_the_size_asked_for(world, number):
    config = world(val_subset=None, test_subset=None, data={"held_out": []})
    labels = [str(i % max(2, number // 20)) for i in range(number)]
    videos = [
        AnnotatedVideo(f"v{i}", 4.0, "training", (Segment(0.0, 1.0, label),), Path(f"v{i}.mp4"))
        for i, label in enumerate(labels)
    ]
    source = LocalizationSource({"training": videos}, sorted(set(labels)), [], [])
    for seed in range(10):
        parts = part_localization(config.model_copy(update={"seed": seed}), source)
        assert len(parts.val) == number // 10
        assert (
            f"{number:,} videos were parted by seed {seed} into train {number - number // 10:,}, val"
            in parts.parting[0]
        )


def test_held_out_names_do_not_reach_what_is_trained_or_chosen(world):
    """Other times and other labels of held-out segments, and other test videos: the same training and validation."""
    held_out = {"data": {"held_out": [SWIM, FLY]}, "val_subset": None}
    before = read_localization_parts(world(**held_out))
    changed = {
        name: (
            subset,
            duration,
            [
                (start / 2, end + 0.3, FLY if label == SWIM else SWIM) if label in (SWIM, FLY) else (start, end, label)
                for start, end, label in segments
            ],
        )
        for name, (subset, duration, segments) in VIDEOS.items()
        if name != "t5"
    }
    after = read_localization_parts(world(changed, **held_out))
    origins = [[replace(video, origin="") for video in part] for part in (before.train, before.val)]
    assert origins == [[replace(video, origin="") for video in part] for part in (after.train, after.val)]
    assert before.class_names == after.class_names
    assert before.ignored != after.ignored
    assert not labels([*before.train, *before.val, *before.test]) & {SWIM, FLY}


def refused(config):
    with pytest.raises(DatasetError) as caught:
        read_localization_parts(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_subsets_must_be_there_and_differ(world):
    assert "no subset 'trainig'; there are testing, training, validation" in refused(world(train_subset="trainig"))
    assert "no subset 'holdout'" in refused(world(test_subset="holdout"))
    line = refused(world(test_subset="train"))  # another name of the same part
    assert "video a1 is in both 'training' and 'train'; localization's train_subset, val_subset and" in line
    for wrong, words in (
        ({"test_subset": "Training"}, "'localization.test_subset' must not be the training subset"),
        ({"val_subset": "training"}, "'localization.val_subset' must not be the training subset"),
        ({"test_subset": "validation"}, "'localization.test_subset' must not be the validation subset"),
        ({"proposals": "p.json", "train_parts": ["proposals"]}, "must hold classifier where"),
    ):
        with pytest.raises(ValidationError, match=words):
            world(**wrong)


def test_names_must_be_there_and_leave_something(world):
    assert "swiming" in refused(world(data={"held_out": ["swiming"]}))
    assert "dancing" in refused(world(data={"held_out": [], "classes": ["dancing"]}))
    line = refused(world(data={"held_out": [RUN, JUMP, SWIM]}))
    assert "no segment of 'training' is left to train on" in line


def test_missing_files(world, tmp_path):
    config = world(files=False)
    assert "None of the 12 annotated videos is there (a1: no video of this name below" in refused(config)
    for name in VIDEOS:
        if name not in ("a2", "t5"):
            (tmp_path / "videos" / f"{name}.mp4").touch()
    line = refused(config)
    assert "2 of the 12 annotated videos are missing (a2: no video of this name" in line
    assert "data.missing=skip" in line
    for path in (tmp_path / "videos").glob("a*.mp4"):
        path.rename(path.with_suffix(".away"))
    line = refused(world(files=False, data={"missing": "skip"}))
    assert "no segment of 'training' is left to train on (" in line
    assert "of its videos are missing, see data.source); check localization.train_subset" in line
    for path in (tmp_path / "videos").glob("a*.away"):
        path.rename(path.with_suffix(".mp4"))
    parts = read_localization_parts(world(files=False, data={"missing": "skip"}))
    assert [skipped.path.name for skipped in parts.skipped] == ["a2", "t5"]
    assert "a2" not in ids(parts.train)
    (tmp_path / "videos" / "more").mkdir()
    (tmp_path / "videos" / "more" / "a1.webm").touch()
    parts = read_localization_parts(world(files=False, data={"missing": "skip"}))
    assert "2 files go by this id" in parts.skipped[0].reason


def test_there_must_be_a_ground_truth(world, tmp_path):
    config = world()
    (tmp_path / "videos" / "ground_truth.json").unlink()
    assert "ground_truth.json must be the ground truth of localization, found nothing there" in refused(config)


def test_odd_segments_are_one_line_of_each_kind(world):
    """Of training videos they are cut to their videos, or left out; of test videos they are kept as they are."""
    odd = [(-1.0, 1.0, RUN), (3.5, 9.0, RUN), (5.0, 6.0, RUN), (2.0, 1.0, RUN), (1.0, float("nan"), JUMP)]
    videos = VIDEOS | {"a2": ("training", 4.0, [*odd, (1.0, 2.0, JUMP)]), "t5": ("testing", 4.0, [(3.0, 5.0, JUMP)])}
    parts = read_localization_parts(world(videos))
    (video,) = [video for video in parts.train if video.video_id == "a2"]
    assert [(s.start_seconds, s.end_seconds, s.label) for s in video.segments] == [
        (0.0, 1.0, RUN),
        (3.5, 4.0, RUN),
        (1.0, 2.0, JUMP),
    ]
    (kept,) = [video for video in parts.test if video.video_id == "t5"]
    assert kept.segments[0].end_seconds == 5.0
    for words in (
        "1 segment has no finite times: left out",
        "1 segment ends no later than it begins: left out",
        "1 segment lies beyond the video: left out",
        "2 segments were clipped to their videos (first: a2, -1 to 1 s of 4 s)",
        "1 segment reaches out of its video: kept as it is (t5, 3 to 5 s of 4 s)",
    ):
        assert sum(words in line for line in parts.notes) == 1, (words, parts.notes)


def write_real(config, seconds):
    """Real files of these lengths; None = a file that is no video."""
    rng = np.random.default_rng(0)
    for name, length in seconds.items():
        path = config.data.source / f"{name}.mp4"
        if length is None:
            path.write_text("no video")
        else:
            write_video(path, rng.integers(0, 255, (round(length * FPS), 32, 32, 3), dtype=np.uint8), FPS)


def test_features_that_do_not_fit_what_was_annotated(world):
    """A file of half the annotated length: noted in any part, left out of training. What lies beyond the features of a
    training video that fits is not learned either."""
    videos = VIDEOS | {"a2": ("training", 4.0, [(1.0, 2.0, JUMP), (3.7, 3.9, RUN)])}
    config = world(videos, files=False)
    seconds = dict.fromkeys(videos, 4.0) | {"a5": 2.0, "t5": 2.0, "a2": 3.5}
    write_real(config, seconds)
    data = prepare_localization(config, ColorBackbone())
    assert ids(data.train.videos) == ["a1", "a2", "a4"]
    assert ids(data.test.videos) == ["t1", "t4", "t5"]
    (line,) = [line for line in data.notes if line.startswith("a5: ")]
    assert "the features span 2.00 s" in line
    assert "says 4.00 s, 0.50 times" in line
    assert line.endswith("It is left out of training.")
    (line,) = [line for line in data.notes if line.startswith("t5: ")]
    assert not line.endswith("It is left out of training.")
    (line,) = [line for line in data.notes if line.startswith("Actions beyond the features of their training videos")]
    assert "left out: 1 (first: " in line
    assert "video 'a2', segment 2: 3.7 to 3.9 s, but the video lasts 3.5 s; are these times of another clock?" in line
    assert [s.label for s in data.train.videos[1].segments] == [JUMP]
    assert data.train.ignored == [read_localization_parts(config).ignored[0], (), ()]
    assert data.train.class_names == data.test.class_names == data.val.class_names == (JUMP, RUN)
    assert data.names == (JUMP, RUN, SWIM)
    assert len(data.train.features([1])[0]) == 28


def test_unreadable_files_are_listed_and_a_lost_class_is_an_error(world):
    config = world(files=False)
    write_real(config, dict.fromkeys(VIDEOS, 4.0) | {"a2": None, "t1": None})
    data = prepare_localization(config, ColorBackbone())
    assert sorted(skipped.path.name for skipped in data.skipped) == ["a2.mp4", "t1.mp4"]
    assert ids(data.train.videos) == ["a1", "a4", "a5"]
    assert (ids(data.test.videos), ids(data.novel.videos)) == (["t4", "t5"], ["t2"])
    write_real(config, {"a5": None})
    with pytest.raises(DatasetError, match=r"No usable training video is left of Long Jump; 3 were skipped") as caught:
        prepare_localization(config, ColorBackbone())
    assert "\n" not in str(caught.value)
