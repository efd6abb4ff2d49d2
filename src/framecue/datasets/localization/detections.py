"""Predictions and proposals of anyone's program: ActivityNet submissions, tables, and BSN's folders of proposals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecue.datasets.localization.notes import Invalid, Tally
from framecue.datasets.localization.raw import (
    RawSegment,
    RawVideo,
    json_segments,
    label_of,
    number_of,
    read_json,
    times_of,
    video_id_of,
)
from framecue.datasets.localization.tables import read_rows
from framecue.datasets.manifests import csv_rows
from framecue.datasets.naming import shorten
from framecue.errors import DatasetError
from framecue.types import ScoredSegment


@dataclass(frozen=True)
class DetectionFile:
    """Segments that a program found.

    Attributes:
        path: where they were read.
        results: video id to its segments, in the order of the file; labels are None in proposals.
        external_data: what the file says of data from outside; empty where it says nothing.
        notes: a line for each kind of entry that was left out or changed, with its count.
    """

    path: Path
    results: dict[str, list[ScoredSegment]]
    external_data: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the predictions, sorted; none in proposals."""
        return tuple(sorted({s.label for found in self.results.values() for s in found if s.label is not None}))

    @property
    def num_segments(self) -> int:
        return sum(len(found) for found in self.results.values())


def read_detections(
    path: str | Path, *, durations: Mapping[str, float] | None = None, invalid: Invalid = "drop"
) -> DetectionFile:
    """Predictions or proposals of any of the known forms, told apart by what is there.

    JSON: `{"results": {id: [{"segment": [start, end], "score", "label"}]}}` with or without `version` and
    `external_data`; `database` or `annotations` in the form of a ground truth with scores; lists by id alone. CSV or
    JSON lines: `video,start,end,label,score` (`t-start`, `t-end`, `video-id` ... also). A folder with a CSV for each
    video and columns `xmin,xmax,score`, fractions of the duration (BSN, BMN).

    Args:
        durations: seconds by video id, for fractions.
        invalid: "keep" keeps segments that end before they begin; other entries that cannot be right are left out.

    Raises:
        DatasetError: the file cannot be read or is of no known form, or, with `invalid` "refuse", an entry cannot be
            right.
    """
    path, external_data = Path(path), dict[str, Any]()
    tally = Tally(path, invalid)
    if path.is_dir():
        raw = _read_folder(path, durations or {}, tally)
    elif path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson"):
        raw = _read_table(path, tally)
    else:
        raw, external_data = _read_json(path, tally)
    results = {video.video_id: _check(video, tally) for video in raw}
    return DetectionFile(path, results, external_data, tally.lines())


def _check(video: RawVideo, tally: Tally) -> list[ScoredSegment]:
    found = []
    for entry in video.segments:
        score = number_of(entry.score)
        if math.isnan(score):
            tally.fault("score", video.origin_of(entry), repr(entry.score)[:60])
            continue
        times = times_of(video, entry, tally)
        label = None if entry.label is None else label_of(video, entry, tally)
        if times is not None and (label is not None or entry.label is None):
            found.append(ScoredSegment(times[0], times[1], label, score))
    return found


def _read_json(path: Path, tally: Tally) -> tuple[list[RawVideo], dict[str, Any]]:
    content = read_json(path, tally)
    external, videos = {}, dict[str, RawVideo]()
    if isinstance(content, dict) and isinstance(content.get("external_data"), dict):
        external = content["external_data"]
    for key, entries in _results(content, path).items():
        origin = f"{path}, video '{key}'"
        if isinstance(entries, dict):
            entries = entries.get("annotations")
        if not isinstance(entries, list):
            tally.fault("entry", origin, "no list of segments")
            continue
        video_id = video_id_of(key, tally)
        if video_id in videos:
            tally.fault("twice", origin, f"'{video_id}' with and without v_")
        videos[video_id] = RawVideo(video_id, None, None, json_segments(entries, origin, tally), origin)
    return list(videos.values()), external


def _results(content: Any, path: Path) -> dict[str, Any]:
    if isinstance(content, dict):
        for key in ("results", "database"):
            if isinstance(content.get(key), dict):
                return dict(content[key])
        if content and all(isinstance(entries, list) for entries in content.values()):
            return content
    keys = (
        f"the keys {shorten([repr(key) for key in content])}" if isinstance(content, dict) else type(content).__name__
    )
    raise DatasetError(
        f"{path} is no prediction file of a known form: it must hold 'results', found {keys}. Give an ActivityNet "
        "submission, or a CSV with video,start,end,label,score."
    )


def _read_table(path: Path, tally: Tally) -> list[RawVideo]:
    found: dict[str, list[RawSegment]] = {}
    for origin, row in read_rows(path, ("video", "start", "end", "score"), tally):
        if not isinstance(row["video"], str):
            tally.fault("entry", origin, f"no video id ({row['video']!r})")
            continue
        entry = RawSegment(row["start"], row["end"], row["label"], row["score"], origin)
        found.setdefault(video_id_of(row["video"], tally), []).append(entry)
    return [RawVideo(video_id, None, None, entries, str(path)) for video_id, entries in found.items()]


def _read_folder(folder: Path, durations: Mapping[str, float], tally: Tally) -> list[RawVideo]:
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise DatasetError(f"{folder} holds no CSV files. Give a folder with xmin,xmax,score for each video.")
    videos = []
    for file in files:
        video_id = video_id_of(file.stem, tally)
        if video_id not in durations:
            raise DatasetError(
                f"{file}: fractions need the duration of video '{video_id}', which is not known. "
                "Give the ground truth that names it."
            )
        videos.append(RawVideo(video_id, None, None, _fractions(file, durations[video_id]), str(file)))
    return videos


def _fractions(file: Path, duration: float) -> list[RawSegment]:
    def check(origin: str, header: list[str]) -> list[str]:
        names = [name.lower() for name in header]
        if not {"xmin", "xmax", "score"} <= set(names):
            raise DatasetError(f"{origin}: the header needs xmin, xmax and score, found {', '.join(header)}.")
        return names

    return [
        RawSegment(
            number_of(row["xmin"]) * duration, number_of(row["xmax"]) * duration, None, row["score"], f"{file}:{line}"
        )
        for line, row in csv_rows(file, check)
    ]
