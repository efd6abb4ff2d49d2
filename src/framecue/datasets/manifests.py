"""CSV and JSONL manifests: a line per video or part of one, with a path, a label, and optionally times and a part.

Columns (CSV header) and keys (JSONL) may carry any of the names in `COLUMNS`; further ones are ignored. Relative paths
are taken from the manifest's folder, and found in whichever form the disk has them (`files.WrittenNames`).
"""

import codecs
import csv
import difflib
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from framecue.datasets.faults import Report, refuse
from framecue.datasets.naming import ClassNames, label_text, part_name, shorten
from framecue.errors import DatasetError
from framecue.files import WrittenNames
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
    """Line number and cells by column of each row of a CSV file, as `table_rows` reads it.

    Args:
        check_header: "file:line" and the header to the names of the columns; raises where the header will not do.

    Raises:
        DatasetError: the file cannot be read, or (by the report) a row is not valid CSV or has too few or many cells.
    """
    header: list[str] | None = None
    for line, row in table_rows(path, report=report):
        if header is None:
            header = check_header(f"{path}:{line}", [cell.strip() for cell in row])
        elif len(row) != len(header):
            report(
                DatasetError(
                    f"{path}:{line}: {len(row)} columns where the header has {len(header)}. "
                    "Put quotes around cells that hold the separator."
                )
            )
        else:
            yield line, dict(zip(header, row, strict=True))


def table_rows(path: Path, *, report: Report = refuse) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row of a CSV file that holds anything.

    Comma, semicolon and tab are told apart by the first line, or by Excel's `sep=;` above it. Where none but the comma
    can be the decimal sign, "10,5" is a number and comes as "10.5".

    Raises:
        DatasetError: the file cannot be read, or (by the report) a row is not valid CSV.
    """
    text = read_text(path)
    first, _, rest = text.lstrip().partition("\n")
    named = _EXCEL_SEPARATOR.fullmatch(first.rstrip("\r"))
    unquoted = re.sub('"[^"]*"', "", first)
    delimiter = named[1] if named else max(",;\t", key=unquoted.count)
    num_before = len(text) - len(text.lstrip())
    skipped = text[:num_before].count("\n") + 1 if named else 0
    rows = _rows(path, rest if named else text, delimiter, skipped, report)
    if delimiter == "," or "," not in text:
        return rows
    return iter(_with_decimal_points(list(rows)))


def _rows(path: Path, text: str, delimiter: str, skipped: int, report: Report) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            report(DatasetError(f"{path}:{skipped + rows.line_num}: not valid CSV: {error}. Check the quotes there."))
            continue
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield skipped + rows.line_num, row


_EXCEL_SEPARATOR = re.compile(r"sep=([,;\t])", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+|[1-9]\d{0,2}(?:[.\s']\d{3})+),\d+(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.\s']\d{3})+")
_WHOLE = re.compile(r"[+-]?\d+")


def _with_decimal_points(rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The rows, numbers with a decimal comma ("10,5", "1.234,5") as programs read them.

    A column is one of such numbers when most of its cells under the header are, for "3,5" may also be a text.
    """
    cells: dict[int, list[str]] = {}
    for _, row in rows[1:]:
        for column, cell in enumerate(row):
            if cell.strip():
                cells.setdefault(column, []).append(cell.strip())
    columns = [column for column, found in cells.items() if _are_numbers(found)]
    for _, row in rows[1:]:
        for column in columns:
            cell = row[column].strip() if column < len(row) else ""
            if _DECIMAL_COMMA.fullmatch(cell) or _GROUPED.fullmatch(cell):
                row[column] = re.sub(r"[.\s']", "", cell).replace(",", ".")
    return rows


def _are_numbers(cells: list[str]) -> bool:
    decimal = sum(_DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells)
    others = sum(bool(_WHOLE.fullmatch(cell) or _GROUPED.fullmatch(cell)) for cell in cells) if decimal else 0
    return decimal > 0 and 2 * (decimal + others) > len(cells)


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_head(path: Path) -> str:
    """The beginning of a file as text, to tell what it is; what cannot be read of it is marked, not refused.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(4096)
    return data.decode(_encoding(data), "replace").lstrip()


def _encoding(data: bytes) -> str:
    """UTF-8, or what the byte order mark says."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")


