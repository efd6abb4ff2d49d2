"""Files of moment retrieval: sentences with the segments of a video that they are about, and predictions for them.

Ground truth comes in three forms, told apart by content: QVHighlights (JSONL or a JSON list with `relevant_windows`),
Charades-STA (`vid start end##sentence`, a line each) and ActivityNet Captions (a JSON object of videos with
`timestamps` and `sentences`). Predictions are of QVHighlights' form (`pred_relevant_windows`, best first).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framecue.datasets.faults import refuse
from framecue.datasets.json_items import read_json_items
from framecue.datasets.localization.raw import number_of
from framecue.datasets.manifests import jsonl_rows, read_text
from framecue.errors import DatasetError

Array = npt.NDArray[np.float64]

MAX_SECONDS = 1e6
"""Times beyond it, a video of eleven days, are taken for a mistake."""

_CLIP_SECONDS = 2.0  # QVHighlights rates clips of this length
_CHARADES_LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)")


@dataclass(frozen=True, eq=False)
class MomentQuery:
    """A sentence about a video.

    Attributes:
        origin: "file:line".
        query_id: None in forms that have none.
        windows: float64 [K, 2], the segments in seconds.
        ratings: float64 [C, 3], how three people rated each clip of two seconds from 0 to 4, or None.
    """

    origin: str
    query_id: str | None
    video_id: str
    sentence: str
    windows: Array
    ratings: Array | None = None


@dataclass(frozen=True, eq=False)
class MomentPrediction:
    """What was found for a sentence.

    Attributes:
        windows: float64 [K, 2], segments in seconds in the order of the file.
        scores: float64 [K], or None where the file has none.
        saliency: float64 [C], a score for each clip, or None.
    """

    origin: str
    query_id: str | None
    video_id: str | None
    sentence: str | None
    windows: Array
    scores: Array | None
    saliency: Array | None


def read_moment_queries(path: Path) -> list[MomentQuery]:
    """The ground truth, in the order of the file.

    Raises:
        DatasetError: the file cannot be read, is of none of the forms, has an entry that cannot be understood, or none.
    """
    start = read_text(path).lstrip()[:1]
    if start == "[" or (start == "{" and _is_jsonl(path)):
        queries = [_highlights_query(item, origin) for origin, item in _objects(path)]
    elif start == "{":
        queries = [
            query for origin, key, value in read_json_items(path) for query in _captions(str(key), value, origin)
        ]
    else:
        queries = list(_charades(path))
    if not queries:
        raise DatasetError(
            f"{path} holds no sentence to look for. Give QVHighlights, Charades-STA or ActivityNet files."
        )
    return queries


def read_moment_predictions(path: Path) -> list[MomentPrediction]:
    """The predictions, in the order of the file.

    Raises:
        DatasetError: the file cannot be read, or has an entry that cannot be understood, or none.
    """
    predictions = [_prediction(item, origin) for origin, item in _objects(path)]
    if not predictions:
        raise DatasetError(f"{path} holds no predictions. Give a line of JSON for each sentence.")
    return predictions


def _is_jsonl(path: Path) -> bool:
    """Whether the first line is an object of its own, and not a video of ActivityNet Captions."""
    first = read_text(path).lstrip().partition("\n")[0]
    try:
        item = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return not any(isinstance(value, dict) and "timestamps" in value for value in item.values())


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Origin and object of each line of JSONL, or of each item of a JSON list."""
    if read_text(path).lstrip()[:1] != "[":
        for number, row in jsonl_rows(path, refuse):
            yield f"{path}:{number}", row
        return
    for origin, _, item in read_json_items(path):
        if not isinstance(item, dict):
            raise DatasetError(f"{origin}: must be a JSON object, found {_short(item)}.")
        yield origin, item


def _highlights_query(item: Mapping[str, Any], origin: str) -> MomentQuery:
    if "relevant_windows" not in item:
        raise DatasetError(
            f"{origin}: no relevant_windows, so there is nothing to score against. Give a part that has ground truth."
        )
    windows, _ = _windows(item["relevant_windows"], origin, "relevant_windows")
    query_id, video_id = _text(item, "qid", origin), _text(item, "vid", origin)
    sentence = _text(item, "query", origin)
    if video_id is None or (query_id is None and sentence is None):
        raise DatasetError(f"{origin}: a sentence needs vid, and qid or query, found {', '.join(item)[:80]}.")
    return MomentQuery(origin, query_id, video_id, sentence or "", windows, _ratings(item, origin))


