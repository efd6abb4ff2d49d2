"""framecue's own form of captions: a video and its captions an entry, as JSON, JSONL, CSV or TSV."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from framecue.datasets.json_items import read_json_items
from framecue.datasets.manifests import COLUMNS, csv_rows, jsonl_rows, refuse_unread_times
from framecue.datasets.naming import part_name
from framecue.datasets.retrieval.caption_set import RawEntry
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.errors import DatasetError
from framecue.files import WrittenNames
from framecue.video.files import has_video_extension

FIELDS: dict[str, tuple[str, ...]] = {
    "video": ("video", *COLUMNS["path"], "video_id", "videoid", "video_name", "clip_name", "id"),
    "caption": (
        *("caption", "captions", "sentence", "sentences", "text", "description"),
        *("encap", "text_caption", "transcription", "transcript"),
    ),
    "start": COLUMNS["start_seconds"],
    "end": COLUMNS["end_seconds"],
    "split": COLUMNS["split"],
    "group": ("group", "label"),
}
"""For each field of an entry the column names and keys that are understood, in lower case and best first."""


def read_simple_json(path: Path, notes: CaptionNotes, *, part_by_folder: bool = True) -> Iterator[RawEntry]:
    """`[{"video", "caption"}]`, `{video: caption}` or `{video: {"caption"}}`; a caption is a text or a list of them.

    VATEX's `[{"videoID", "enCap"}]` is of this form too.

    Args:
        part_by_folder: where an entry names no part, a folder in its path may.
    """
    located = _locator(path, part_by_folder, notes)
    keys: set[str] = set()
    for origin, key, value in read_json_items(path):
        if key is None:
            yield from map(located, _entry_of(value, origin, notes))
            continue
        if key in keys:
            notes.add("twice", f"{origin}, {key[:100]}")
        keys.add(key)
        if isinstance(value, Mapping):
            yield from map(located, _entry_of({**value, "video": key}, origin, notes))
        else:
            yield located(RawEntry(key, value, origin))


def read_simple_jsonl(path: Path, notes: CaptionNotes, *, part_by_folder: bool = True) -> Iterator[RawEntry]:
    """One `{"video", "caption"}` a line. The built-in world's captions.jsonl is of this form."""
    located = _locator(path, part_by_folder, notes)
    for number, row in jsonl_rows(path, notes.report):
        yield from map(located, _entry_of(row, f"{path}:{number}", notes))


def read_simple_csv(path: Path, notes: CaptionNotes, *, part_by_folder: bool = True) -> Iterator[RawEntry]:
    """A row for each caption, under a header that names at least the video and the caption."""
    located = _locator(path, part_by_folder, notes)
    for number, row in csv_rows(path, _check_header, report=notes.report):
        yield from map(located, _entry_of(row, f"{path}:{number}", notes))


def _check_header(origin: str, header: list[str]) -> list[str]:
    names = [name.lower() for name in header]
    named = [name for name in names if name]
    shown = ", ".join(header)[:200]
    if not set(FIELDS["video"]) & set(names):
        raise DatasetError(f"{origin}: the header needs a column for the video, found {shown}. Name it 'video'.")
    if not set(FIELDS["caption"]) & set(names):
        raise DatasetError(
            f"{origin}: the header needs a column for the caption, found {shown}. Name it 'caption'; a list of ids is "
            "read as a folder, with the official file of captions in it."
        )
    if len(set(named)) < len(named):
        raise DatasetError(f"{origin}: two columns have the same name, found {shown}. Rename one.")
    return names


def _entry_of(value: Any, origin: str, notes: CaptionNotes) -> Iterator[RawEntry]:
    """The entry of one object or row; none where it cannot be understood."""
    if not isinstance(value, Mapping):
        notes.report(
            DatasetError(f"{origin}: an entry must be an object with 'video' and 'caption', found {str(value)[:40]!r}.")
        )
        return
    row = {str(key).lower(): content for key, content in value.items()}
    try:
        refuse_unread_times(origin, row)
    except DatasetError as error:
        notes.report(error)
        return
    fields = {
        field: next((row[name] for name in names if row.get(name) is not None), None) for field, names in FIELDS.items()
    }
    for field in ("video", "caption"):
        if fields[field] is None and not (field == "caption" and set(row) & set(FIELDS["caption"])):
            keys = ", ".join(row)[:200] or "none"
            notes.report(DatasetError(f"{origin}: the {field} is missing, found the keys {keys}. Add '{field}'."))
            return
    yield RawEntry(
        fields["video"],
        fields["caption"],
        origin,
        split=fields["split"],
        start=fields["start"],
        end=fields["end"],
        group=fields["group"],
    )


def _locator(path: Path, part_by_folder: bool, notes: CaptionNotes) -> Callable[[RawEntry], RawEntry]:
    return partial(_located, folder=path.parent, files=WrittenNames(), part_by_folder=part_by_folder, notes=notes)


def _located(entry: RawEntry, folder: Path, files: WrittenNames, part_by_folder: bool, notes: CaptionNotes) -> RawEntry:
    """The entry with its file, where one lies at its path from the list's folder, and its part by a folder's name."""
    if not isinstance(entry.video, str):
        return entry
    name = entry.video.strip()
    split = entry.split
    if split is None and part_by_folder and (split := _part_of_folder(name)) is not None:
        notes.add("folder", f"{entry.origin}, {name[:200]}")
    return entry._replace(split=split, path=_file(folder, name, files))


def _part_of_folder(name: str) -> str | None:
    """The part that a folder of this path names; None where none or more than one does."""
    parts = {part for folder in PurePosixPath(name).parts[:-1] if (part := part_name(folder)) is not None}
    return parts.pop() if len(parts) == 1 else None


def _file(folder: Path, name: str, files: WrittenNames) -> Path | None:
    path = files.find(folder / name)
    try:
        return path if has_video_extension(path) and path.is_file() else None
    except (OSError, ValueError):  # a name no file system takes
        return None
