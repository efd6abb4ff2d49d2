"""Untrimmed videos follow from the seed, are balanced, and their ground truth says where something happens."""

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framecue.datasets.world import (
    NOVEL_CLASSES,
    UNTRIMMED_SEEN_CLASSES,
    order_pairs,
    render_untrimmed,
    write_long_untrimmed,
    write_untrimmed,
)
from framecue.datasets.world.untrimmed import (
    ACTION_SECONDS,
    BACKGROUND_SECONDS,
    VIDEO_SECONDS,
    Script,
    draw_labels,
    draw_script,
    render_script,
)
from framecue.datasets.world.videos import FPS, HEIGHT_PX, WIDTH_PX
from framecue.errors import DatasetError, VideoError
from framecue.video.reader import read_frames, read_video
from framecue.video.sampling import Sampling, parse_sampling

RECIPE: dict[str, Any] = {"seed": 5, "num_videos": {"train": 2, "test": 1}}


def database(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "ground_truth.json").read_text())["database"]


def test_the_seen_classes_are_all_but_the_one_that_is_background() -> None:
    assert len(UNTRIMMED_SEEN_CLASSES) == 16
    assert "standing still" not in UNTRIMMED_SEEN_CLASSES


def test_videos_follow_from_the_seed_whatever_the_number_of_workers(tmp_path: Path) -> None:
    assert write_untrimmed(tmp_path / "one", **RECIPE, workers=0) == 3
    assert write_untrimmed(tmp_path / "two", **RECIPE, workers=2) == 3
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert Path("train/untrimmed_train_0001.mp4") in files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    write_untrimmed(tmp_path / "other", **{**RECIPE, "seed": 6}, workers=0)
    assert database(tmp_path / "other") != database(tmp_path / "one")


def test_writing_again_keeps_what_is_there_and_refuses_another_recipe(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_untrimmed(tmp_path, **RECIPE, workers=0, on_progress=lambda *counts: calls.append(counts))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    truth = database(tmp_path)
    (tmp_path / "train" / "untrimmed_train_0001.mp4").unlink()
    kept = (tmp_path / "train" / "untrimmed_train_0000.mp4").stat().st_mtime_ns
    assert write_untrimmed(tmp_path, **RECIPE, workers=0) == 1
    assert database(tmp_path) == truth
    assert (tmp_path / "train" / "untrimmed_train_0000.mp4").stat().st_mtime_ns == kept
    with pytest.raises(DatasetError, match=r"world has one recipe.*choose another folder"):
        write_untrimmed(tmp_path, **RECIPE, classes=NOVEL_CLASSES)


def test_ground_truth_has_the_official_form_and_the_files_true_times(tmp_path: Path) -> None:
    write_untrimmed(tmp_path, **RECIPE, workers=0)
    content = json.loads((tmp_path / "ground_truth.json").read_text())
    assert set(content) == {"version", "taxonomy", "database"}
    assert [node["nodeName"] for node in content["taxonomy"]] == ["Root", *UNTRIMMED_SEEN_CLASSES]
    assert [about["subset"] for about in content["database"].values()] == ["training", "training", "testing"]
    for video_id, about in content["database"].items():
        path = tmp_path / about["url"]
        assert path.stem == video_id
        pts = np.concatenate([batch.pts_seconds for batch in read_frames(path, Sampling("all"))])
        np.testing.assert_allclose(pts, np.arange(len(pts)) / FPS, atol=1e-3)
        assert about["duration"] == pytest.approx(len(pts) / FPS, abs=1e-6)
        for start, end in (annotation["segment"] for annotation in about["annotations"]):
            assert np.abs(pts - start).min() < 1e-3  # the first frame of the action
            assert np.abs(pts + 1 / FPS - end).min() < 1e-3  # the end of its last one


@pytest.mark.parametrize("num_actions", [3, 4, 5, 6])
def test_actions_and_background_take_turns_within_their_bounds(num_actions: int) -> None:
    def within(length: int, bounds: tuple[float, float]) -> bool:
        return bounds[0] - 1e-9 <= length / FPS <= bounds[1] + 1e-9

    for seed in range(20):
        script = draw_script(UNTRIMMED_SEEN_CLASSES[:num_actions], np.random.default_rng(seed))
        assert all(within(length, ACTION_SECONDS) for length in script.lengths[1::2])
        assert all(within(length, BACKGROUND_SECONDS) for length in script.lengths[::2])
        assert within(script.num_frames, VIDEO_SECONDS)
        segments = script.segments()
        assert [label for *_, label in segments] == list(script.labels)
        times = [0, *itertools.chain.from_iterable(segment[:2] for segment in segments), script.num_frames]
        assert np.diff(times).tolist() == list(script.lengths)


@pytest.mark.parametrize("classes", [UNTRIMMED_SEEN_CLASSES, NOVEL_CLASSES])
def test_every_class_comes_equally_often_and_so_do_both_directions(classes: tuple[str, ...]) -> None:
    drawn = draw_labels(classes, 60, np.random.default_rng(0))
    assert {len(labels) for labels in drawn} == {3, 4, 5, 6}
    counts = Counter(itertools.chain.from_iterable(drawn))
    assert set(counts) == set(classes)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert all(abs(counts[forward] - counts[backward]) <= 1 for forward, backward in order_pairs(classes))


def test_nothing_changes_in_background_and_something_in_every_action() -> None:
    frames, segments = render_untrimmed(
        ["moving right", "shrinking", "circling", "appearing"], np.random.default_rng(1)
    )
    assert frames.shape[1:] == (HEIGHT_PX, WIDTH_PX, 3)
    changes = np.abs(np.diff(frames.astype(int), axis=0)).sum(axis=(1, 2, 3)) > 0
    inside = np.zeros(len(frames), bool)
    for start, end, _ in segments:
        inside[start:end] = True
        assert changes[start : end - 1].mean() > 0.9
    assert not changes[~inside[1:] & ~inside[:-1]].any()


def test_background_is_an_empty_stage_or_a_shape_that_stands_often_the_actor() -> None:
    """The first frame of "appearing" is the empty stage, so that the stretches around later actions can be told."""
    script = Script(("appearing", "growing", "growing"), (12,) * 7)
    kinds: Counter[str] = Counter()
    for seed in range(100):
        frames = list(render_script(script, np.random.default_rng(seed)))
        for start in (48, 72):
            poses = {"empty": frames[12], "last pose": frames[start - 1], "first pose": frames[(start + 12) % 84]}
            kinds[next((name for name, pose in poses.items() if (frames[start] == pose).all()), "stranger")] += 1
    assert 0.5 < kinds["empty"] / 200 < 0.7
    assert all(kinds[name] >= 8 for name in ("first pose", "last pose", "stranger"))


def test_an_action_takes_its_whole_segment() -> None:
    """Frames of a longer segment are further apart in time, not more of the same: the first and last are the poses."""
    short, long = (
        list(render_script(Script(("moving right",), (6, length, 6)), np.random.default_rng(4))) for length in (18, 60)
    )
    np.testing.assert_array_equal(short[6], long[6])
    np.testing.assert_array_equal(short[6 + 17], long[6 + 59])
    assert not (short[6 + 9] == long[6 + 9]).all()


def test_a_long_file_is_as_long_as_asked_and_its_truth_lies_inside(tmp_path: Path) -> None:
    segments = write_long_untrimmed(tmp_path / "long.mp4", minutes=1.5, classes=NOVEL_CLASSES, seed=3)
    pts = np.concatenate([batch.pts_seconds for batch in read_frames(tmp_path / "long.mp4", Sampling("all"))])
    assert len(pts) == 90 * FPS
    np.testing.assert_allclose(pts, np.arange(len(pts)) / FPS, atol=1e-3)
    times = [time for segment in segments for time in (segment.start_seconds, segment.end_seconds)]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 90
    assert {segment.label for segment in segments} <= set(NOVEL_CLASSES)
    assert write_long_untrimmed(tmp_path / "again.mp4", minutes=1.5, classes=NOVEL_CLASSES, seed=3) == segments
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "long.mp4").read_bytes()


