"""Reads captions of videos in any form that framecue knows."""

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from framecue.config import CaptionFormat
from framecue.datasets.localization.notes import Invalid
from framecue.datasets.naming import part_name, shorten
from framecue.datasets.retrieval.caption_set import CaptionSet, RawEntry, gather
from framecue.datasets.retrieval.forms import READERS, Reader, find_format, part_files, part_of_file
from framecue.datasets.retrieval.msrvtt import MsrvttProtocol, read_msrvtt
from framecue.datasets.retrieval.msvd import read_msvd
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.datasets.retrieval.video_files import match_videos
from framecue.errors import DatasetError, UsageError
from framecue.types import CaptionedVideo

Missing = Literal["skip", "error"]


def read_captions(
    source: str | Path,
    *,
    format: CaptionFormat = "auto",
    split: str | None = None,
    videos: str | Path | None = None,
    protocol: MsrvttProtocol = "9k",
    paragraph: bool = True,
    invalid: Invalid = "refuse",
    missing: Missing = "skip",
) -> CaptionSet:
    """The captioned videos of a file, or of a folder of official files or of one file a part.

    A video is in the part that its entry names, else the file's name (test_data.json), else a folder in its path.
    Captions are made one line without stray white space, empty ones left out; one that stands twice for its video stays
    so, since the benchmarks count it. Markup stays as it is.

    Args:
        split: "train", "val" or "test": the part that is wanted; the others are left out and counted.
        videos: the folder of the video files. None = paths as the source has them, where there is a file.
        protocol: MSR-VTT's (see `read_msrvtt`).
        paragraph: DiDeMo and ActivityNet Captions: all sentences of a video are one caption; False = one each.
        invalid: an entry that cannot be understood is refused, or ("drop") left out and counted.
        missing: a video without a file below `videos` is left out and counted, or ("error") refused.

    Raises:
        DatasetError: the source cannot be read, is of no known form, or nothing is left.
        UsageError: a format, protocol, part, `invalid` or `missing` that does not exist.
    """
    source, asked = Path(source), None if split is None else part_name(split)
    _check_choice("format", format, get_args(CaptionFormat))
    _check_choice("protocol", protocol, get_args(MsrvttProtocol))
    _check_choice("invalid", invalid, ("refuse", "drop"))
    _check_choice("missing", missing, get_args(Missing))
    if split is not None and asked is None:
        raise UsageError(f"split must be train, val or test, found {split!r}.")
    notes = CaptionNotes(source, invalid)
    found = find_format(source) if format == "auto" else format
    entries: Iterable[RawEntry]
    if found == "msrvtt" and source.is_dir():
        entries = read_msrvtt(source, notes, protocol=protocol, split=asked)
    elif found == "msvd":
        entries = read_msvd(source, notes)
    else:
        entries = _entries_of_files(part_files(source, found, notes), found, paragraph, notes)
    captioned = gather(entries, notes)
    if asked is not None:
        captioned = _of_part(captioned, asked, notes)
    if videos is not None:
        captioned = _with_files(captioned, Path(videos), missing, notes)
    return CaptionSet(captioned, notes.lines(), found, source)


def _with_files(
    videos: Collection[CaptionedVideo], folder: Path, missing: Missing, notes: CaptionNotes
) -> tuple[CaptionedVideo, ...]:
    matched, skipped = match_videos(videos, folder)
    if not matched:
        raise DatasetError(f"{notes.source}: none of its {len(videos)} videos is below {folder}. Check the folder.")
    if skipped and missing == "error":
        raise DatasetError(
            f"{notes.source}: {len(skipped):,} of {len(videos):,} videos have no file below {folder} "
            f"({shorten([item.path.name for item in skipped], 3)}). Add the files, or let such videos be skipped."
        )
    for item in skipped:
        notes.add("missing", item.path.name)
    return matched


def _entries_of_files(files: list[Path], format: str, paragraph: bool, notes: CaptionNotes) -> Iterator[RawEntry]:
    reader: Reader = READERS[format]
    if format in ("didemo", "activitynet_captions"):
        reader = partial(reader, paragraph=paragraph)
    for path in files:
        part = part_of_file(path, format)
        told_by_name = False
        for entry in reader(path, notes):
            if entry.split is None and part is not None:
                told_by_name = True
                entry = entry._replace(split=part)
            yield entry
        if told_by_name:
            notes.add("file", f"{path.name}: {part}")


def _of_part(videos: tuple[CaptionedVideo, ...], asked: str, notes: CaptionNotes) -> tuple[CaptionedVideo, ...]:
    kept = tuple(video for video in videos if video.split == asked)
    if not kept:
        there = ", ".join(sorted({video.split or "no part" for video in videos}))
        raise DatasetError(
            f"{notes.source}: no video is in '{asked}', found {there}. Ask for one of these, or for all."
        )
    for video in videos:
        if video.split != asked:
            notes.add("unasked", video.video_id)
    return kept


def _check_choice(name: str, found: str, choices: tuple[str, ...]) -> None:
    if found not in choices:
        raise UsageError(f"{name} must be {', '.join(choices)}, found {found!r}.")
