"""Moment retrieval: segments of a video found by a sentence, as the authors of QVHighlights count them.

Lei et al. 2021, `standalone_eval` of jayleicn/moment_detr. AP is the detection AP of each query's first ten predictions
against its own segments, averaged over queries. R@1 takes the first prediction of the file, surest or
not, and any of the query's segments. Short, middle and long keep the segments of such length and the queries that still
have one; predictions stay. Departures: a query without a prediction is a miss (theirs asks for one each), long has no
upper end (theirs 150 s, the length of their videos), and nothing is rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framecue.metrics.detection import checked_thresholds, detection_map
from framecue.metrics.segment_table import Array, Integers, SegmentTable, overlapping_pairs

MOMENT_TIOU = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

LENGTH_RANGES: Mapping[str, tuple[float, float]] = {
    "full": (-np.inf, np.inf),
    "long": (30.0, np.inf),
    "middle": (10.0, 30.0),
    "short": (0.0, 10.0),
}
"""Seconds above which and up to which a segment counts."""


@dataclass(frozen=True, eq=False)
class MomentScores:
    """Figures of the queries that have ground truth, in percent, for T thresholds.

    Attributes:
        tiou_thresholds, mean_ap, recall_at_1, recall_at_5: float64 [T].
        mean_iou: of the first prediction with the segment it overlaps most.
    """

    num_queries: int
    num_segments: int
    tiou_thresholds: Array
    mean_ap: Array
    recall_at_1: Array
    recall_at_5: Array
    mean_iou: float

    @property
    def average_mean_ap(self) -> float:
        return float(self.mean_ap.mean())


def moment_retrieval_scores(
    truth: SegmentTable,
    predictions: SegmentTable,
    *,
    tiou_thresholds: Sequence[float] = MOMENT_TIOU,
    max_predictions: int | None = 10,
) -> dict[str, MomentScores | None]:
    """Scores by length range; None where no segment has such a length.

    Args:
        truth, predictions: `video` is the number of the query, labels do not count, the rows of a query in the order of
            its file.
        max_predictions: of each query the first so many count; None takes all.

    Raises:
        ValueError: no ground truth, predictions without scores, or thresholds outside (0, 1].
    """
    if len(truth) == 0:
        raise ValueError("moment retrieval needs ground truth, got no segment.")
    thresholds = checked_thresholds(tiou_thresholds)
    place = _places(predictions.video)
    kept = np.flatnonzero(place < (max_predictions or len(place)))
    guesses, place = _rows(predictions, kept), place[kept]
    seconds = truth.segments[:, 1] - truth.segments[:, 0]
    scores: dict[str, MomentScores | None] = {}
    for name, (low, high) in LENGTH_RANGES.items():
        asked = np.flatnonzero((low < seconds) & (seconds <= high))
        scores[name] = _scores(_rows(truth, asked), guesses, place, thresholds) if len(asked) else None
    return scores


def _scores(truth: SegmentTable, predictions: SegmentTable, place: Integers, thresholds: Array) -> MomentScores:
    queries = np.unique(truth.video)
    # Of equal scores the first counts here, in detection the last.
    backwards = _rows(predictions, np.arange(len(predictions))[::-1])
    result = detection_map(truth, backwards, num_classes=int(queries[-1]) + 1, tiou_thresholds=thresholds.tolist())
    pairs = overlapping_pairs(truth, predictions, np.finfo(np.float64).tiny)
    overlap = _iou_of_hull(predictions.segments[pairs.prediction], truth.segments[pairs.truth])
    best = {}
    for first in (1, 5):
        counted = place[pairs.prediction] < first
        best[first] = np.zeros(queries[-1] + 1)
        np.maximum.at(best[first], truth.video[pairs.truth[counted]], overlap[counted])
    recall = {first: 100 * np.mean(iou[queries, None] >= thresholds, axis=0) for first, iou in best.items()}
    return MomentScores(
        num_queries=len(queries),
        num_segments=len(truth),
        tiou_thresholds=thresholds,
        mean_ap=100 * result.mean_ap,
        recall_at_1=recall[1],
        recall_at_5=recall[5],
        mean_iou=100 * float(best[1][queries].mean()),
    )


def _iou_of_hull(first: Array, second: Array) -> Array:
    """Overlap over what both reach across: for segments that overlap the same as their union, and as the field rounds.

    Both [P, 2] -> [P].
    """
    overlap = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0])
    return overlap / (np.maximum(first[:, 1], second[:, 1]) - np.minimum(first[:, 0], second[:, 0]))


def _rows(table: SegmentTable, rows: Integers) -> SegmentTable:
    """Some rows, each query a class of its own."""
    query = table.video[rows]
    return SegmentTable(query, query, table.segments[rows], None if table.score is None else table.score[rows])


def _places(query: Integers) -> Integers:
    """How many rows of the same query come before each row."""
    order = np.argsort(query, kind="stable")
    in_order = query[order]
    places = np.empty(len(query), dtype=np.int64)
    places[order] = np.arange(len(query)) - np.searchsorted(in_order, in_order, side="left")
    return places
