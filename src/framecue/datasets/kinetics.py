"""Kinetics-400, -600 and -700 in their official CSV and JSON files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from framecue.datasets.faults import Report, refuse
from framecue.datasets.file_index import FileIndex, clip_stem
from framecue.datasets.json_items import read_json_items
from framecue.datasets.manifests import csv_rows, parse_part, parse_seconds, read_head
from framecue.datasets.naming import ClassNames
from framecue.datasets.part_files import part_files
from framecue.errors import DatasetError, VideoError
from framecue.types import Record
from framecue.video.reader import duration_of

_NEEDED = ("youtube_id", "time_start", "time_end")
_NUM_PROBED = 5


def read_kinetics(videos: Path, annotations: Path, *, report: Report = refuse) -> list[Record]:
    """Lines `label,youtube_id,time_start,time_end,split[,is_cc]`, or the same as JSON: one file, or one for each part.

    A video is the file below `videos`, in whatever folder, named `<id>_<start>_<end>` or else `<id>`, with any video
    ending. The first is the clip. The second is the clip, too, unless the files so named last as long as their lines'
    times need (five with the latest times are opened): then it is the whole video, and the record has these times.
    Test files without labels give records without labels.

    Raises:
        DatasetError: the files are not there, or (by the report) a line cannot be understood ("file:line").
    """
    index, names = FileIndex(videos), ClassNames(report)
    records: list[Record] = []
    by_id: list[int] = []
    for path, part in part_files(annotations, (".csv", ".json"), is_kinetics):
        rows = _csv_lines(path, report) if path.suffix.lower() == ".csv" else _json_lines(path, report)
        for origin, row in rows:
            try:
                record, is_named_by_id = _record(row, origin, part, names, index)
            except DatasetError as error:
                report(error)
                continue
            if is_named_by_id:
                by_id.append(len(records))
            records.append(record)
    if not records:
        raise DatasetError(f"{annotations} lists no videos. Restore the official files.")
    if by_id and not _are_whole_videos([records[place] for place in by_id]):
        for place in by_id:
            records[place] = replace(records[place], start_seconds=None, end_seconds=None)
    return records


def is_kinetics(path: Path) -> bool:
    """Whether the beginning of a file looks like Kinetics' CSV or JSON."""
    head = read_head(path)
    if path.suffix.lower() == ".csv":
        return "youtube_id" in head.partition("\n")[0].lower()
    return path.suffix.lower() == ".json" and head.startswith("{") and ('"subset"' in head or '"annotations"' in head)


def _csv_lines(path: Path, report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in csv_rows(path, _check_header, report=report):
        yield f"{path}:{number}", row


def _check_header(origin: str, header: list[str]) -> list[str]:
    names = [name.lower() for name in header]
    absent = [name for name in _NEEDED if name not in names]
    if absent:
        raise DatasetError(
            f"{origin}: the header needs {', '.join(_NEEDED)} and, but for test files, label; found "
            f"{', '.join(header)}. Restore the official file."
        )
    return names


def _json_lines(path: Path, report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        for origin, key, value in read_json_items(path):
            try:
                yield origin, _flat(key, value, origin)
            except DatasetError as error:
                report(error)
    except DatasetError as error:
        report(error)


def _flat(key: str | None, value: Any, origin: str) -> Mapping[str, Any]:  # Any: one item of foreign JSON
    notes = (value.get("annotations") or {}) if isinstance(value, dict) else None
    segment = (notes.get("segment") or (None, None)) if isinstance(notes, dict) else None
    if key is None or not isinstance(notes, dict) or not isinstance(segment, Sequence) or len(segment) != 2:
        raise DatasetError(
            f"{origin}: an item must be an id with annotations (label, segment of two times) and subset. "
            "Restore the official file."
        )
    return {
        "youtube_id": key,
        "label": notes.get("label"),
        "time_start": segment[0],
        "time_end": segment[1],
        "split": value.get("subset"),
    }


def _record(
    row: Mapping[str, Any], origin: str, part: str | None, names: ClassNames, index: FileIndex
) -> tuple[Record, bool]:
    """The record, and whether its file is named by the id alone."""
    youtube_id, label, split = (row.get(name) for name in ("youtube_id", "label", "split"))
    start, end = (_time(row, name, origin) for name in ("time_start", "time_end"))
    if not isinstance(youtube_id, str) or not youtube_id.strip():
        raise DatasetError(f"{origin}: the youtube_id is empty. Restore the official file.")
    part = parse_part(split or None, origin) or part
    needs_label = "label" in row and part != "test"
    if needs_label and not isinstance(label, str):
        raise DatasetError(f"{origin}: the label must be text, found {label!r}. Restore the official file.")
    label = names.add(label or "", origin) if label or needs_label else None
    return _located(youtube_id.strip(), label, part, (start, end), origin, index)


def _time(row: Mapping[str, Any], name: str, origin: str) -> float | None:
    return parse_seconds(None if row[name] == "" else row[name], name, origin)


def _located(
    youtube_id: str,
    label: str | None,
    part: str | None,
    times: tuple[float | None, float | None],
    origin: str,
    index: FileIndex,
) -> tuple[Record, bool]:
    start, end = times
    stem = youtube_id
    if start is not None and end is not None:
        if start >= end:
            raise DatasetError(f"{origin}: time_start must be before time_end, found {start:g} and {end:g} s.")
        stem = clip_stem(youtube_id, start, end)
    clip = index.find(stem, label=label, part=part)
    whole = index.find(youtube_id, label=label, part=part) if clip is None else None
    if whole is not None:
        return Record(whole, label, part, start, end, origin), True
    return Record(clip or index.folder / (label or "") / f"{stem}.mp4", label, part, origin=origin), False


def _are_whole_videos(records: Sequence[Record]) -> bool:
    """Whether files named by the id alone reach to where the times of their records end."""
    latest = sorted(records, key=lambda record: record.end_seconds or 0.0, reverse=True)
    durations = []
    for record in latest[:_NUM_PROBED]:
        try:
            durations.append((record.end_seconds or 0.0, duration_of(record.path)))
        except VideoError:
            continue
    return bool(durations) and all(duration > end - 1 for end, duration in durations)
