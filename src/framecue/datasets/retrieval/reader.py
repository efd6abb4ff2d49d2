"""Reads captions of videos in any form that framecue knows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

from framecue.datasets.localization.notes import Invalid
from framecue.datasets.naming import part_in_file_name, part_name
from framecue.datasets.retrieval.caption_set import CaptionSet, RawEntry, gather
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.datasets.retrieval.simple import read_simple_csv, read_simple_json, read_simple_jsonl
from framecue.datasets.retrieval.video_files import match_videos
from framecue.errors import DatasetError, UsageError
from framecue.types import CaptionedVideo

CaptionFormat = Literal["auto", "json", "jsonl", "csv"]

_READERS: dict[str, Callable[[Path, CaptionNotes], Iterator[RawEntry]]] = {
    "json": read_simple_json,
    "jsonl": read_simple_jsonl,
    "csv": read_simple_csv,
}
_ENDINGS = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}


def read_captions(
    source: str | Path,
    *,
    format: CaptionFormat = "auto",
    split: str | None = None,
    videos: str | Path | None = None,
    invalid: Invalid = "refuse",
) -> CaptionSet:
    """The captioned videos of a file or folder.

    Args:
        split: "train", "val" or "test": the part that is wanted; the others are left out and counted.
        videos: the folder of the video files; videos without a file there are left out and counted. None = paths as the
            source has them, where there is a file.
        invalid: an entry that cannot be understood is refused, or ("drop") left out and counted.

    Raises:
        DatasetError: the source cannot be read, is of no known form, or nothing is left.
        UsageError: a format, part or `invalid` that does not exist.
    """
    source = Path(source)
    if format not in get_args(CaptionFormat):
        raise UsageError(f"format must be {', '.join(get_args(CaptionFormat))}, found {format!r}.")
    if invalid == "keep":
        raise UsageError("invalid must be refuse or drop, found 'keep'.")
    notes = CaptionNotes(source, invalid)
    found = _find_format(source) if format == "auto" else format
    read = gather(_READERS[found](source, notes), notes)
    if split is not None:
        read = _part(read, split, notes)
    if videos is not None:
        read = with_files(read, Path(videos), notes)
    return CaptionSet(read, notes.lines(), found, source)


def with_files(videos: tuple[CaptionedVideo, ...], folder: Path, notes: CaptionNotes) -> tuple[CaptionedVideo, ...]:
    """The videos whose file is below `folder`, the others counted.

    Raises:
        DatasetError: none is there.
    """
    matched, skipped = match_videos(videos, folder)
    for item in skipped:
        notes.add("missing", item.path.name)
    if not matched:
        raise DatasetError(f"{notes.source}: none of its {len(videos)} videos is below {folder}. Check the folder.")
    return matched


def _part(videos: tuple[CaptionedVideo, ...], asked: str, notes: CaptionNotes) -> tuple[CaptionedVideo, ...]:
    name = part_name(asked)
    if name is None:
        raise UsageError(f"split must be train, val or test, found {asked!r}.")
    kept = tuple(video for video in videos if video.split == name)
    if not kept:
        there = sorted({video.split or "no part" for video in videos})
        raise DatasetError(
            f"{notes.source}: no video is in '{name}', found {', '.join(there)}. Ask for one of these, or for all."
        )
    for video in videos:
        if video.split != name:
            notes.add("unasked", video.video_id)
    return kept


def _find_format(source: Path) -> str:
    if not source.exists():
        raise DatasetError(f"{source} does not exist. Relative paths are taken from {Path.cwd()}.")
    found = _ENDINGS.get(source.suffix.lower())
    if found is None or not source.is_file():
        raise DatasetError(f"{source} holds no captions of a known form. Give a .json, .jsonl, .csv or .tsv file.")
    return found


def split_by_file_name(path: Path) -> str | None:
    """The part that the name of the file says: "test" for test_data.json."""
    return part_in_file_name(path.stem)
