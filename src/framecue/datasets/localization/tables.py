"""Ground truth as CSV or JSON lines, a row a segment, and the tables of videos that stand beside annotation files."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from framecue.datasets.faults import Report
from framecue.datasets.localization.notes import Tally, one_line
from framecue.datasets.localization.raw import RawSegment, RawVideo, number_of, usable_id, video_key
from framecue.datasets.localization.thumos import AMBIGUOUS, THUMOS14_CLASSES
from framecue.datasets.manifests import csv_rows, read_text
from framecue.errors import DatasetError

COLUMNS: dict[str, tuple[str, ...]] = {
    "video": ("video", "video_id", "video_name", "vid", "path", "file", "filename"),
    "start": ("start", "t_start", "start_seconds", "start_time", "t_init", "begin"),
    "end": ("end", "t_end", "end_seconds", "end_time", "stop"),
    "label": ("label", "type", "class", "class_name", "action", "category", "label_idx"),
    "score": ("score", "confidence", "prob"),
    "duration": ("duration", "duration_seconds", "video_duration", "duration_second"),
    "subset": ("subset", "split", "part", "partition"),
}
"""For each field, the columns that are understood, best first; case does not matter, and - counts as _."""


class VideoInfo(NamedTuple):
    """What a table of videos says of one: its length in seconds and its subset."""

    duration: float | None
    subset: str | None


def read_rows(path: Path, needed: tuple[str, ...], tally: Tally) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """ "file:line" and the known fields of each row of a CSV or JSON-lines file.

    Raises:
        DatasetError: the file cannot be read, or has no column for one of `needed`.
    """

    def check(origin: str, header: list[str]) -> list[str]:
        names = [name.lower().replace("-", "_") for name in header]
        named = [name for name in names if name]
        if len(set(named)) < len(named):
            raise DatasetError(
                f"{origin}: two columns have the same name, found {one_line(', '.join(header))}. Rename one."
            )
        _check_fields(origin, names, needed)
        return names

    if path.suffix.lower() in (".jsonl", ".ndjson"):
        rows = _json_rows(path, tally)
    else:
        rows = csv_rows(path, check, report=counting(tally))
    for line, row in rows:
        yield f"{path}:{line}", {field: _first(row, accepted) for field, accepted in COLUMNS.items()}


def counting(tally: Tally) -> Report:
    """Counts rows of a CSV file that cannot be understood."""

    def count(error: DatasetError) -> None:
        place, _, what = str(error).partition(": ")
        tally.fault("entry", place, what.partition(". ")[0])

    return count


def _check_fields(origin: str, names: list[str], needed: tuple[str, ...]) -> None:
    for field in needed:
        if not set(COLUMNS[field]) & set(names):
            raise DatasetError(
                f"{origin}: the header needs a column for the {field}, found {one_line(', '.join(names))}. "
                f"Name it '{COLUMNS[field][0]}'."
            )


def _json_rows(path: Path, tally: Tally) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield line, {key.lower().replace("-", "_"): value for key, value in row.items()}
        else:
            tally.fault("entry", f"{path}:{line}", text.strip()[:40])


def _first(row: Mapping[str, Any], accepted: tuple[str, ...]) -> Any:
    name = next((name for name in accepted if row.get(name) is not None and str(row[name]).strip()), None)
    if name is None:
        return None
    return _thumos_class(row[name]) if name == "label_idx" else row[name]


def _thumos_class(number: Any) -> Any:
    """The class of THUMOS14's evaluation files, numbered by the alphabet from 0; -1 is ambiguous."""
    names = {str(i): name for i, name in enumerate(THUMOS14_CLASSES)} | {"-1": AMBIGUOUS}
    return names.get(str(number).strip(), number)


def read_table_videos(path: Path, tally: Tally) -> list[RawVideo]:
    """Videos of a file with a row a segment; a row without times and label names a video without actions.

    Of AFSD's `val_Annotation.csv` the durations are read from `val_video_info.csv` beside it (frames over fps).

    Raises:
        DatasetError: the file cannot be read, or a needed column is missing.
    """
    info_path = path.with_name(path.name.replace("_Annotation.csv", "_video_info.csv"))
    info = read_video_info(info_path) if info_path != path and info_path.is_file() else {}
    videos: dict[str, RawVideo] = {}
    segments: dict[str, list[RawSegment]] = {}
    for origin, row in read_rows(path, ("video", "start", "end", "label"), tally):
        video_id = usable_id(row["video"], origin, tally)
        if video_id is None:
            continue
        known = info.get(video_key(video_id), VideoInfo(None, None))
        duration, subset = row["duration"] or known.duration, row["subset"] or known.subset
        if video_id not in videos:
            segments[video_id] = []
            videos[video_id] = RawVideo(video_id, duration, subset, segments[video_id], f"{path}, video {video_id!r}")
        video = videos[video_id]
        if (subset, duration) != (video.subset, video.duration):
            tally.fault("conflict", origin, f"'{video_id}', {subset}, {duration}")
        if any(row[field] is not None for field in ("start", "end", "label")):
            segments[video_id].append(RawSegment(row["start"], row["end"], row["label"], row["score"], origin))
    return list(videos.values())


def read_video_info(path: Path) -> dict[str, VideoInfo]:
    """BMN's `video_info_new.csv` (`seconds`, `subset`), AFSD's `val_video_info.csv` (`count`, `fps`), by `video_key`.

    Raises:
        DatasetError: the file cannot be read, or has no column `video`.
    """

    def check(origin: str, header: list[str]) -> list[str]:
        names = [name.lower() for name in header]
        _check_fields(origin, names, ("video",))
        return names

    found = {}
    for _, row in csv_rows(path, check):
        seconds = number_of(row.get("seconds"))
        if seconds != seconds:
            frames, fps = number_of(row.get("count")), number_of(row.get("fps"))
            seconds = frames / fps if fps > 0 else frames
        duration = seconds if seconds > 0 else None
        found[video_key(row["video"])] = VideoInfo(duration, row.get("subset") or None)
    return found
