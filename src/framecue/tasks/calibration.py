"""Probabilities that mean what they say: a temperature, fitted on validation videos where these are enough.

Shapes: logits [B, V, N], cosine of each of V views of a video with each of N names, divided by the model's own
temperature. Probabilities are the mean over views of softmax(logits / T), T the calibration temperature; T = 1 is the
model's own sureness.
"""

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from framecue.metrics.calibration import (
    Array,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
)

Targets = npt.NDArray[np.int64]

LEAST_CALIBRATION_VIDEOS = 20
"""With fewer validation videos nothing is fitted, neither a temperature nor a threshold. A promise to keep 95 % needs
19. And on the built-in world the temperature of 20 videos is worse than none in 10 of 100 draws for a model that is
nearly calibrated and in none for one that is far from it, that of 10 videos in 25 of 100 (docs/log.md)."""

TEMPERATURE_RANGE = (0.25, 4.0)
"""Bounds of the fit, around the model's own sureness."""

TEMPERATURES = np.geomspace(*TEMPERATURE_RANGE, 49)
"""Looked at in a fit; the view average may have several minima, so that no search goes downhill from one place."""

PRIOR_DEVIATION = 0.5
"""Of log T, before any video was seen: temperatures of 0.6 and 1.6 are one standard deviation from the model's own."""

FOLDS = 5


def view_probabilities(logits: npt.ArrayLike, temperature: float = 1.0) -> Array:
    """Mean over views of softmax(logits / temperature), [B, N].

    Raises:
        ValueError: logits not [B, V, N], without views or names, or not finite; temperature not above 0.
    """
    return np.exp(view_log_probabilities(checked_logits(logits), checked_temperature(temperature)))


def calibration_note(num_videos: int, what: str = "validation videos") -> str:
    """How far the percentages of a model can be trusted that has so many `what`; a sentence without its full stop."""
    if num_videos < LEAST_CALIBRATION_VIDEOS:
        return f"not calibrated: {num_videos} {what}, {LEAST_CALIBRATION_VIDEOS} needed"
    return f"calibrated on {num_videos} {what}, which also chose the weights"


