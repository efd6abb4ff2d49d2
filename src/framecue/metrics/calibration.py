"""Confidence scorers: calibration of probabilities, known against unknown, accuracy at a coverage.

Tie policy as in `metrics.recognition`: what ties is randomly ordered and the expectation is returned, exactly and
without drawing; no measure depends on the order of the videos. B videos, N names.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from framecue.metrics.recognition import checked

Array = npt.NDArray[np.float64]
Binning = Literal["equal_width", "equal_mass"]

_ROUNDING = 1e-9  # 0.07 * 100 is above 7 in floating point, and would round up to 8


@dataclass(frozen=True)
class ReliabilityBin:
    """Videos of about the same confidence, one bar of a reliability diagram.

    Attributes:
        lower, upper: the bin holds confidences in (lower, upper]; with equal mass, the least and greatest in it.
        count: number of videos, at least 1.
        confidence: their mean highest probability.
        accuracy: share of them whose best name is right.
    """

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float


def negative_log_likelihood(log_probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean of -log p(true name), in nats.

    Args:
        log_probabilities: [B, N], at most 0; logarithms, because a sure mistake has a probability that rounds to 0.
        targets: int [B].

    Raises:
        ValueError: shapes or target range do not fit, no videos, a value above 0 or NaN.
    """
    values, truth = checked(log_probabilities, targets, "log_probabilities")
    if values.max() > 1e-6:
        raise ValueError(f"log_probabilities must be at most 0, found {values.max()}.")
    return float(-np.take_along_axis(values, truth[:, None], axis=1).mean())