def _ratings(item: Mapping[str, Any], origin: str) -> Array | None:
    """Clips that nobody was asked about are rated 0."""
    if "saliency_scores" not in item:
        return None
    clips, scores = item.get("relevant_clip_ids"), item["saliency_scores"]
    duration = number_of(item.get("duration"))
    num_clips = int(duration / _CLIP_SECONDS) if 0 < duration <= MAX_SECONDS else 0
    if not (isinstance(clips, list) and all(type(clip) is int and 0 <= clip < num_clips for clip in clips)):
        raise DatasetError(f"{origin}: relevant_clip_ids must be clips of 2 s within the duration of the video.")
    rows = [[number_of(value) for value in row] for row in scores if isinstance(row, list)] if _is_list(scores) else []
    if len(rows) != len(clips) or not all(len(row) == 3 and all(0 <= value <= 4 for value in row) for row in rows):
        raise DatasetError(f"{origin}: saliency_scores must be three ratings from 0 to 4 for each relevant clip.")
    ratings = np.zeros((num_clips, 3))
    ratings[clips] = np.array(rows).reshape(-1, 3)
    return ratings if num_clips else None


def _captions(video_id: str, entry: Any, origin: str) -> Iterator[MomentQuery]:
    """The sentences of one video of ActivityNet Captions."""
    times = entry.get("timestamps") if isinstance(entry, dict) else None
    sentences = entry.get("sentences") if isinstance(entry, dict) else None
    if not isinstance(times, list) or not isinstance(sentences, list) or len(times) != len(sentences):
        raise DatasetError(f"{origin}: video '{video_id}' must have as many timestamps as sentences.")
    for window, sentence in zip(times, sentences, strict=True):
        if not isinstance(sentence, str):
            raise DatasetError(f"{origin}: a sentence of '{video_id}' must be text, found {_short(sentence)}.")
        yield MomentQuery(origin, None, video_id, sentence, _windows([window], origin, "timestamps")[0])


def _charades(path: Path) -> Iterator[MomentQuery]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        match = _CHARADES_LINE.fullmatch(line.strip())
        if match is None:
            raise DatasetError(f"{path}:{number}: must be 'vid start end##sentence', found '{_short(line)}'.")
        video_id, start, end, sentence = match.groups()
        origin = f"{path}:{number}"
        yield MomentQuery(origin, None, video_id, sentence, _windows([[start, end]], origin, "times")[0])


def _prediction(item: Mapping[str, Any], origin: str) -> MomentPrediction:
    windows, scores = _windows(item.get("pred_relevant_windows", []), origin, "pred_relevant_windows")
    saliency = item.get("pred_saliency_scores")
    if saliency is not None:
        values = np.array([number_of(value) for value in saliency]) if _is_list(saliency) else np.zeros(0)
        if len(values) == 0 or not np.isfinite(values).all():
            raise DatasetError(f"{origin}: pred_saliency_scores must be a list of finite numbers, one for each clip.")
        saliency = values
    query_id, video_id, sentence = (_text(item, key, origin) for key in ("qid", "vid", "query"))
    if query_id is None and (video_id is None or sentence is None):
        raise DatasetError(f"{origin}: a prediction needs qid, or vid and query, found {', '.join(item)[:80]}.")
    return MomentPrediction(origin, query_id, video_id, sentence, windows, scores, saliency)


def _windows(value: Any, origin: str, name: str) -> tuple[Array, Array | None]:
    """Times [K, 2] and scores [K]; None where no window has one.

    Raises:
        DatasetError: not a list of [start, end] or [start, end, score] in finite numbers, or some with a score only.
    """
    if not _is_list(value) or not all(isinstance(window, list) and len(window) in (2, 3) for window in value):
        raise DatasetError(f"{origin}: {name} must be a list of [start, end] or [start, end, score].")
    if len({len(window) for window in value}) > 1:
        raise DatasetError(f"{origin}: {name} must have a score each, or none; found both.")
    rows = [[number_of(number) for number in window] for window in value]
    wrong = next((window for window, row in zip(value, rows, strict=True) if not np.isfinite(row).all()), None)
    if wrong is not None:
        raise DatasetError(f"{origin}: {name} must be finite numbers, found {_short(wrong)}.")
    table = np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 2)
    if (np.abs(table[:, :2]) > MAX_SECONDS).any():
        raise DatasetError(f"{origin}: {name} must be seconds, at most {MAX_SECONDS:.0f}, found {_short(value)}.")
    return table[:, :2].copy(), table[:, 2].copy() if table.shape[1] == 3 else None


def _text(item: Mapping[str, Any], key: str, origin: str) -> str | None:
    """A text or whole number as text."""
    value = item.get(key)
    if value is None or isinstance(value, str):
        return value
    if type(value) is int and abs(value) < 2**63:
        return str(value)
    raise DatasetError(f"{origin}: {key} must be a text or a whole number, found {_short(value)}.")


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _short(value: Any) -> str:
    return " ".join(str(value).split())[:60]