def fit_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Temperature of the likeliest view-averaged probabilities (Guo et al. 2017, section 4.2), taken with care.

    One number, so with one view the best name of no video changes. Departures: views are averaged inside the
    likelihood, since the averaged probabilities are what is shown; log T has a normal prior of PRIOR_DEVIATION around
    0, so that few videos, all of them right, do not claim certainty; T stays within TEMPERATURE_RANGE; and it is taken
    only where temperatures fitted on other videos serve videos they have not seen better than the model's own.

    Args:
        logits: [B, V, N] of validation videos.
        targets: int [B].

    Returns:
        T, fitted on all videos; 1.0 where they do not say (fewer than 2, one name, constant logits) or cross-fitting
        does not lower the likelihood loss.

    Raises:
        ValueError: as `view_probabilities`; targets not int [B] in [0, N).
    """
    values, truth = checked_problem(logits, targets)
    if len(values) < 2:
        return 1.0
    surprise = _surprise(values, truth)
    own, crossed = view_log_probabilities(values, 1.0), _cross_fitted(values, truth, surprise)
    if negative_log_likelihood(crossed, truth) >= negative_log_likelihood(own, truth):
        return 1.0
    return _likeliest(surprise)


def measure_calibration(logits: npt.ArrayLike, targets: npt.ArrayLike, temperature: float) -> dict[str, float]:
    """Expected calibration error with bins of equal width and of equal mass, negative log-likelihood, Brier score.

    Raises:
        ValueError: as `fit_temperature`; no videos.
    """
    values, truth = checked_problem(logits, targets)
    return _measures(view_log_probabilities(values, checked_temperature(temperature)), truth)


def cross_fitted_calibration(logits: npt.ArrayLike, targets: npt.ArrayLike) -> dict[str, float]:
    """`measure_calibration` of videos of which none was seen by the temperature that it is measured with.

    Each of FOLDS folds is measured with the temperature fitted on the others; the folds share out every class.

    Raises:
        ValueError: as `fit_temperature`; fewer than 2 videos.
    """
    values, truth = checked_problem(logits, targets)
    return _measures(_cross_fitted(values, truth, _surprise(values, truth)), truth)


def folds(targets: Targets) -> list[npt.NDArray[np.bool_]]:
    """Masks [B] of min(FOLDS, B) parts that together hold every video once; the videos of a class are dealt out.

    Raises:
        ValueError: fewer than 2 videos.
    """
    if len(targets) < 2:
        raise ValueError(f"cross-fitting needs at least 2 videos, got {len(targets)}.")
    dealt = np.empty(len(targets), dtype=np.int64)
    dealt[np.argsort(targets, kind="stable")] = np.arange(len(targets)) % FOLDS
    return [dealt == number for number in range(min(FOLDS, len(targets)))]


def logsumexp(values: Array, axis: int) -> Array:
    """log(sum(exp(values))) along an axis, without overflow."""
    top = values.max(axis=axis, keepdims=True)
    return cast(Array, np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis))


def view_log_probabilities(logits: Array, temperature: float) -> Array:
    """Logarithm of the view-averaged probabilities, [B, V, N] -> [B, N]; finite where a probability rounds to 0."""
    scaled = logits / temperature
    return logsumexp(scaled - logsumexp(scaled, axis=2)[:, :, None], axis=1) - np.log(logits.shape[1])


def checked_logits(logits: npt.ArrayLike) -> Array:
    """
    Raises:
        ValueError: not [B, V, N], without views or names, or not finite.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError(f"logits must be [B, V, N] with at least one view and one name, got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"logits must be finite numbers, found {int((~np.isfinite(values)).sum())} NaN or infinite.")
    return values


def checked_problem(logits: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Array, Targets]:
    """
    Raises:
        ValueError: as `checked_logits`; targets not int [B] in [0, N).
    """
    values, truth = checked_logits(logits), np.asarray(targets)
    if truth.shape != values.shape[:1]:
        raise ValueError(f"targets must be one per video, [{len(values)}], got shape {truth.shape}.")
    if not len(truth):
        return values, np.zeros(0, np.int64)
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= values.shape[2]:
        raise ValueError(
            f"targets must be integers in [0, {values.shape[2]}), got {truth.dtype} {truth.min()}..{truth.max()}."
        )
    return values, truth.astype(np.int64)


def checked_temperature(temperature: float) -> float:
    """
    Raises:
        ValueError: not finite, or not above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a finite number above 0, got {temperature}.")
    return float(temperature)


def _cross_fitted(logits: Array, targets: Targets, surprise: Array) -> Array:
    """Log-probabilities [B, N] of every video, at the temperature fitted on the other folds."""
    logs = np.empty((len(logits), logits.shape[2]))
    for own in folds(targets):
        logs[own] = view_log_probabilities(logits[own], _likeliest(surprise[~own]))
    return logs


def _surprise(logits: Array, targets: Targets) -> Array:
    """-log p(true name) of each video at each of TEMPERATURES, in nats, view-averaged, [B, len(TEMPERATURES)]."""
    own = np.take_along_axis(logits, targets[:, None, None], axis=2)[:, :, 0]  # [B, V, N] -> [B, V]
    columns = [logsumexp(own / value - logsumexp(logits / value, axis=2), axis=1) for value in TEMPERATURES]
    return math.log(logits.shape[1]) - np.stack(columns, axis=1)


def _likeliest(surprise: Array) -> float:
    """Temperature of greatest likelihood times prior: the best of TEMPERATURES, or of the parabola through it."""
    logs = np.log(TEMPERATURES)
    loss = surprise.sum(axis=0) + (logs / PRIOR_DEVIATION) ** 2 / 2
    best = int(loss.argmin())
    if best in (0, len(logs) - 1):
        return float(TEMPERATURES[best])
    below, here, above = loss[best - 1 : best + 2]
    step = (logs[1] - logs[0]) * (below - above) / (2 * (below - 2 * here + above))
    return math.exp(logs[best] + step)


def _measures(log_probabilities: Array, targets: Targets) -> dict[str, Any]:
    probabilities = np.exp(log_probabilities)
    return {
        "ece": expected_calibration_error(probabilities, targets),
        "ece_equal_mass": expected_calibration_error(probabilities, targets, binning="equal_mass"),
        "nll": negative_log_likelihood(log_probabilities, targets),
        "brier": brier_score(probabilities, targets),
    }
