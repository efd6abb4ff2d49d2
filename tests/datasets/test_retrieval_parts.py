"""Parts of captioned videos, and their files."""

from dataclasses import replace
from pathlib import Path

import pytest

from framecue.datasets.retrieval import CaptionSet, match_videos, once_each, split_videos
from framecue.errors import DatasetError
from framecue.types import CaptionedVideo


def captioned(*videos: CaptionedVideo) -> CaptionSet:
    return CaptionSet(videos, ("a note.",), "json", Path("c.json"))


def many(number: int, split: str | None = None) -> CaptionSet:
    return captioned(*(CaptionedVideo(f"v{i}.mp4", ("x",), split, origin=f"c.json:{i + 1}") for i in range(number)))


def part_of(captions: CaptionSet) -> dict[str, str | None]:
    return {video.video_id: video.split for video in captions.videos}


@pytest.mark.parametrize("number", [10, 40, 500, 5000])
def test_a_source_without_parts_is_split_into_the_sizes_asked_for(number):
    for seed in range(10):
        whole, told = split_videos(many(number), val_fraction=0.1, test_fraction=0.2, seed=seed)
        counts = {part: len(whole.part(part)) for part in ("train", "val", "test")}
        assert counts["test"] == number // 5
        assert abs(counts["val"] - 0.08 * number) <= 0.5
        assert sum(counts.values()) == number
        sizes = f"train {counts['train']:,}, val {counts['val']:,}, test {counts['test']:,}."
        assert told == f"c.json: no video is in a part: {number:,} videos were parted by seed {seed} into {sizes}"


def test_parts_depend_on_ids_and_seed_alone_and_the_test_on_ids():
    first, again, other = (
        part_of(split_videos(captions, val_fraction=0.1, test_fraction=0.2, seed=seed)[0])
        for captions, seed in ((many(200), 3), (captioned(*reversed(many(200).videos)), 3), (many(200), 4))
    )
    assert first == again != other
    assert {name for name, part in first.items() if part == "test"} == {
        name for name, part in other.items() if part == "test"
    }


def test_the_segments_of_a_video_stay_together():
    segments = [
        CaptionedVideo(f"v{i}", ("x",), start_seconds=float(s), end_seconds=s + 1.0)
        for i in range(50)
        for s in range(4)
    ]
    split, _ = split_videos(captioned(*segments), val_fraction=0.3, test_fraction=0.3)
    assert len(split.videos) == 200
    assert all(len({video.split for video in split.videos[i : i + 4]}) == 1 for i in range(0, 200, 4))


@pytest.mark.parametrize("seed", range(20))
def test_a_small_source_has_a_video_in_every_part(seed):
    split, _ = split_videos(many(3), val_fraction=0.01, test_fraction=0.01, seed=seed)
    assert sorted(part_of(split).values()) == ["test", "train", "val"]
    most, _ = split_videos(many(5), val_fraction=0.5, test_fraction=0.49, seed=seed)
    assert set(part_of(most).values()) == {"test", "train", "val"}
    larger, _ = split_videos(many(5), val_fraction=0.99, test_fraction=0.7, seed=seed)
    assert set(part_of(larger).values()) == {"test", "train", "val"}, "parts larger than the data"


def test_validation_is_held_out_of_training_never_of_the_test():
    train, test = many(1000, "train").videos, replace(CaptionedVideo("t", ("x",)), split="test")
    split, told = split_videos(captioned(*train, test), val_fraction=0.1)
    assert part_of(split)["t"] == "test"
    assert (len(split.part("test")), len(split.part("val"))) == (1, 100)
    assert told == (
        "c.json: there is no part for validation: 1,000 videos were parted by seed 0 into train 900, val 100."
    )
    assert split_videos(captioned(*train, test), val_fraction=0) == (captioned(*train, test), None)
    with_val = captioned(*train, test, CaptionedVideo("w", ("x",), "val"))
    assert split_videos(with_val) == (with_val, None)
    assert split_videos(captioned(test)) == (captioned(test), None)


def test_a_file_under_two_names_counts_once_and_is_in_one_part():
    """Spellings, links and copies: whatever `file_of` holds equal."""
    file_of = {Path("v/a.mp4"): "A", Path("w/a.mp4"): "A", Path("v/b.mp4"): "B"}
    videos = [
        CaptionedVideo(name, (caption,), split, Path(path), origin=f"c.json:{line}")
        for line, (name, caption, split, path) in enumerate(
            [("a", "x", "train", "v/a.mp4"), ("./a", "y", "train", "w/a.mp4"), ("b", "z", "test", "v/b.mp4")], start=1
        )
    ]
    once = once_each(captioned(*videos), file_of)
    assert [(video.video_id, video.captions) for video in once.videos] == [("a", ("x", "y")), ("b", ("z",))]
    assert once.notes == ("a note.", "Videos given under two names, which count once: 1 (./a as a).")
    assert once_each(captioned(*videos[::2]), file_of) == captioned(*videos[::2])
    torn = captioned(videos[0], replace(videos[1], split="test"))
    with pytest.raises(DatasetError, match=r"^c\.json:2: \./a in test is the same video as a in train \(c\.json:1\)"):
        once_each(torn, file_of)


def test_what_cannot_be_split_is_refused():
    with pytest.raises(DatasetError, match=r"^c\.json: 2 videos cannot be parted into test and val and train"):
        split_videos(many(2))
    mixed = captioned(*many(3, "train").videos, CaptionedVideo("w", ("x",), origin="c.json:9"))
    with pytest.raises(DatasetError, match=r"^c\.json:9: 1 of 4 videos are in no part while others are, first 'w'"):
        split_videos(mixed)


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_files_are_found_by_id_stem_or_path(tmp_path):
    folder = files(tmp_path, "a.mp4", "x/a.mp4", "x/deep/video7.webm", "v_abc.mkv", "y/1.mp4", "z/1.mp4", "x/notes.txt")
    expected = {
        "a.mp4": "a.mp4",  # the very path, though x/a.mp4 has the name too
        "x/a.mp4": "x/a.mp4",
        "video7": "x/deep/video7.webm",
        "video7.mp4": "x/deep/video7.webm",
        "abc": "v_abc.mkv",
        "elsewhere/z/1.mp4": "z/1.mp4",
    }
    matched, skipped = match_videos([CaptionedVideo(name, ("x",)) for name in (*expected, "gone", "notes")], folder)
    assert {video.video_id: video.path for video in matched} == {k: folder / v for k, v in expected.items()}
    assert [(item.path, item.reason) for item in skipped] == [
        (folder / name, f"no video of this name below {folder}") for name in ("gone", "notes")
    ]


def test_an_id_of_two_files_is_refused(tmp_path):
    folder = files(tmp_path, "y/1.mp4", "z/1.avi")
    with pytest.raises(DatasetError) as caught:
        match_videos([CaptionedVideo("1", ("x",), origin="c.json:4")], folder)
    assert str(caught.value) == (
        f"c.json:4: 2 files below {folder} go by the id '1': y/1.mp4, z/1.avi. Give a folder that holds one of them."
    )