def brier_score(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean squared distance of a row to its one-hot truth, in [0, 2] (Brier 1950). Arguments as `top1_hits`."""
    values, truth = _checked_probabilities(probabilities, targets)
    return float(np.square(values - np.eye(values.shape[1])[truth]).sum(axis=1).mean())


def top1_hits(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> Array:
    """Chance of each video that its best name is the true one: 1, 0, or 1/k where k best names tie. [B].

    Args:
        probabilities: [B, N], rows add up to 1.
        targets: int [B], index of the true name.

    Raises:
        ValueError: shapes or target range do not fit, no videos, rows that are no distribution.
    """
    values, truth = _checked_probabilities(probabilities, targets)
    best = values == values.max(axis=1, keepdims=True)
    return np.take_along_axis(best, truth[:, None], axis=1)[:, 0] / best.sum(axis=1)


def reliability_bins(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, num_bins: int = 15, binning: Binning = "equal_width"
) -> tuple[ReliabilityBin, ...]:
    """Bins of the reliability diagram by rising confidence, without the empty ones (Guo et al. 2017, section 2).

    Args:
        probabilities, targets: as `top1_hits`.
        binning: "equal_width" divides (0, 1] evenly; "equal_mass" divides the sorted videos evenly (Nguyen and O'Connor
            2015), equal confidences staying in one bin.

    Raises:
        ValueError: as `top1_hits`; an unknown binning or no bins.
    """
    hits = top1_hits(probabilities, targets)
    confidences = np.asarray(probabilities, dtype=np.float64).max(axis=1)
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}.")
    if binning == "equal_width":
        index = np.clip(np.ceil(confidences * num_bins) - 1, 0, num_bins - 1).astype(np.int64)
    elif binning == "equal_mass":
        index = np.searchsorted(np.sort(confidences), confidences, side="left") * num_bins // len(confidences)
    else:
        raise ValueError(f"binning must be equal_width or equal_mass, got {binning!r}.")
    bins = []
    for number in np.unique(index):
        inside = confidences[index == number]
        lower, upper = number / num_bins, (number + 1) / num_bins
        if binning == "equal_mass":
            lower, upper = inside.min(), inside.max()
        accuracy = float(hits[index == number].mean())
        bins.append(ReliabilityBin(float(lower), float(upper), len(inside), float(inside.mean()), accuracy))
    return tuple(bins)


def expected_calibration_error(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, num_bins: int = 15, binning: Binning = "equal_width"
) -> float:
    """Mean distance of confidence and accuracy over `reliability_bins`, weighted by videos (Guo et al. 2017, eq. 3)."""
    bins = reliability_bins(probabilities, targets, num_bins=num_bins, binning=binning)
    return sum(part.count * abs(part.confidence - part.accuracy) for part in bins) / sum(part.count for part in bins)


def auroc(known_scores: npt.ArrayLike, unknown_scores: npt.ArrayLike) -> float:
    """Chance that a known video scores above an unknown one, a tie counting 1/2: the area under the ROC curve.

    Args:
        known_scores: [K], higher = more surely known; infinite values are allowed.
        unknown_scores: [U].

    Raises:
        ValueError: not a vector, empty, or NaN.
    """
    known = _checked_scores(known_scores, "known_scores")
    unknown = np.sort(_checked_scores(unknown_scores, "unknown_scores"))
    # Twice the number of pairs won, as an integer: exact for any number of videos.
    wins = np.searchsorted(unknown, known, side="left").sum() + np.searchsorted(unknown, known, side="right").sum()
    return int(wins) / (2 * len(known) * len(unknown))


def threshold_keeping(scores: npt.ArrayLike, keep: float) -> float:
    """The highest threshold, one of the scores, that at least the share `keep` of them reaches (score >= threshold).

    Raises:
        ValueError: as `auroc`; keep outside (0, 1].
    """
    values = _checked_scores(scores, "scores")
    return float(np.sort(values)[len(values) - _num_covered(keep, len(values), "keep")])


def promised_threshold(scores: npt.ArrayLike, keep: float = 0.95) -> float:
    """The highest of the scores that a new one, drawn like them, reaches with a chance of at least `keep`.

    Its rank from below is the largest k with k / (B + 1) <= 1 - keep: a new score is as likely to take any of the B + 1
    places among the old ones, so it falls below the k-th with a chance of at most k / (B + 1) (split conformal
    prediction, Vovk et al. 2005; Lei et al. 2018, theorem 2.2). `threshold_keeping` promises that of the old scores
    alone; of new ones it keeps less, with 20 of them 90 % where 95 % are asked for. The chance is over the draw of the
    scores, too: `kept_interval` says how far a single draw may miss.

    Raises:
        ValueError: as `threshold_keeping`; fewer scores than `least_for_promise`.
    """
    values = _checked_scores(scores, "scores")
    rank = _promised_rank(len(values), keep)
    if not rank:
        raise ValueError(f"a promise to keep {keep:g} needs {least_for_promise(keep)} scores, got {len(values)}.")
    return float(np.sort(values)[rank - 1])


def least_for_promise(keep: float) -> int:
    """Fewest scores for `promised_threshold`: 19 for 95 %.

    Raises:
        ValueError: keep outside (0, 1).
    """
    if not 0 < keep < 1:
        raise ValueError(f"keep must be in (0, 1) to be promised, got {keep}.")
    return math.ceil(1 / (1 - keep) - _ROUNDING) - 1


def kept_interval(num_scores: int, keep: float = 0.95) -> tuple[float, float]:
    """Where the share of new scores that reach `promised_threshold` lies for 95 % of the draws of the old ones.

    That share is distributed as Beta(B + 1 - k, k), whatever the scores are, if none tie (Vovk 2012, section 3).

    Raises:
        ValueError: as `promised_threshold`.
    """
    rank = _promised_rank(num_scores, keep)
    if not rank:
        raise ValueError(f"a promise to keep {keep:g} needs {least_for_promise(keep)} scores, got {num_scores}.")
    return _kept_quantile(num_scores, rank, 0.025), _kept_quantile(num_scores, rank, 0.975)


def _promised_rank(count: int, keep: float) -> int:
    return 0 if count < least_for_promise(keep) else math.floor((count + 1) * (1 - keep) + _ROUNDING)


def _kept_quantile(count: int, rank: int, chance: float) -> float:
    """Quantile of Beta(count + 1 - rank, rank), by halving: it is below p if fewer than `rank` of `count` exceed p."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        below = sum(
            math.exp(
                math.lgamma(count + 1)
                - math.lgamma(above + 1)
                - math.lgamma(count - above + 1)
                + above * math.log1p(-middle)
                + (count - above) * math.log(middle)
            )
            for above in range(rank)
        )
        low, high = (middle, high) if below < chance else (low, middle)
    return (low + high) / 2


