"""Recognition scorers: top-k and mean-class accuracy, confusion matrix, mean and spread over seeds.

Tie policy of all of them: classes with equal scores count as randomly ordered, and the expectation is returned, exactly
and without drawing. Constant scores so give chance (k / N), and no class order is favored. Accuracies lie in [0, 1].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Mean of repeated measurements and how far to trust it.

    Attributes:
        std: sample standard deviation (n - 1); None for one value.
        n: number of values.
        half_width_95: the 95 % interval of the mean is mean ± this (Student t); None for one value.
    """

    mean: float
    std: float | None
    n: int
    half_width_95: float | None


def top_k_accuracy(scores: npt.ArrayLike, targets: npt.ArrayLike, k: int = 1) -> float:
    """Share of videos whose class is among the k best scores; 1.0 where k >= N.

    Args:
        scores: [B, N], larger is better; infinite values are allowed.
        targets: int [B], index of the true class.

    Raises:
        ValueError: shapes or target range do not fit, B or k is 0, or a score is NaN.
    """
    return float(np.mean(_hits(*checked(scores, targets), k)))


def per_class_accuracy(scores: npt.ArrayLike, targets: npt.ArrayLike, k: int = 1) -> Array:
    """Top-k accuracy of each class's videos, [N]; NaN for classes without videos. Arguments as `top_k_accuracy`."""
    checked_scores, checked_targets = checked(scores, targets)
    num_classes = checked_scores.shape[1]
    hits = np.bincount(checked_targets, _hits(checked_scores, checked_targets, k), minlength=num_classes)
    counts = np.bincount(checked_targets, minlength=num_classes)
    return np.divide(hits, counts, out=np.full(num_classes, np.nan), where=counts > 0)


def mean_class_accuracy(scores: npt.ArrayLike, targets: npt.ArrayLike, k: int = 1) -> float:
    """Mean of `per_class_accuracy` over the classes that have videos."""
    return float(np.nanmean(per_class_accuracy(scores, targets, k)))


def confusion_matrix(scores: npt.ArrayLike, targets: npt.ArrayLike) -> Array:
    """Counts [N, N], rows truth, columns prediction; tied best classes share a video equally.

    Rows add up to the videos of the class, and the trace divided by B is the top-1 accuracy.
    Arguments as `top_k_accuracy`.
    """
    checked_scores, checked_targets = checked(scores, targets)
    best = checked_scores == checked_scores.max(axis=1, keepdims=True)
    matrix = np.zeros((checked_scores.shape[1],) * 2)
    np.add.at(matrix, checked_targets, best / best.sum(axis=1, keepdims=True))
    return matrix


def harmonic_mean(first: float, second: float) -> float:
    """2ab / (a + b), of base and novel accuracy; 0 where either is 0."""
    return 2 * first * second / (first + second) if first and second else 0.0


def mean_and_spread(values: Sequence[float]) -> Spread:
    """Mean, sample standard deviation and 95 % interval of the mean over repeated runs.

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("mean_and_spread needs at least one value, got none.")
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Spread(mean, None, 1, None)
    std = float(np.std(values, ddof=1))
    return Spread(mean, std, n, _student_t_975(n - 1) * std / math.sqrt(n))


_STUDENT_T_975 = (12.7062047, 4.3026527, 3.1824463, 2.7764451, 2.5705818, 2.4469119, 2.3646243, 2.3060041, 2.2621572)
"""97.5 % quantiles of Student's t for 1 to 9 degrees of freedom."""


def _student_t_975(degrees: int) -> float:
    """From the table, and above it by the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), error below 1e-5."""
    if degrees <= len(_STUDENT_T_975):
        return _STUDENT_T_975[degrees - 1]
    z = 1.959963984540054
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * degrees**4)
    )


def checked(matrix: npt.ArrayLike, targets: npt.ArrayLike, name: str = "scores") -> tuple[Array, npt.NDArray[np.int64]]:
    """[B, N] numbers as float64 and int64 targets [B] in [0, N).

    Raises:
        ValueError: other shapes, no videos, a target outside the range, or NaN.
    """
    values, truth = np.asarray(matrix, dtype=np.float64), np.asarray(targets)
    if values.ndim != 2 or truth.shape != values.shape[:1] or values.size == 0:
        raise ValueError(f"{name} must be [B, N] and targets [B], not empty, got {values.shape} and {truth.shape}.")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= values.shape[1]:
        raise ValueError(
            f"targets must be integers in [0, {values.shape[1]}), got {truth.dtype} {truth.min()}..{truth.max()}."
        )
    if np.isnan(values).any():
        raise ValueError(f"{name} must not be NaN, found {int(np.isnan(values).sum())}.")
    return values, truth.astype(np.int64)


def _hits(scores: Array, targets: npt.NDArray[np.int64], k: int) -> Array:
    """Chance of each target to be among the k best under random order of ties, [B]."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    better, tied = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return np.clip((k - better) / tied, 0.0, 1.0)
