"""Columns that people keep about their videos, in a CSV or JSONL file, and which video each line is about."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from framecue.datasets.manifests import COLUMNS, csv_rows, read_text
from framecue.errors import DatasetError
from framecue.files import backslash_hint, name_form
from framecue.types import MetadataValue, Skipped

Columns = Mapping[str, MetadataValue]

_LARGEST_INT = 2**63 - 1
_TRUTH = {"true": True, "false": False}


def read_metadata(path: Path) -> dict[str, dict[str, MetadataValue]]:
    """What is said of each video: its path, or file name with or without ending, to its columns.

    One column names the video (`path`, `file`, `video`, ...), all others are metadata. The cells of a CSV column are
    all whole numbers, or all numbers, or all true or false, or else text; empty ones say nothing.

    Raises:
        DatasetError: the file or a line of it cannot be understood, or two lines are about one video; the message
            begins with "file:line".
    """
    rows = _jsonl_rows(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(path)
    found: dict[str, dict[str, MetadataValue]] = {}
    for origin, key, columns in rows:
        if not isinstance(key, str) or not key.strip():
            raise DatasetError(f"{origin}: the video must be named by a path, found {key!r:.60}. Fill it in.")
        if key.strip() in found:
            raise DatasetError(f"{origin}: a second line about {key.strip()!r:.100}. Remove one.")
        found[key.strip()] = columns
    if not found:
        raise DatasetError(f"{path} holds no lines about videos. Give a line for each: path and any other columns.")
    return found


def match_metadata(metadata: Mapping[str, Columns], files: Iterable[Path]) -> tuple[dict[Path, Columns], list[Skipped]]:
    """Columns by file, and the keys that name no file, or several.

    A key is an absolute path, the end of one ("cams/a.mp4"), a file name, or one without its ending; the first of
    these that a file has counts. Names are compared as `files.name_form` says.
    """
    matcher = _Matcher(files)
    matched: dict[Path, Columns] = {}
    unmatched: list[Skipped] = []
    named = {key: matcher.find(key) for key in metadata}
    for key in sorted(named, key=lambda key: named[key][1]):
        found = named[key][0]
        if len(found) != 1:
            reason = (
                f"no such video{backslash_hint(key)}"
                if not found
                else f"{len(found)} videos have this name; write the path"
            )
            unmatched.append(Skipped(Path(key), reason))
        elif found[0] in matched:
            unmatched.append(Skipped(Path(key), f"another line is about {found[0]}; write one"))
        else:
            matched[found[0]] = metadata[key]
    return matched, unmatched


class _Matcher:
    def __init__(self, files: Iterable[Path]) -> None:
        self._by_path: dict[str, list[Path]] = {}
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in sorted(set(files)):
            self._by_path.setdefault(name_form(path), []).append(path)
            self._by_name.setdefault(name_form(path.name), []).append(path)
            self._by_stem.setdefault(name_form(path.stem), []).append(path)

    def find(self, key: str) -> tuple[list[Path], int]:
        """The files, and how loosely they are named."""
        key = name_form(key)
        if key in self._by_path:
            return self._by_path[key], 0
        parts = Path(key.removeprefix("./")).parts
        same_name = self._by_name.get(Path(key).name, [])
        at_end = [file for file in same_name if Path(name_form(file)).parts[-len(parts) :] == parts]
        if at_end or len(parts) > 1:
            return at_end, 1
        return self._by_stem.get(key, []), 2


def _csv_rows(path: Path) -> list[tuple[str, Any, dict[str, MetadataValue]]]:
    rows = list(csv_rows(path, _check_header))
    if not rows:
        return []
    names = list(rows[0][1])
    video = _video_column(names, str(path))
    readers = {name: _reader_of([row[name] for _, row in rows]) for name in names if name != video}
    return [
        (
            f"{path}:{number}",
            row[video],
            {name: read(row[name].strip()) for name, read in readers.items() if row[name].strip()},
        )
        for number, row in rows
    ]


def _check_header(origin: str, header: list[str]) -> list[str]:
    if not all(header):
        raise DatasetError(f"{origin}: every column must have a name, found {', '.join(map(repr, header))}. Name it.")
    if len({name.lower() for name in header}) < len(header):
        raise DatasetError(f"{origin}: two columns have the same name, found {', '.join(header)}. Rename one.")
    _video_column(header, origin)
    return header


def _video_column(names: Iterable[str], origin: str) -> str:
    by_lower = {name.lower(): name for name in names}
    found = next((by_lower[name] for name in (*COLUMNS["path"], "video_id", "id") if name in by_lower), None)
    if found is None:
        raise DatasetError(
            f"{origin}: a column must name the video, found {', '.join(by_lower.values()) or 'none'}. Name it 'path' "
            f"(or {', '.join(COLUMNS['path'][1:])})."
        )
    return found


def _reader_of(cells: Iterable[str]) -> Any:
    """The narrowest type that all cells of a column have."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    for read in (_read_int, _read_float, _read_truth):
        if filled and all(read(cell) is not None for cell in filled):
            return read
    return str


def _read_int(text: str) -> int | None:
    # Leading zeros are names: "007" is no 7.
    digits = text.lstrip("+-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19 or (len(digits) > 1 and digits[0] == "0"):
        return None
    value = int(text) if len(text) - len(digits) <= 1 else None
    return value if value is not None and abs(value) <= _LARGEST_INT else None


def _read_float(text: str) -> float | None:
    digits = text.lstrip("+-")
    if "_" in text or (len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_truth(text: str) -> bool | None:
    return _TRUTH.get(text.lower())


def _jsonl_rows(path: Path) -> list[tuple[str, Any, dict[str, MetadataValue]]]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        origin = f"{path}:{number}"
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{origin}: not valid JSON: {' '.join(str(error).split())[:100]}.") from None
        if not isinstance(told, dict):
            raise DatasetError(f"{origin}: every line must be a JSON object, found {line.strip()[:40]}.")
        video = _video_column(told, origin)
        columns = {name: value for name, value in told.items() if name != video and value is not None}
        for name, value in columns.items():
            is_odd = not isinstance(value, str | int | float | bool) or (
                not isinstance(value, str) and not math.isfinite(value)
            )
            if is_odd or (isinstance(value, int) and abs(value) > _LARGEST_INT):
                raise DatasetError(
                    f"{origin}: column {name!r:.60} must be text, a number, or true or false, found {value!r:.60}."
                )
        rows.append((origin, told[video], columns))
    return rows
