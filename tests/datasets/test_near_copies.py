"""Near copies: one recording encoded anew, rescaled or cut is found by its features; other clips are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from framecue.datasets.near_copies import find_near_copies
from framecue.types import FrameFeatures, Record

FPS, DIM = 4, 32
SCENE = np.random.default_rng(1).normal(size=DIM)


def clip(seed: int, *, seconds: float = 8.0) -> FrameFeatures:
    """A clip of the one scene: its own motion around what all of them show."""
    draw = np.random.default_rng((7, seed))
    moved = np.cumsum(draw.normal(size=(int(seconds * FPS), DIM)), axis=0) * 0.1
    frames = SCENE + moved - moved.mean(axis=0) + draw.normal(size=DIM) * 0.2
    return FrameFeatures(frames.astype(np.float32), np.arange(len(frames)) / FPS, seconds)


def encoded_anew(features: FrameFeatures) -> FrameFeatures:
    noise = np.random.default_rng(0).normal(size=features.frame_features.shape) * 0.02
    return replace(features, frame_features=(features.frame_features + noise).astype(np.float32))


def at_other_times(features: FrameFeatures, *, start: float, fps: float) -> FrameFeatures:
    """Cut at the start and sampled at another rate: the frames in between lie on the lines between the stored ones."""
    times = np.arange(start, features.pts_seconds[-1], 1 / fps)
    frames = np.stack([np.interp(times, features.pts_seconds, row) for row in features.frame_features.T], axis=1)
    return FrameFeatures(frames.astype(np.float32), times - start, features.duration_seconds - start)


def pairs(videos: dict[str, FrameFeatures], records: list[Record] | None = None) -> list[tuple[str, str]]:
    records = records or [Record(Path(name), "run", name.partition("/")[0]) for name in videos]
    names = [str(record.path) for record in records]
    found = find_near_copies(records, names, lambda keys: [videos[key] for key in keys])
    return [(str(near.first.path), str(near.second.path)) for near in found]


@pytest.fixture
def videos() -> dict[str, FrameFeatures]:
    return {f"train/{seed}": clip(seed) for seed in range(6)} | {f"test/{seed}": clip(seed) for seed in range(6, 10)}


def test_other_clips_of_one_scene_are_no_copies(videos):
    assert pairs(videos) == []


def test_a_copy_in_another_part_is_found_with_when_it_shows_what(videos):
    videos["test/cut"] = encoded_anew(at_other_times(videos["train/2"], start=1.1, fps=5))
    records = [Record(Path(name), "run", name.partition("/")[0]) for name in videos]
    (near,) = find_near_copies(records, list(videos), lambda keys: [videos[key] for key in keys])
    assert (str(near.first.path), str(near.second.path)) == ("train/2", "test/cut")
    assert 0.8 < near.similarity < 1
    assert near.first_seconds - near.second_seconds == pytest.approx(1.1, abs=0.13)
    assert near.shared_seconds == pytest.approx(6.6, abs=0.5)


@pytest.mark.parametrize("change", ["reversed", "a third"])
def test_what_runs_backward_or_lacks_most_is_no_copy(videos, change):
    original = videos["train/2"]
    kept = slice(None, None, -1) if change == "reversed" else slice(0, len(original) // 3)
    videos["test/other"] = FrameFeatures(
        original.frame_features[kept], original.pts_seconds[: len(original.frame_features[kept])], 8.0
    )
    assert pairs(videos) == []


def test_within_a_part_two_labels_tell_and_one_label_does_not(videos):
    videos["train/again"] = encoded_anew(videos["train/2"])
    assert pairs(videos) == []
    records = [Record(Path(name), name, "train") for name in videos]
    assert pairs(videos, records) == [("train/2", "train/again")]
    undivided = [Record(Path(name), "run") for name in videos]  # parts will be drawn from these
    assert pairs(videos, undivided) == [("train/2", "train/again")]


def test_the_part_of_a_video_that_is_meant_is_compared(videos):
    long = clip(20, seconds=16)
    videos["train/long"] = long
    videos["test/short"] = encoded_anew(
        FrameFeatures(long.frame_features[16:48], long.pts_seconds[16:48] - 4, 8.0)  # 4 to 12 s of it
    )
    records = [Record(Path(name), "run", name.partition("/")[0]) for name in videos]
    assert pairs(videos, records) == []
    meant = [replace(r, start_seconds=4.0, end_seconds=12.0) if r.path.name == "long" else r for r in records]
    assert pairs(videos, meant) == [("train/long", "test/short")]


def test_still_videos_and_most_alike_first(videos):
    still = FrameFeatures(np.repeat(clip(30).frame_features[:1], 32, axis=0), np.arange(32) / FPS, 8.0)
    videos |= {"train/still": still, "test/still": encoded_anew(still), "test/same": videos["train/3"]}
    assert pairs(videos) == [("train/3", "test/same"), ("train/still", "test/still")]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_videos(count):
    videos = {f"{part}/0": clip(0) for part in ("train", "test")[:count]}
    assert pairs(videos) == ([("train/0", "test/0")] if count == 2 else [])
