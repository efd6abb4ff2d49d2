"""Where localization goes wrong: a kind for every prediction and for every ground truth segment, by segment length.

In the manner of DETAD (Alwassel et al. 2018, "Diagnosing error in temporal action detectors") and TIDE (Bolya et al.
2020). Departures: a prediction that overlaps several ground truth segments is judged by the kindest of them (right
label before wrong label in the same range of overlap), not by the most overlapped; what is gained by removing a kind
is measured on the plain average mAP, over all predictions of that kind in the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framecue.metrics.conventions import DetectionConvention
from framecue.metrics.detection import (
    ACTIVITYNET_TIOU,
    DetectionResult,
    Ranking,
    average_precision,
    candidate_pairs,
    match,
)
from framecue.metrics.segment_table import UNKNOWN, Array, Integers, Pairs, SegmentTable

PREDICTION_KINDS = {
    "true positive": "finds a ground truth segment",
    "double detection": "right label and place, but the segment was found by a better ranked one",
    "wrong label": "right place (overlap at least the threshold), another label",
    "bad boundary": "right label, overlap below the threshold (DETAD: localization)",
    "confusion": "another label, overlap below the threshold",
    "background": "overlaps nothing that is annotated",
}
TRUTH_KINDS = {
    "found": "by one of the best ranked predictions of its class",
    "ranked too low": "found, but only by a prediction further down",
    "taken": "the only ones that fit were already used up by another ground truth segment",
    "wrong label": "a prediction is in the right place, under another label",
    "bad boundary": "a prediction has the right label, but overlaps less than the threshold",
    "confusion": "only predictions of other labels overlap it, less than the threshold",
    "never proposed": "no prediction overlaps it",
}
READ_AT_TIOU, BACKGROUND_BELOW_TIOU, JUDGED_PER_INSTANCE = 0.5, 0.1, 10
SECONDS_EDGES = (0.0, 3.0, 6.0, 12.0, 30.0, 60.0, 120.0, 180.0, np.inf)
SHARE_EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, np.inf)
"""Bins `[edge, next edge)` of segment length in seconds and as share of the video; DETAD's, of both its data sets."""


Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LengthTable:
    """Kinds by segment length.

    Attributes:
        edges: float [B + 1], bounds of the bins `[edge, next edge)`.
        truth: int64 [B + 1, kinds], counts by the length of the ground truth; the last row has no known length.
        predictions: int64 [B + 1, kinds], counts of judged predictions by their own length.
    """

    edges: Sequence[float]
    truth: Integers
    predictions: Integers


@dataclass(frozen=True, eq=False)
class DetectionErrors:
    """Kinds of all segments at one threshold, and what each kind costs over all thresholds.

    Attributes:
        tiou, min_tiou: overlap from which a segment is found, and below which it counts as background.
        per_instance: predictions judged of each class, as multiple of its ground truth segments.
        prediction_kind: int64 [N], place in `PREDICTION_KINDS`; -1 for those not judged.
        truth_kind: int64 [G], place in `TRUTH_KINDS`.
        by_rank: int64 [per_instance, kinds], predictions of the best G of each class, the next G, and so on.
        by_seconds, by_share: kinds by segment length.
        average: average mAP over all thresholds.
        gain: what would be added to it if all predictions of the kind were removed from the file.
    """

    tiou: float
    min_tiou: float
    per_instance: int
    prediction_kind: Integers
    truth_kind: Integers
    by_rank: Integers
    by_seconds: LengthTable
    by_share: LengthTable
    average: float
    gain: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Overlap:
    """Best overlap of each row with segments of its own label, and of other labels; 0 below the lowest threshold."""

    same: Array
    other: Array


def detection_errors(
    truth: SegmentTable,
    predictions: SegmentTable,
    *,
    num_classes: int,
    tiou_thresholds: Sequence[float] = ACTIVITYNET_TIOU,
    duration_seconds: Array | None = None,
    tiou: float = READ_AT_TIOU,
    min_tiou: float = BACKGROUND_BELOW_TIOU,
    per_instance: int = JUDGED_PER_INSTANCE,
    convention: DetectionConvention = "activitynet",
) -> DetectionErrors:
    """Judges the predictions of each class down to `per_instance` times its ground truth, and every ground truth.

    Reasons of a miss look at all predictions of the file, so "never proposed" means never. Predictions with a label
    that the ground truth does not have belong to no class: they are not judged.

    Args:
        duration_seconds: float64 [V], length of each video, NaN where unknown; for the lengths as share of the video.
        tiou: threshold at which kinds are told.
        convention: as in `detection_map`.

    Raises:
        ValueError: as `detection_map`, or no positive `per_instance`.
    """
    if per_instance < 1:
        raise ValueError(f"per_instance must be at least 1, got {per_instance}.")
    ranking = Ranking.of(predictions)
    ranks = ranking.ranks()
    thresholds = [tiou, *tiou_thresholds]
    matched = match(truth, predictions, ranks, thresholds, convention)
    base = average_precision(truth, matched[1:], ranks, num_classes, tiou_thresholds)
    pairs = candidate_pairs(truth, predictions, min(min_tiou, *thresholds), convention, same_label=False)
    by_prediction = _best_overlap(pairs, truth, predictions, pairs.prediction, len(predictions))
    by_truth = _best_overlap(pairs, truth, predictions, pairs.truth, len(truth))

    depth = _depth(truth, predictions, ranks, num_classes)
    judged = depth < per_instance
    prediction_kind = np.where(judged, _prediction_kinds(by_prediction, matched[0], tiou, min_tiou), -1)
    truth_kind = _truth_kinds(by_truth, matched[0], judged, tiou, min_tiou)
    kinds = truth_kind, prediction_kind
    shares = _share(truth, duration_seconds), _share(predictions, duration_seconds)
    return DetectionErrors(
        tiou=tiou,
        min_tiou=min_tiou,
        per_instance=per_instance,
        prediction_kind=prediction_kind,
        truth_kind=truth_kind,
        by_rank=_counts(np.where(judged, depth, 0), prediction_kind, per_instance, len(PREDICTION_KINDS)),
        by_seconds=_length_table(SECONDS_EDGES, (_seconds(truth), _seconds(predictions)), kinds),
        by_share=_length_table(SHARE_EDGES, shares, kinds),
        average=base.average,
        gain=_gains(truth, ranking, matched[1:], by_prediction, base, num_classes, min_tiou),
    )


