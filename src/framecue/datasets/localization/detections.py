"""Predictions and proposals of anyone's program: ActivityNet submissions, tables, and BSN's folders of proposals."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framecue.datasets.localization.notes import Invalid, Tally, one_line
from framecue.datasets.localization.raw import (
    RawSegment,
    RawVideo,
    json_segments,
    label_of,
    number_of,
    read_json,
    times_of,
    usable_id,
    video_id_of,
    video_key,
)
from framecue.datasets.localization.tables import counting, read_rows
from framecue.datasets.manifests import csv_rows
from framecue.datasets.naming import shorten
from framecue.errors import DatasetError
from framecue.types import ScoredSegment

_ACTIONFORMER = ("video-id", "t-start", "t-end", "score")


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

    def with_unit_scores(self) -> "DetectionFile":
        """Scores in [0, 1], to be fused with those of names: mapped in a straight line, and noted, where they are not.

        The best becomes 1; the least becomes 0 where it is below zero, else zero stays zero.
        """
        scores = [segment.score for found in self.results.values() for segment in found]
        low, high = min(scores, default=0.0), max(scores, default=1.0)
        if low >= 0 and high <= 1:
            return self
        base = min(low, 0.0)  # the least of scores that are all positive is not worth nothing
        span = (high - base) or 1.0
        mapped = {
            name: [replace(s, score=(s.score - base) / span) for s in found] for name, found in self.results.items()
        }
        note = f"{self.path}: scores reach from {low:g} to {high:g}, and were mapped to 0 to 1 in a straight line."
        return replace(self, results=mapped, notes=(*self.notes, note))


def read_detections(
    path: str | Path,
    *,
    durations: Mapping[str, float] | None = None,
    class_names: Sequence[str] | None = None,
    invalid: Invalid = "drop",
) -> DetectionFile:
    """Predictions or proposals of any of the known forms, told apart by what is there.

    JSON: `{"results": {id: [{"segment": [start, end], "score", "label"}]}}` with or without `version` and
    `external_data`; `database` with scored annotations; lists by id alone; ActionFormer's columns `{"video-id": [...],
    "t-start": [...], "t-end": [...], "label": [...], "score": [...]}`. CSV or JSON lines: `video,start,end,label,score`
    (`t-start`, `t-end`, `video-id` ... also). A folder with a CSV for each video and columns `xmin,xmax,score`,
    fractions of the duration (BSN, BMN).

    Args:
        durations: seconds by video id, for fractions.
        class_names: the classes that a program calls by their numbers, from 0.
        invalid: "keep" keeps segments that end no later than they begin, which the official evaluators count; other
            entries that cannot be right are left out.

    Raises:
        DatasetError: the file cannot be read or is of no known form, or, with `invalid` "refuse", an entry cannot be
            right.
    """
    path, external_data = Path(path), dict[str, Any]()
    tally = Tally(path, invalid)
    if path.suffix.lower() in (".pkl", ".pickle", ".pth", ".pt"):
        raise DatasetError(f"{path} is a pickle, which can run any program when it is read. Write it as JSON or CSV.")
    if path.is_dir():
        raw = _read_folder(path, durations or {}, tally)
    elif path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson"):
        raw = _read_table(path, tally)
    else:
        raw, external_data = _read_json(path, tally)
    results = {video.video_id: _check(video, class_names or (), tally) for video in raw}
    return DetectionFile(path, results, external_data, tally.lines())


def _check(video: RawVideo, class_names: Sequence[str], tally: Tally) -> list[ScoredSegment]:
    found = []
    for entry in video.segments:
        score = number_of(entry.score)
        if math.isnan(score):
            tally.fault("score", video.origin_of(entry), reprlib.repr(entry.score))
            continue
        times = times_of(video, entry, tally)
        if times is None:
            continue
        label = None
        if entry.label is not None:
            label = label_of(video, _with_name(entry, class_names), tally)
            if label is None:
                continue
        found.append(ScoredSegment(times[0], times[1], label, score))
    return found


def _with_name(entry: RawSegment, class_names: Sequence[str]) -> RawSegment:
    """The entry with the class of its number for a label, where it has a number and that a class."""
    number = number_of(entry.label) if class_names else math.nan
    known = number.is_integer() and 0 <= number < len(class_names)
    return entry._replace(label=class_names[int(number)]) if known else entry


def _read_json(path: Path, tally: Tally) -> tuple[list[RawVideo], dict[str, Any]]:
    content = read_json(path, tally)
    if isinstance(content, dict) and all(isinstance(content.get(name), list) for name in _ACTIONFORMER):
        return _columns(content, path, tally), {}
    videos: dict[str, RawVideo] = {}
    for key, entries in _results(content, path).items():
        origin = f"{path}, video {key!r}"
        if isinstance(entries, dict):
            entries = entries.get("annotations")
        if not isinstance(entries, list):
            tally.fault("entry", origin, "no list of segments")
            continue
        video_id = usable_id(key, origin, tally)
        if video_id is None:
            continue
        if video_id in videos:
            tally.fault("twice", origin, f"'{video_id}' in two spellings")
        videos[video_id] = RawVideo(video_id, None, None, json_segments(entries, origin, tally), origin)
    external = content.get("external_data")
    return list(videos.values()), external if isinstance(external, dict) else {}


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


def _columns(content: dict[str, list[Any]], path: Path, tally: Tally) -> list[RawVideo]:
    lengths = {name: len(content[name]) for name in _ACTIONFORMER}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DatasetError(f"{path}: the columns have different lengths ({told}). Write the file again.")
    labels = content.get("label")
    if not isinstance(labels, list) or len(labels) != lengths["score"]:
        labels = [None] * lengths["score"]
    found: dict[str, list[RawSegment]] = {}
    rows = zip(*(content[name] for name in _ACTIONFORMER), labels, strict=True)
    for number, (video, start, end, score, label) in enumerate(rows, start=1):
        origin = f"{path}, entry {number}"
        video_id = usable_id(video, origin, tally)
        if video_id is not None:
            found.setdefault(video_id, []).append(RawSegment(start, end, label, score, origin))
    return [RawVideo(video_id, None, None, entries, str(path)) for video_id, entries in found.items()]


def _read_table(path: Path, tally: Tally) -> list[RawVideo]:
    found: dict[str, list[RawSegment]] = {}
    for origin, row in read_rows(path, ("video", "start", "end", "score"), tally):
        video_id = usable_id(row["video"], origin, tally)
        if video_id is not None:
            entry = RawSegment(row["start"], row["end"], row["label"], row["score"], origin)
            found.setdefault(video_id, []).append(entry)
    return [RawVideo(video_id, None, None, entries, str(path)) for video_id, entries in found.items()]


def _read_folder(folder: Path, durations: Mapping[str, float], tally: Tally) -> list[RawVideo]:
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise DatasetError(f"{folder} holds no CSV files. Give a folder with xmin,xmax,score for each video.")
    known = {video_key(key): seconds for key, seconds in durations.items()}
    if not known:
        raise DatasetError(f"{folder} holds fractions, which need the videos' durations. Give the ground truth too.")
    videos = []
    for file in files:
        video_id = video_id_of(file.stem, tally)
        duration = known.get(video_key(video_id))
        if duration is not None:
            videos.append(RawVideo(video_id, None, None, _fractions(file, duration, tally), str(file)))
        else:
            tally.fault("undated", str(file), f"video '{video_id}'")
    return videos


def _fractions(file: Path, duration: float, tally: Tally) -> list[RawSegment]:
    def check(origin: str, header: list[str]) -> list[str]:
        names = [name.lower() for name in header]
        if not {"xmin", "xmax", "score"} <= set(names):
            raise DatasetError(f"{origin}: the header needs xmin, xmax and score, found {one_line(', '.join(header))}.")
        return names

    return [
        RawSegment(
            number_of(row["xmin"]) * duration, number_of(row["xmax"]) * duration, None, row["score"], f"{file}:{line}"
        )
        for line, row in csv_rows(file, check, report=counting(tally))
    ]
