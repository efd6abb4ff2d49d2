"""CSV and JSONL manifests: a line per video or part of one, with a path, a label, and optionally times and a part.

Columns (CSV header) and keys (JSONL) may carry any of the names in `COLUMNS`; further ones are ignored. Relative paths
are taken from the manifest's folder.
"""

import csv
import difflib
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from framecue.datasets.faults import Report, refuse
from framecue.datasets.naming import ClassNames, part_name
from framecue.errors import DatasetError
from framecue.types import Record

COLUMNS: dict[str, tuple[str, ...]] = {
    "path": ("path", "file_name", "filename", "file", "file_path", "filepath", "video", "video_path", "video_file"),
    "label": ("label", "class", "class_name", "category", "action"),
    "start_seconds": ("start_seconds", "start", "start_time", "time_start", "start_s", "t_start", "begin"),
    "end_seconds": ("end_seconds", "end", "end_time", "time_end", "end_s", "t_end"),
    "split": ("split", "subset", "part", "partition"),
}
"""For each field of a record, the column names that are understood, best first."""


def read_csv(path: Path, *, report: Report = refuse) -> list[Record]:
    """Records of a CSV file with a header; comma, semicolon and tab are told apart by the header.

    Raises:
        DatasetError: the file or (by the report) a line of it cannot be understood; the message begins with
            "file:line".
    """
    return _records(path, csv_rows(path, _check_header, report=report), report)


def read_jsonl(path: Path, *, report: Report = refuse) -> list[Record]:
    """Records of a JSONL file: one JSON object a line.

    Raises:
        DatasetError: the file or (by the report) a line of it cannot be understood; the message begins with
            "file:line".
    """
    return _records(path, jsonl_rows(path, report), report)


def csv_rows(
    path: Path, check_header: Callable[[str, list[str]], list[str]], *, report: Report = refuse
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row of a CSV file.

    Args:
        check_header: "file:line" and the header to the names of the columns; raises where the header will not do.

    Raises:
        DatasetError: the file cannot be read, or (by the report) a row is not valid CSV or has too few or many cells.
    """
    text = read_text(path)
    header_line = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] | None = None
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            report(DatasetError(f"{path}:{rows.line_num}: not valid CSV: {error}. Check the quotes there."))
            continue
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = check_header(f"{path}:{rows.line_num}", [cell.strip() for cell in row])
        elif len(row) != len(header):
            report(
                DatasetError(
                    f"{path}:{rows.line_num}: {len(row)} columns where the header has {len(header)}. "
                    "Put quotes around cells that hold the separator."
                )
            )
        else:
            yield rows.line_num, dict(zip(header, row, strict=True))


def read_text(path: Path) -> str:
    """The file as text; a UTF-8 byte order mark is dropped.

    Raises:
        DatasetError: the file cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. Check the path and its rights.") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        guess = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "Latin-1 or Windows-1252"
        raise DatasetError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8, perhaps {guess}. Save the file as UTF-8."
        ) from None


def _check_header(origin: str, header: list[str]) -> list[str]:
    """The header in lower case, checked: needed columns there, none twice, none mistyped."""
    names = [name.lower() for name in header]
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise DatasetError(f"{origin}: two columns have the same name, found {', '.join(header)}. Rename one.")
    for field, accepted in COLUMNS.items():
        if set(accepted) & set(names):
            continue
        if field in ("path", "label"):
            raise DatasetError(
                f"{origin}: the header needs a column for the {field}, found {', '.join(header)}. "
                f"Name it '{accepted[0]}' (or {', '.join(accepted[1:])})."
            )
        typo = difflib.get_close_matches(field, names, n=1, cutoff=0.8)
        if typo:
            raise DatasetError(f"{origin}: unknown column '{typo[0]}'; did you mean '{field}'?")
    return names


def jsonl_rows(path: Path, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, _json_object(line, f"{path}:{number}")
        except DatasetError as error:
            report(error)


def _json_object(line: str, origin: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{origin}: not valid JSON: {error.msg} at column {error.colno}.") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets without end
        raise DatasetError(f"{origin}: a number or a nesting of absurd size. Fix the line.") from None
    if not isinstance(row, dict):
        raise DatasetError(f"{origin}: every line must be a JSON object, found {line.strip()[:40]}.")
    return {key.lower(): value for key, value in row.items()}


def _records(path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]], report: Report) -> list[Record]:
    names = ClassNames(report)
    records: list[Record] = []
    for number, row in rows:
        try:
            records.append(_record(path.parent, row, f"{path}:{number}", names))
        except DatasetError as error:
            report(error)
    if not records:
        raise DatasetError(
            f"{path} holds no videos. Give a line for each: path, label and, if wanted, start, end, split."
        )
    return records


def _record(folder: Path, row: Mapping[str, Any], origin: str, names: ClassNames) -> Record:
    fields = {field: _first(row, accepted) for field, accepted in COLUMNS.items()}
    for field in ("path", "label"):
        if fields[field] is None:
            raise DatasetError(f"{origin}: the {field} is empty. Fill it in, or remove the line.")
        if not isinstance(fields[field], str):
            raise DatasetError(f"{origin}: the {field} must be text, found {fields[field]!r}. Put it in quotes.")
    start_seconds = parse_seconds(fields["start_seconds"], "start", origin)
    end_seconds = parse_seconds(fields["end_seconds"], "end", origin)
    if end_seconds is not None and (start_seconds or 0.0) >= end_seconds:
        raise DatasetError(
            f"{origin}: start must be before end, found {start_seconds or 0.0:g} and {end_seconds:g} s. Fix the times."
        )
    return Record(
        path=folder / fields["path"].strip(),
        label=names.add(fields["label"], origin),
        split=parse_part(fields["split"], origin),
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        origin=origin,
    )


def _first(row: Mapping[str, Any], accepted: tuple[str, ...]) -> Any:
    """The first of the accepted columns that is filled."""
    values = (row.get(name) for name in accepted)
    return next((value for value in values if value is not None and str(value).strip()), None)


def parse_seconds(value: Any, name: str, origin: str) -> float | None:
    if value is None:
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise DatasetError(
            f"{origin}: {name} must be a number of seconds from 0 up, found {value!r}. Write it as 12.5."
        )
    return seconds


def parse_part(value: Any, origin: str) -> str | None:
    if value is None:
        return None
    part = part_name(str(value))
    if part is None:
        raise DatasetError(f"{origin}: unknown split {value!r}. Write train, val or test.")
    return part