def false_accept_at(known_scores: npt.ArrayLike, unknown_scores: npt.ArrayLike, keep: float = 0.95) -> float:
    """Share of unknown videos that pass at the threshold keeping `keep` of the known ones; FPR at 95 % TPR by default.

    No interpolation between thresholds. Arguments and errors as `auroc` and `threshold_keeping`.
    """
    threshold = threshold_keeping(known_scores, keep)
    return float(np.mean(_checked_scores(unknown_scores, "unknown_scores") >= threshold))


def coverage_accuracy(scores: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Array, Array]:
    """Accuracy among the surest videos, at every coverage (El-Yaniv and Wiener 2010).

    Args:
        scores: [B], higher = surer.
        correct: [B] in [0, 1], whether (or how likely) the answer is right.

    Returns:
        coverage [B] = 1/B, 2/B ... 1, and accuracy [B]; inside a group of tied scores the expectation over its orders.

    Raises:
        ValueError: shapes differ, empty, NaN, or `correct` outside [0, 1].
    """
    values, right = _checked_scores(scores, "scores"), _checked_scores(correct, "correct")
    if values.shape != right.shape or right.min() < 0 or right.max() > 1:
        raise ValueError(
            f"scores and correct must both be [B], correct in [0, 1], got {values.shape}, {right.shape} "
            f"in {right.min()}..{right.max()}."
        )
    _, group = np.unique(-values, return_inverse=True)  # groups count from the surest
    share = np.bincount(group, right) / np.bincount(group)
    number = np.arange(1, len(values) + 1)
    return number / len(values), np.cumsum(share[np.sort(group)]) / number


def accuracy_at_coverage(accuracy: npt.ArrayLike, coverage: float) -> float:
    """Accuracy when the surest share `coverage` of the videos is answered, at least one.

    Args:
        accuracy: [B], the curve of `coverage_accuracy`.

    Raises:
        ValueError: coverage outside (0, 1], or an empty or NaN curve.
    """
    curve = _checked_scores(accuracy, "accuracy")
    return float(curve[_num_covered(coverage, len(curve), "coverage") - 1])


def risk_coverage_area(accuracy: npt.ArrayLike) -> float:
    """Mean of 1 - accuracy over the curve of `coverage_accuracy`, lower is better (AURC of Geifman et al. 2019)."""
    return float(np.mean(1.0 - _checked_scores(accuracy, "accuracy")))


def _num_covered(share: float, count: int, name: str) -> int:
    """Fewest of `count` that are at least `share` of them."""
    if not 0 < share <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {share}.")
    return max(1, math.ceil(share * count - _ROUNDING))


def _checked_scores(scores: npt.ArrayLike, name: str) -> Array:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must be a vector of at least one number, got shape {values.shape}.")
    if np.isnan(values).any():
        raise ValueError(f"{name} must not be NaN, found {int(np.isnan(values).sum())}.")
    return values


def _checked_probabilities(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.int64]]:
    values, truth = checked(probabilities, targets, "probabilities")
    off = np.abs(values.sum(axis=1) - 1).max()
    if values.min() < 0 or off > 1e-3:  # float32 rows of hundreds of names are off by 1e-5
        raise ValueError(
            f"probabilities must be at least 0 and add up to 1 by row, found {values.min()} and a sum off by {off}."
        )
    return values, truth
