"""Parts of captioned videos, and their files."""

from dataclasses import replace
from pathlib import Path

import pytest

from framecue.datasets.retrieval import CaptionSet, match_videos, split_videos
from framecue.errors import DatasetError, UsageError
from framecue.types import CaptionedVideo


def captioned(*videos: CaptionedVideo) -> CaptionSet:
    return CaptionSet(videos, ("a note.",), "json", Path("c.json"))


def many(number: int, split: str | None = None) -> CaptionSet:
    return captioned(*(CaptionedVideo(f"v{i}.mp4", ("x",), split, origin=f"c.json:{i + 1}") for i in range(number)))


def part_of(captions: CaptionSet) -> dict[str, str | None]:
    return {video.video_id: video.split for video in captions.videos}


def test_a_source_without_parts_is_split_by_the_ids_alone():
    whole = split_videos(many(2000), val_fraction=0.1, test_fraction=0.2, seed=3)
    counts = {part: len(whole.part(part)) for part in ("train", "val", "test")}
    assert sum(counts.values()) == 2000
    assert 340 < counts["test"] < 460
    assert 150 < counts["val"] < 250
    assert whole.notes[0] == "a note."
    told = f"train {counts['train']:,}, val {counts['val']}, test {counts['test']}."
    assert whole.notes[1] == f"c.json: no video is in a part: 2,000 videos were parted by seed 3 into {told}"

    fewer = part_of(split_videos(many(1000), val_fraction=0.1, test_fraction=0.2, seed=3))
    assert fewer.items() <= part_of(whole).items(), "videos added later move no other"
    backwards = captioned(*reversed(many(2000).videos))
    assert part_of(split_videos(backwards, val_fraction=0.1, test_fraction=0.2, seed=3)) == part_of(whole)
    assert part_of(split_videos(many(2000), val_fraction=0.1, test_fraction=0.2, seed=4)) != part_of(whole)


def test_the_segments_of_a_video_stay_together():
    segments = [
        CaptionedVideo(f"v{i}", ("x",), start_seconds=float(s), end_seconds=s + 1.0)
        for i in range(50)
        for s in range(4)
    ]
    split = split_videos(captioned(*segments), val_fraction=0.3, test_fraction=0.3)
    assert len(split.videos) == 200
    assert all(len({video.split for video in split.videos[i : i + 4]}) == 1 for i in range(0, 200, 4))


@pytest.mark.parametrize("seed", range(20))
def test_a_small_source_has_a_video_in_every_part(seed):
    split = split_videos(many(3), val_fraction=0.01, test_fraction=0.01, seed=seed)
    assert sorted(part_of(split).values()) == ["test", "train", "val"]
    most = split_videos(many(5), val_fraction=0.5, test_fraction=0.49, seed=seed)
    assert set(part_of(most).values()) == {"test", "train", "val"}


def test_validation_is_held_out_of_training_never_of_the_test():
    train, test = many(1000, "train").videos, replace(CaptionedVideo("t", ("x",)), split="test")
    split = split_videos(captioned(*train, test), val_fraction=0.1)
    assert part_of(split)["t"] == "test"
    assert len(split.part("test")) == 1
    num_val = len(split.part("val"))
    assert 60 < num_val < 140
    told = f"1,000 videos were parted by seed 0 into train {1000 - num_val}, val {num_val}."
    assert split.notes[1] == f"c.json: there is no part for validation: {told}"
    assert split_videos(captioned(*train, test), val_fraction=0) == captioned(*train, test)
    with_val = captioned(*train, test, CaptionedVideo("w", ("x",), "val"))
    assert split_videos(with_val) == with_val
    assert split_videos(captioned(test)) == captioned(test)


def test_what_cannot_be_split_is_refused():
    with pytest.raises(DatasetError, match=r"^c\.json: 2 videos cannot be parted into test and val and train"):
        split_videos(many(2))
    mixed = captioned(*many(3, "train").videos, CaptionedVideo("w", ("x",), origin="c.json:9"))
    with pytest.raises(DatasetError, match=r"^c\.json:9: 1 of 4 videos are in no part while others are, first 'w'"):
        split_videos(mixed)
    for fractions in ((-0.1, 0.1), (0.5, 0.5), (float("nan"), 0)):
        with pytest.raises(UsageError, match="below 1 together"):
            split_videos(many(9), val_fraction=fractions[0], test_fraction=fractions[1])


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
