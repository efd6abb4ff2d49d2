"""Segments of many videos as columns: what the localization scorers work on. Pure NumPy."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framecue.types import ScoredSegment, Segment

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

UNKNOWN = -1
"""Video or label that the ground truth does not have; such a row never overlaps anything."""

_CHUNK_PAIRS = 4_000_000


@dataclass(frozen=True, eq=False)
class SegmentTable:
    """K segments, annotated or predicted, in the order of their file.

    Attributes:
        video: int64 [K], number of the video, or `UNKNOWN`.
        label: int64 [K], number of the class, or `UNKNOWN`; all 0 where classes do not matter.
        segments: float64 [K, 2], start and end in seconds; the official evaluators look at nothing, so an end may lie
            before its start.
        score: float64 [K], the higher, the surer; None for ground truth.
    """

    video: Integers
    label: Integers
    segments: Array
    score: Array | None = None

    def __post_init__(self) -> None:
        count = len(self.segments)
        if self.segments.shape != (count, 2) or self.video.shape != (count,) or self.label.shape != (count,):
            shapes = f"{list(self.segments.shape)}, {list(self.video.shape)} and {list(self.label.shape)}"
            raise ValueError(f"segments, video and label must be [K, 2], [K] and [K], got {shapes}.")
        if not np.isfinite(self.segments).all():
            raise ValueError(f"segments must be finite, found {int((~np.isfinite(self.segments)).sum())} that are not.")
        if self.score is not None and self.score.shape != (count,):
            raise ValueError(f"score must be [{count}], got {list(self.score.shape)}.")
        if self.score is not None and np.isnan(self.score).any():
            raise ValueError(f"score must not be NaN, found {int(np.isnan(self.score).sum())}.")

    def __len__(self) -> int:
        return len(self.segments)

    def ranked_scores(self) -> Array:
        """The scores of predictions.

        Raises:
            ValueError: the table has none.
        """
        if self.score is None:
            raise ValueError("predictions need scores, this table has none.")
        return self.score

    def with_one_label(self) -> "SegmentTable":
        """The same segments as if there were one class."""
        return SegmentTable(self.video, np.zeros_like(self.label), self.segments, self.score)


def segment_table(
    segments_by_video: Mapping[str, Iterable[Segment | ScoredSegment]],
    video_numbers: Mapping[str, int],
    label_numbers: Mapping[str, int] | None = None,
) -> SegmentTable:
    """Columns of segments, videos and segments in the given order.

    Args:
        video_numbers, label_numbers: numbers of the ground truth's videos and labels; others become `UNKNOWN`. Without
            `label_numbers` every label is 0.
    """
    numbers: list[tuple[int, int]] = []
    values: list[tuple[float, float, float]] = []
    scored = True
    for video_id, segments in segments_by_video.items():
        video = video_numbers.get(video_id, UNKNOWN)
        for segment in segments:
            label = 0 if label_numbers is None else label_numbers.get(segment.label or "", UNKNOWN)
            scored = isinstance(segment, ScoredSegment)
            numbers.append((video, label))
            values.append((segment.start_seconds, segment.end_seconds, getattr(segment, "score", 0.0)))
    columns = np.array(numbers, dtype=np.int64).reshape(-1, 2)
    figures = np.array(values, dtype=np.float64).reshape(-1, 3)
    score = figures[:, 2].copy() if scored else None
    return SegmentTable(columns[:, 0].copy(), columns[:, 1].copy(), figures[:, :2].copy(), score)


def paired_iou(first: Array, second: Array, *, least_union_seconds: float = 0.0, undefined: float = 0.0) -> Array:
    """Overlap over union of the rows of [P, 2] and [P, 2] -> [P], as the official evaluators compute it.

    Args:
        least_union_seconds: shorter unions count as so long, unless it is 0.
        undefined: the value of 0/0, where the lengths of both segments add up to 0.
    """
    overlap = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0])
    overlap = np.clip(overlap, 0, None)
    union = (second[:, 1] - second[:, 0]) + (first[:, 1] - first[:, 0]) - overlap
    if least_union_seconds > 0:
        union = np.maximum(union, least_union_seconds)
    return np.divide(overlap, union, out=np.full_like(union, undefined), where=union != 0)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Prediction and ground truth of the same video that overlap.

    Attributes:
        prediction, truth: int64 [P], rows of the two tables; predictions do not decrease.
        iou: float64 [P], overlap over union in seconds; infinite where 0/0 counts as a match.
    """

    prediction: Integers
    truth: Integers
    iou: Array


def overlapping_pairs(
    truth: SegmentTable,
    predictions: SegmentTable,
    min_iou: float,
    *,
    same_label: bool = True,
    least_union_seconds: float = 0.0,
    undefined: float = 0.0,
) -> Pairs:
    """All pairs of one video, and of one label unless told otherwise, whose overlap is at least `min_iou`.

    Memory follows the pairs that are kept: the others are dropped a part at a time.

    Args:
        least_union_seconds, undefined: as in `paired_iou`.

    Raises:
        ValueError: `min_iou` is not above 0, where every pair would count.
    """
    if not min_iou > 0:
        raise ValueError(f"min_iou must be above 0, got {min_iou}.")
    num_labels = 1 + max(truth.label.max(initial=0), predictions.label.max(initial=0))
    keys = [_keys(table, num_labels if same_label else None) for table in (truth, predictions)]
    order = np.argsort(keys[0], kind="stable")
    begin = np.searchsorted(keys[0][order], keys[1], side="left")
    count = np.searchsorted(keys[0][order], keys[1], side="right") - begin
    count[keys[1] < 0] = 0
    parts: list[tuple[Integers, Integers, Array]] = []
    for rows in _chunks(np.flatnonzero(count), count):
        here = count[rows]
        prediction = np.repeat(rows, here)
        within = np.arange(len(prediction)) - np.repeat(np.cumsum(here) - here, here)
        candidate = order[np.repeat(begin[rows], here) + within]
        iou = paired_iou(
            predictions.segments[prediction],
            truth.segments[candidate],
            least_union_seconds=least_union_seconds,
            undefined=undefined,
        )
        kept = iou >= min_iou
        parts.append((prediction[kept], candidate[kept], iou[kept]))
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _keys(table: SegmentTable, num_labels: int | None) -> Integers:
    """One number per video, or per video and label; -1 where either is unknown."""
    if num_labels is None:
        return table.video
    known = (table.video >= 0) & (table.label >= 0)
    return np.where(known, table.video * num_labels + table.label, UNKNOWN)


def _chunks(rows: Integers, count: Integers) -> Iterator[Integers]:
    """Consecutive rows whose counts add up to about `_CHUNK_PAIRS`."""
    chunk = np.cumsum(count[rows]) // _CHUNK_PAIRS
    yield from np.split(rows, np.flatnonzero(np.diff(chunk)) + 1) if len(rows) else ()