def read_text(path: Path) -> str:
    """The file as text: UTF-8, or what the byte order mark at its beginning says; the mark is dropped.

    Raises:
        DatasetError: the file cannot be read, or is in an encoding that nothing in it tells.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. Check the path and its rights.") from None
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
        zero = text.find("\0")
        problem = "a zero byte, which no text holds" if zero >= 0 else None
        before = text[:zero]
    except UnicodeDecodeError as error:
        problem = f"byte 0x{data[error.start]:02x} is not {encoding.removesuffix('-sig').upper()}"
        before = data[: error.start].decode(encoding, "ignore")
    if problem is not None:
        guess = "UTF-16 without a mark at its beginning" if b"\0" in data else "Latin-1, Windows-1252, Shift-JIS or GBK"
        guess = f", perhaps {guess}" if encoding == "utf-8" else ""
        line = before.count("\n") + 1
        raise DatasetError(f"{path}:{line}: {problem}{guess}. Save the file as UTF-8.")
    return text


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
        refuse_unread_times(origin, names)
        typo = difflib.get_close_matches(field, names, n=1, cutoff=0.8)
        if typo:
            raise DatasetError(f"{origin}: unknown column '{typo[0]}'; did you mean '{field}'?")
    return names


_UNIT = r"[\s_-]*(?:time|frame|sec|ms|msec|ts|idx|index)"
_TIMES = {
    "start_seconds": re.compile(rf"(?:start|begin)(?:$|{_UNIT})|frame[\s_-]*start|first[\s_-]*frame"),
    "end_seconds": re.compile(rf"(?:end|stop)(?:$|{_UNIT})|frame[\s_-]*end|last[\s_-]*frame"),
}
"""For each field, columns that tell times in another way, and are not read."""


def refuse_unread_times(origin: str, columns: Iterable[str]) -> None:
    """Refuse columns such as start_frame, which would be passed over, and the whole video taken.

    Args:
        columns: names in lower case.

    Raises:
        DatasetError: one seems to hold times, and none that is read is there.
    """
    names = tuple(columns)
    for field, pattern in _TIMES.items():
        unread = next((name for name in names if pattern.match(name)), None)
        if unread is not None and not set(COLUMNS[field]) & set(names):
            raise DatasetError(
                f"{origin}: column '{unread}' is not read; times are seconds, in a column '{field}'. Divide frame "
                "numbers by the video's frame rate, or give the column another name."
            )


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
    names, files = ClassNames(report), WrittenNames()
    records: list[Record] = []
    for number, row in rows:
        try:
            record = _record(path.parent, row, f"{path}:{number}", names)
            records.append(replace(record, path=files.find(record.path)))
        except DatasetError as error:
            report(error)
    if not records:
        raise DatasetError(
            f"{path} holds no videos. Give a line for each: path, label and, if wanted, start, end, split."
        )
    return records


def _record(folder: Path, row: Mapping[str, Any], origin: str, names: ClassNames) -> Record:
    refuse_unread_times(origin, row)
    fields = {field: _first(row, accepted) for field, accepted in COLUMNS.items()}
    fields["label"] = _one_label(fields["label"], origin)
    for field in ("path", "label"):
        if is_nothing(fields[field]):
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


def _one_label(value: Any, origin: str) -> Any:
    """A whole number as text, and the only one of a list."""
    if isinstance(value, list):
        if len(value) > 1:
            raise DatasetError(
                f"{origin}: found the labels {shorten([repr(label) for label in value])}. Recognition takes one label "
                "for each video: choose one, or train localization, which takes them as overlapping segments."
            )
        value = value[0] if value else None
    return label_text(value)


def _first(row: Mapping[str, Any], accepted: tuple[str, ...]) -> Any:
    """The first of the accepted columns that is filled."""
    values = (row.get(name) for name in accepted)
    return next((value for value in values if value is not None and str(value).strip()), None)


def is_nothing(value: Any) -> bool:
    """Whether JSON holds null there, or the NaN that pandas writes for an empty cell."""
    return value is None or value != value


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
