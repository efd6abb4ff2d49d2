"""Mean average precision of temporal localization, as the official ActivityNet evaluator counts it.

The evaluator (activitynet/ActivityNet, Evaluation/eval_detection.py) goes through the predictions of a class from the
best score down; each takes the ground truth segment of its video and class that it overlaps most, among those that no
better one took, if the overlap reaches the threshold. AP is the area under the interpolated precision (VOC 2012).

What it does with odd input, and so do we: the same ground truth given twice must be found twice; predictions for videos
without ground truth are wrong ones; a class that is never predicted has AP 0; labels without ground truth have no AP.
Of equal scores the later in the file ranks first, and of equally overlapped ground truth the later is taken first. Two
empty segments of one video and class match, wherever they lie. `conventions` says where other evaluators differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framecue.metrics.conventions import CONVENTIONS, DetectionConvention
from framecue.metrics.segment_table import Array, Integers, Pairs, SegmentTable, overlapping_pairs

ACTIVITYNET_TIOU: tuple[float, ...] = tuple(float(value) for value in np.linspace(0.5, 0.95, 10))
THUMOS14_TIOU = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """Average precision of T thresholds and C classes, in [0, 1].

    Attributes:
        tiou_thresholds: float64 [T].
        per_class: float64 [T, C]; NaN for classes without ground truth.
        mean_ap: float64 [T], over the classes that have ground truth.
        average: mean of `mean_ap`, the figure that papers compare.
    """

    tiou_thresholds: Array
    per_class: Array
    mean_ap: Array
    average: float


def detection_map(
    truth: SegmentTable,
    predictions: SegmentTable,
    *,
    num_classes: int,
    tiou_thresholds: Sequence[float] = ACTIVITYNET_TIOU,
    convention: DetectionConvention = "activitynet",
) -> DetectionResult:
    """Interpolated AP of each class, and its means.

    Args:
        convention: whose rule decides what overlaps; what ground truth counts is the reader's affair.

    Raises:
        ValueError: no ground truth, predictions without scores, labels not below `num_classes`, or thresholds outside
            (0, 1].
    """
    ranking = Ranking.of(predictions)
    matched = match(truth, predictions, ranking.ranks(), tiou_thresholds, convention)
    return average_precision(truth, matched, ranking.ranks(), num_classes, tiou_thresholds)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Order of the predictions of each class by descending score, of equal ones the later in the file first.

    Attributes:
        order: int64 [N], rows, class by class, each best first.
        first: int64 [N], where in `order` the row's class begins.
    """

    order: Integers
    first: Integers

    @classmethod
    def of(cls, predictions: SegmentTable) -> "Ranking":
        order = np.lexsort((predictions.ranked_scores(), -predictions.label))[::-1]
        in_order = predictions.label[order]
        return cls(order, np.searchsorted(in_order, predictions.label, side="left"))

    def ranks(self, kept: npt.NDArray[np.bool_] | None = None) -> Integers:
        """Place of each row within its class, from 1, [N]; of rows that are not `kept` it has no meaning."""
        counted = np.ones(len(self.order), dtype=bool) if kept is None else kept[self.order]
        upto = np.concatenate([[0], np.cumsum(counted)])
        ranks = np.empty(len(self.order), dtype=np.int64)
        ranks[self.order] = upto[1:]
        return ranks - upto[self.first]