def _best_overlap(pairs: Pairs, truth: SegmentTable, predictions: SegmentTable, rows: Integers, count: int) -> _Overlap:
    best = np.zeros((2, count))
    same = truth.label[pairs.truth] == predictions.label[pairs.prediction]
    for overlap, chosen in zip(best, (same, ~same), strict=True):
        np.maximum.at(overlap, rows[chosen], pairs.iou[chosen])
    return _Overlap(*best)


def _depth(truth: SegmentTable, predictions: SegmentTable, ranks: Integers, num_classes: int) -> Integers:
    """0 for the best G predictions of a class of G ground truth segments, 1 for the next G; huge for no such class."""
    positives = np.bincount(truth.label, minlength=num_classes)
    known = (predictions.label != UNKNOWN) & (predictions.label < num_classes)
    own = np.where(known, positives[np.where(known, predictions.label, 0)], 0)
    return np.where(own > 0, (ranks - 1) // np.maximum(own, 1), np.iinfo(np.int64).max)


def _prediction_kinds(overlap: _Overlap, matched: Integers, tiou: float, min_tiou: float) -> Integers:
    """Later lines outrank earlier ones."""
    names = list(PREDICTION_KINDS)
    kinds = np.full(len(overlap.same), names.index("background"))
    kinds[overlap.other >= min_tiou] = names.index("confusion")
    kinds[overlap.same >= min_tiou] = names.index("bad boundary")
    kinds[overlap.other >= tiou] = names.index("wrong label")
    kinds[overlap.same >= tiou] = names.index("double detection")
    kinds[matched[matched >= 0]] = names.index("true positive")
    return kinds


def _truth_kinds(overlap: _Overlap, matched: Integers, judged: Flags, tiou: float, min_tiou: float) -> Integers:
    """Later lines outrank earlier ones."""
    names = list(TRUTH_KINDS)
    kinds = np.full(len(overlap.same), names.index("never proposed"))
    kinds[overlap.other >= min_tiou] = names.index("confusion")
    kinds[overlap.same >= min_tiou] = names.index("bad boundary")
    kinds[overlap.other >= tiou] = names.index("wrong label")
    kinds[overlap.same >= tiou] = names.index("taken")
    found = np.flatnonzero(matched >= 0)
    kinds[found] = np.where(judged[matched[found]], names.index("found"), names.index("ranked too low"))
    return kinds


def _length_table(
    edges: Sequence[float], lengths: tuple[Array, Array], kinds: tuple[Integers, Integers]
) -> LengthTable:
    """Lengths and kinds of ground truth, then of predictions."""
    sizes = len(TRUTH_KINDS), len(PREDICTION_KINDS)
    counted = (
        _counts(_bins(length, edges), kind, len(edges), size)
        for length, kind, size in zip(lengths, kinds, sizes, strict=True)
    )
    return LengthTable(edges, *counted)


def _seconds(table: SegmentTable) -> Array:
    return np.maximum(table.segments[:, 1] - table.segments[:, 0], 0)


def _share(table: SegmentTable, duration_seconds: Array | None) -> Array:
    """Length over the length of the video, [K]; NaN where that is not known."""
    if duration_seconds is None or len(duration_seconds) == 0:
        return np.full(len(table), np.nan)
    durations = np.where(table.video == UNKNOWN, np.nan, duration_seconds[table.video])
    return _seconds(table) / np.where(durations > 0, durations, np.nan)


def _bins(lengths: Array, edges: Sequence[float]) -> Integers:
    """Number of each length's bin; the last number is for lengths that are not known."""
    return np.where(np.isnan(lengths), len(edges) - 1, np.digitize(lengths, edges) - 1)


def _counts(rows: Integers, kinds: Integers, num_rows: int, num_kinds: int) -> Integers:
    counted = kinds >= 0
    flat = np.bincount(rows[counted] * num_kinds + kinds[counted], minlength=num_rows * num_kinds)
    return flat.reshape(num_rows, num_kinds)


def _gains(
    truth: SegmentTable,
    ranking: Ranking,
    matched: Integers,
    overlap: _Overlap,
    base: DetectionResult,
    num_classes: int,
    min_tiou: float,
) -> dict[str, float]:
    """Average mAP without the predictions of a kind, less that with them; kinds are told anew at each threshold.

    Who finds what does not change, since those that are removed found nothing.
    """
    errors = list(PREDICTION_KINDS)[1:]
    without = np.zeros((len(errors), len(matched)))
    for column, (found_by, threshold) in enumerate(zip(matched, base.tiou_thresholds, strict=True)):
        kinds = _prediction_kinds(overlap, found_by, float(threshold), min_tiou)
        for row in range(len(errors)):
            ranks = ranking.ranks(kinds != row + 1)
            result = average_precision(truth, found_by[None], ranks, num_classes, [float(threshold)])
            without[row, column] = result.average
    return dict(zip(errors, (without.mean(axis=1) - base.average).tolist(), strict=True))
