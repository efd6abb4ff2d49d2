"""framecue's own form of captions: a video and its captions an entry, as JSON, JSONL, CSV or TSV."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from framecue.datasets.json_items import read_json_items
from framecue.datasets.manifests import COLUMNS, csv_rows, jsonl_rows
from framecue.datasets.naming import part_name
from framecue.datasets.retrieval.caption_set import RawEntry
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.errors import DatasetError
from framecue.video.files import has_video_extension

FIELDS: dict[str, tuple[str, ...]] = {
    "video": ("video", *(name for name in COLUMNS["path"] if name != "video"), "video_id", "clip_name"),
    "caption": ("caption", "captions", "sentence", "sentences", "text", "description"),
    "start": COLUMNS["start_seconds"],
    "end": COLUMNS["end_seconds"],
    "split": COLUMNS["split"],
}
"""For each field of an entry the column names and keys that are understood, best first; others are ignored."""


def read_simple_json(path: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    """`[{"video", "caption"}]` or `{video: caption}`; a caption is a text or a list of them."""
    keys: set[str] = set()
    for origin, key, value in read_json_items(path):
        if key in keys:
            notes.add("twice", f"{origin}, {key}")
        if key is None:
            yield from _entry_of(value, origin, path.parent, notes)
        else:
            keys.add(key)
            yield _located(RawEntry(key, value, origin), path.parent, notes)


def read_simple_jsonl(path: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    """One `{"video", "caption"}` a line. The built-in world's captions.jsonl is of this form."""
    for number, row in jsonl_rows(path, notes.report):
        yield from _entry_of(row, f"{path}:{number}", path.parent, notes)


def read_simple_csv(path: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    """A row for each caption, under a header that names at least the video and the caption."""
    for number, row in csv_rows(path, _check_header, report=notes.report):
        yield from _entry_of(row, f"{path}:{number}", path.parent, notes)


def _check_header(origin: str, header: list[str]) -> list[str]:
    names = [name.lower() for name in header]
    for field in ("video", "caption"):
        if not set(FIELDS[field]) & set(names):
            raise DatasetError(
                f"{origin}: the header needs a column for the {field}, found {', '.join(header)[:200]}. "
                f"Name it '{field}'."
            )
    if len(set(filter(None, names))) < len(list(filter(None, names))):
        raise DatasetError(f"{origin}: two columns have the same name, found {', '.join(header)[:200]}. Rename one.")
    return names


def _entry_of(value: Any, origin: str, folder: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    if not isinstance(value, Mapping):
        notes.report(
            DatasetError(f"{origin}: an entry must be an object with 'video' and 'caption', found {str(value)[:40]!r}.")
        )
        return
    row = {str(key).lower(): content for key, content in value.items()}
    fields = {
        field: next((row[name] for name in names if row.get(name) is not None), None) for field, names in FIELDS.items()
    }
    for field in ("video", "caption"):
        if fields[field] is None:
            notes.report(
                DatasetError(
                    f"{origin}: the {field} is missing, found the keys {', '.join(row)[:200] or 'none'}. Add '{field}'."
                )
            )
            return
    entry = RawEntry(fields["video"], fields["caption"], origin, fields["split"], fields["start"], fields["end"])
    yield _located(entry, folder, notes)


def _located(entry: RawEntry, folder: Path, notes: CaptionNotes) -> RawEntry:
    """The entry with its file, where that lies at this path below or beside the list, and its part by the folder."""
    if not isinstance(entry.video, str):
        return entry
    name = entry.video.strip()
    split = entry.split
    if split is None and (named := _part_of_folder(name)) is not None:
        split = named
        notes.add("folder", f"{entry.origin}, {name[:200]}")
    return entry._replace(split=split, path=_file(folder, name))


def _part_of_folder(name: str) -> str | None:
    """The part that a folder of this relative path names; None where none or more than one does."""
    parts = {part for folder in PurePosixPath(name).parts[:-1] if (part := part_name(folder)) is not None}
    return parts.pop() if len(parts) == 1 else None


def _file(folder: Path, name: str) -> Path | None:
    path = folder / name
    try:
        return path if has_video_extension(path) and path.is_file() else None
    except (OSError, ValueError):  # a name no file system takes
        return None