def match(
    truth: SegmentTable,
    predictions: SegmentTable,
    ranks: Integers,
    tiou_thresholds: Sequence[float],
    convention: DetectionConvention = "activitynet",
) -> Integers:
    """Row of the prediction that takes each ground truth segment, [T, G]; -1 where none does.

    Going down the ranking gives the only stable matching in which every ground truth segment prefers the better ranked
    prediction, so it is found for all classes, videos and thresholds at once by deferred acceptance (Gale and Shapley
    1962): everyone asks for the best segment that has not refused it, each segment keeps the best ranked that asks.
    """
    thresholds = checked_thresholds(tiou_thresholds)
    pairs = _by_preference(candidate_pairs(truth, predictions, float(thresholds.min()), convention))
    begin = np.flatnonzero(np.diff(pairs.prediction, prepend=-1))
    num_truth, unmatched = len(truth), np.iinfo(np.int64).max
    holder = np.full(len(thresholds) * num_truth, unmatched)
    if len(begin):
        choices = np.add.reduceat(pairs.iou[None] >= thresholds[:, None], begin, axis=1, dtype=np.int64)
        threshold, asker = np.nonzero(choices)
        left = choices[threshold, asker]
        position = begin[asker]
        rank = ranks[pairs.prediction[position]]
        while True:
            asked = threshold * num_truth + pairs.truth[position]
            np.minimum.at(holder, asked, rank)
            refused = holder[asked] != rank
            if not refused.any():
                break
            position, left = position + refused, left - refused
            going_on = left > 0
            threshold, position, left, rank = (column[going_on] for column in (threshold, position, left, rank))
        matched = np.full(len(holder), -1, dtype=np.int64)
        matched[asked] = pairs.prediction[position]
        return matched.reshape(len(thresholds), num_truth)
    return np.full((len(thresholds), num_truth), -1, dtype=np.int64)


def candidate_pairs(
    truth: SegmentTable,
    predictions: SegmentTable,
    min_iou: float,
    convention: DetectionConvention,
    *,
    same_label: bool = True,
) -> Pairs:
    """Pairs whose overlap is at least `min_iou`, or 0/0.

    The evaluators pass over an overlap that is below the threshold, which NaN is not, and their sort puts NaN first.
    """
    return overlapping_pairs(
        truth,
        predictions,
        min_iou,
        same_label=same_label,
        least_union_seconds=CONVENTIONS[convention].least_union_seconds,
        undefined=np.inf,
    )


def average_precision(
    truth: SegmentTable, matched: Integers, ranks: Integers, num_classes: int, tiou_thresholds: Sequence[float]
) -> DetectionResult:
    """AP from the rows that found something, [T, G], and the places of all rows within their classes, [N].

    Interpolated precision only changes where something is found: there it is the number found so far over the rank.
    """
    if len(truth) == 0:
        raise ValueError("the mean average precision needs ground truth, got no segment.")
    if truth.label.min() < 0 or truth.label.max() >= num_classes:
        raise ValueError(f"labels of the ground truth must lie in [0, {num_classes}), found {truth.label.max()}.")
    positives = np.bincount(truth.label, minlength=num_classes)
    per_class = np.full((len(matched), num_classes), np.nan)
    per_class[:, positives > 0] = 0.0
    for row, found_by in zip(per_class, matched, strict=True):
        found = np.flatnonzero(found_by >= 0)
        labels, places = truth.label[found], ranks[found_by[found]]
        order = np.lexsort((places, labels))
        for one_class in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else ():
            precision = np.arange(1, len(one_class) + 1) / places[one_class]
            interpolated = np.maximum.accumulate(precision[::-1])
            label = labels[one_class[0]]
            row[label] = interpolated.sum() / positives[label]
    mean_ap = np.nanmean(per_class, axis=1)
    return DetectionResult(checked_thresholds(tiou_thresholds), per_class, mean_ap, float(mean_ap.mean()))


def checked_thresholds(tiou_thresholds: Sequence[float]) -> Array:
    """The thresholds as an array.

    Raises:
        ValueError: none, or one outside (0, 1].
    """
    thresholds = np.asarray(tiou_thresholds, dtype=np.float64)
    if thresholds.ndim != 1 or len(thresholds) == 0 or not ((thresholds > 0) & (thresholds <= 1)).all():
        raise ValueError(f"tiou_thresholds must be numbers in (0, 1], got {list(tiou_thresholds)}.")
    return thresholds


def _by_preference(pairs: Pairs) -> Pairs:
    """Pairs of each prediction together, most overlapped first, of equal ones the later in the file."""
    order = np.lexsort((-pairs.truth, -pairs.iou, pairs.prediction))
    return Pairs(pairs.prediction[order], pairs.truth[order], pairs.iou[order])
