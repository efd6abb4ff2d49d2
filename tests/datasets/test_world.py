"""The built-in world keeps its promises: reversals are exact, the ceiling is known, all follows from the seed."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from framecue.datasets.world import (
    NOVEL_CLASSES,
    ORDER_PAIRS,
    SEEN_CLASSES,
    order_blind_ceiling,
    random_caption,
    random_still,
    render_clip,
    write_world,
)
from framecue.datasets.world.videos import HEIGHT_PX, NUM_FRAMES, WIDTH_PX, clip_rng
from framecue.errors import DatasetError

EVERY_CLASS = SEEN_CLASSES + NOVEL_CLASSES


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24", threads=1) for frame in container.decode(video=0)])


def test_classes_are_distinct_and_pairs_stay_together() -> None:
    assert len(set(EVERY_CLASS)) == len(EVERY_CLASS)
    for pair in ORDER_PAIRS:
        assert set(pair) <= set(SEEN_CLASSES) or set(pair) <= set(NOVEL_CLASSES)


def test_order_blind_ceiling_counts_half_for_each_class_of_a_pair() -> None:
    assert order_blind_ceiling(["moving left", "moving right"]) == 0.5
    assert order_blind_ceiling(["moving left", "growing", "bouncing"]) == 1.0
    assert order_blind_ceiling(["moving left", "moving right", "bouncing", "circling"]) == 0.75
    assert order_blind_ceiling(SEEN_CLASSES) == pytest.approx((12 * 0.5 + 5) / 17)


@pytest.mark.parametrize("label", EVERY_CLASS)
def test_every_class_is_rendered_and_told_in_words(label: str) -> None:
    clip = render_clip(label, np.random.default_rng(3))
    assert clip.frames.shape == (NUM_FRAMES, HEIGHT_PX, WIDTH_PX, 3)
    assert clip.frames.dtype == np.uint8
    assert label in clip.caption
    assert all(label in text and len(text) < len(clip.caption) for text in clip.shorter_captions)
    changes = np.abs(np.diff(clip.frames.astype(int), axis=0)).sum()
    assert (changes == 0) == (label == "standing still")


@pytest.mark.parametrize("pair", ORDER_PAIRS)
def test_second_of_a_pair_is_the_first_run_backwards(pair: tuple[str, str]) -> None:
    forward, backward = (render_clip(label, clip_rng(0, "test", label, 5)) for label in pair)
    np.testing.assert_array_equal(forward.frames[::-1], backward.frames)
    train = [render_clip(label, clip_rng(0, "train", label, 5)) for label in pair]
    assert not np.array_equal(train[0].frames[::-1], train[1].frames)


@pytest.mark.parametrize(
    ("label", "axis", "sign"), [("moving right", 1, 1), ("moving left", 1, -1), ("moving up", 0, -1)]
)
def test_shapes_move_where_the_name_says(label: str, axis: int, sign: int) -> None:
    for seed in range(5):
        frames = render_clip(label, np.random.default_rng(seed)).frames.astype(int)
        scenery = np.median(frames, axis=0)  # the actor is nowhere for long
        first, last = (np.argwhere(np.abs(frame - scenery).sum(-1) > 60)[:, axis].mean() for frame in frames[[0, -1]])
        assert sign * (last - first) > 40


def test_files_are_twins_in_test_and_follow_from_the_seed(tmp_path: Path) -> None:
    recipe = {"seed": 7, "classes": ["growing", "shrinking"], "videos_per_class": {"train": 1, "test": 2}}
    assert write_world(tmp_path / "one", **recipe, workers=0) == 6
    assert write_world(tmp_path / "two", **recipe, workers=2) == 6
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.mp4"))
    assert files[0] == Path("test/growing/growing_0000.mp4")
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    grown, shrunk = (decode(tmp_path / "one" / "test" / name / f"{name}_0001.mp4") for name in ("growing", "shrinking"))
    np.testing.assert_array_equal(grown[::-1], shrunk)
    lines = [json.loads(line) for line in (tmp_path / "one" / "captions.jsonl").read_text().splitlines()]
    assert sorted(line["path"] for line in lines) == [file.as_posix() for file in files]
    for line in lines:
        texts = line["caption"] if line["path"].startswith("train/") else [line["caption"]]
        assert len(texts) == (3 if line["path"].startswith("train/") else 1)
        assert all(line["label"] in text for text in texts)


def test_writing_again_keeps_what_is_there_and_refuses_another_recipe(tmp_path: Path) -> None:
    recipe = {"classes": ["bouncing"], "videos_per_class": {"train": 2}, "workers": 0}
    assert write_world(tmp_path, **recipe) == 2
    (tmp_path / "train" / "bouncing" / "bouncing_0001.mp4").unlink()
    kept = (tmp_path / "train" / "bouncing" / "bouncing_0000.mp4").stat().st_mtime_ns
    assert write_world(tmp_path, **recipe) == 1
    assert (tmp_path / "train" / "bouncing" / "bouncing_0000.mp4").stat().st_mtime_ns == kept
    with pytest.raises(DatasetError, match=r"world has one recipe.*choose another folder"):
        write_world(tmp_path, seed=1, **recipe)


def test_stills_and_captions_follow_from_the_seed_and_vary() -> None:
    one, again = (random_still(np.random.default_rng(11), 48) for _ in range(2))
    np.testing.assert_array_equal(one.image, again.image)
    assert one.image.shape == (48, 48, 3)
    assert one.facts == again.facts
    rng = np.random.default_rng(0)
    captions = {random_caption(random_still(rng, 48).facts, rng) for _ in range(100)}
    assert len(captions) > 80
    assert all(caption == caption.strip() and "  " not in caption for caption in captions)