def test_what_cannot_be_shown_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"'standing still'.*is background.*UNTRIMMED_SEEN_CLASSES"):
        write_untrimmed(tmp_path, classes=["growing", "standing still"])
    with pytest.raises(DatasetError, match=r"classes: .*at least one action"):
        write_untrimmed(tmp_path, classes=[])
    with pytest.raises(DatasetError, match=r"'validation': the splits of an untrimmed world are train, val, test"):
        write_untrimmed(tmp_path, num_videos={"validation": 3})
    with pytest.raises(VideoError, match=r"none\.mp4: frames to write must be at least one image"):
        write_long_untrimmed(tmp_path / "none.mp4", minutes=0)
    assert list(tmp_path.iterdir()) == []


def test_held_out_names_have_test_videos_of_their_own(tmp_path: Path) -> None:
    write_untrimmed(
        tmp_path,
        classes=("growing", "bouncing"),
        held_out=("swinging", "zigzagging"),
        num_videos={"train": 2, "test": 1, "novel": 2},
        workers=0,
    )
    database = json.loads((tmp_path / "ground_truth.json").read_text())["database"]
    shown = {name: {part["label"] for part in entry["annotations"]} for name, entry in database.items()}
    assert {name for name, entry in database.items() if entry["subset"] == "testing"} == {
        "untrimmed_test_0000",
        "untrimmed_novel_0000",
        "untrimmed_novel_0001",
    }
    for name, labels in shown.items():
        allowed = {"swinging", "zigzagging"} if "novel" in name else {"growing", "bouncing"}
        assert labels <= allowed


def test_idle_videos_have_no_action_and_change_none_of_the_others(tmp_path: Path) -> None:
    recipe = {"classes": ("growing", "bouncing"), "num_videos": {"train": 2}, "workers": 0}
    write_untrimmed(tmp_path / "without", **recipe)
    write_untrimmed(tmp_path / "with", **recipe, num_idle={"train": 1, "val": 1})
    database = json.loads((tmp_path / "with" / "ground_truth.json").read_text())["database"]
    assert sorted(name for name, entry in database.items() if not entry["annotations"]) == [
        "untrimmed_train_0002",
        "untrimmed_val_0000",
    ]
    assert all(18 <= entry["duration"] <= 36 for entry in database.values())
    first = Path("train") / "untrimmed_train_0000.mp4"
    assert (tmp_path / "with" / first).read_bytes() == (tmp_path / "without" / first).read_bytes()
    still = read_video(tmp_path / "with" / "train" / "untrimmed_train_0002.mp4", parse_sampling("uniform:8")).frames
    assert np.abs(still.astype(int) - still[0]).max() < 40  # but for what coding does
