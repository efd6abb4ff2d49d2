"""How likely a moment is what was asked for, so that a search can say that nothing here is.

Contrastive training makes `scale * cosine` the logarithm of how much likelier a pair is together than apart, up to a
constant (van den Oord et al. 2018, section 2.3). So the odds of a match are exp(slope * (cosine - center)) times the
odds before looking, and these are one in as many moments as there are: the larger the index, the nearer the best of
its unrelated moments comes. Both numbers are learned where captioned validation videos are at hand; of a frozen
backbone the slope is its own scale, and the center is where sentences about other things would be sure.

Measured (docs/log.md): with the size of the index, the cosine alone tells as well as it does beside its distance to
null texts, to the index's mean, to the second best, or all of them together; without it every form is off by 0.2.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from framecue.tasks.calibration import LEAST_CALIBRATION_VIDEOS
from framecue.tasks.card_rules import is_count, is_number, require, rule_from_json
from framecue.tasks.spotting import NULL_TEXTS

Array = npt.NDArray[np.float64]

MATCH_SCORE = 0.5
"""A moment as likely as not to be what was asked for; it always counts as a match."""

MOST_MOMENTS = 1000
"""In larger indexes a thing that is asked for is expected once in as many moments, not once in all."""

OTHER_THINGS = (
    "a dog running in the snow",
    "a plate of food on a table",
    "a city street at night",
    "two people talking in an office",
    "a child playing the piano",
    "waves breaking on a beach",
    "a red car driving on a road",
    "a close-up of a flower",
    "a football match in a stadium",
    "someone writing on a sheet of paper",
    "a bird flying over a lake",
    "an airplane taking off",
    "a woman cooking in a kitchen",
    "a crowd at a concert",
    "a cat sleeping on a sofa",
    "a mountain covered in clouds",
)
UNRELATED_TEXTS = (*OTHER_THINGS, *NULL_TEXTS)
"""Sentences of which most are about something else, whatever an index holds."""

FLOOR_SHARE = 0.8
"""Of sentences about other things, how many are to find no match; the others may be in the index after all."""

ABSENT_SHARE = 0.25
"""Of sentences about other things, how many may be said to match nothing. Of captions whose video is among the first
five of 10, 100, 400 videos of MSR-VTT, that is said of 1, 5, 9 %; with FLOOR_SHARE in its place of 15, 37, 48 %."""

SLOPE_FACTOR = 4.0
"""A learned slope is at most so many times steeper or flatter than the model's own scale."""

_RIDGE = 1.0  # of the slope in standard units: a validation part of two videos does not make it infinite
_EXAMPLE_SURENESS = 4.0  # log odds of an identical moment: 0.98


@dataclass(frozen=True)
class MatchRule:
    """Odds of a match are exp(slope * (similarity - center)) / number of moments.

    Attributes:
        slope: how fast the odds grow with the cosine; above 0.
        center: cosine of a moment that is a match as likely as not, were it the only one.
        counts_moments: False = the number of moments does not enter.
        num_val: validation captions behind this; 0 where nothing was learned.
    """

    slope: float
    center: float
    counts_moments: bool = True
    num_val: int = 0

    def __post_init__(self) -> None:
        check = partial(require, self, "match rule")
        check(is_number(self.slope) and self.slope > 0, "slope", "a number above 0")
        check(is_number(self.center), "center", "a finite number")
        check(isinstance(self.counts_moments, bool), "counts_moments", "true or false")
        check(is_count(self.num_val, low=0), "num_val", "a whole number, at least 0")

    def score(self, similarities: npt.ArrayLike, num_moments: int) -> Array:
        """Probability of a match in [0, 1] by cosine, the same shape; rises with it.

        Args:
            num_moments: in the whole index, whatever part of it was asked, so that scores compare between queries.
        """
        log_odds = self.slope * (np.asarray(similarities, dtype=np.float64) - self.center)
        if self.counts_moments:
            log_odds = log_odds - math.log(min(max(num_moments, 1), MOST_MOMENTS))
        return _logistic(log_odds)

    def to_json(self) -> dict[str, Any]:
        """Plain data for an adapter's card."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "MatchRule":
        """Read `to_json`'s data back.

        Raises:
            ValueError: no mapping, a key missing or unknown, or a value outside its range.
        """
        return rule_from_json(cls, data, "match rule")


def fit_match_rule(similarities: npt.ArrayLike, truth: npt.ArrayLike, *, scale: float) -> MatchRule | None:
    """The rule of a model that has captioned validation videos: logistic regression over all pairs.

    Every caption with its own video against every caption with every other one. Departures: the slope is held back by a
    ridge, which counts as little as one pair does, so that few videos, all told apart, give a finite one; and it stays
    within SLOPE_FACTOR of the model's own scale.

    Args:
        similarities: [N, V], cosine of each caption and each video.
        truth: int [N], the video of each caption; V at least 2.
        scale: of cosines in the model's own training.

    Returns:
        The rule; None with fewer than LEAST_CALIBRATION_VIDEOS, where `frozen_match_rule` is the better one: with 5
        videos of MSR-VTT the fit is off by .15 to .21, with 20 by .04 to .07 (docs/log.md).

    Raises:
        ValueError: shapes do not fit, a value that is not finite, or fewer than 2 videos.
    """
    values, own = np.asarray(similarities, dtype=np.float64), np.asarray(truth)
    if values.ndim != 2 or values.shape[1] < 2 or own.shape != values.shape[:1] or not len(values):
        raise ValueError(f"similarities must be [N, V] with V at least 2, truth [N], got {values.shape}, {own.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"similarities must be finite, found {int((~np.isfinite(values)).sum())} that are not.")
    if not np.issubdtype(own.dtype, np.integer) or own.min() < 0 or own.max() >= values.shape[1]:
        raise ValueError(f"truth must be whole numbers in [0, {values.shape[1]}), got {own.min()}..{own.max()}.")
    if values.shape[1] < LEAST_CALIBRATION_VIDEOS:
        return None
    matches = np.zeros(values.shape)
    matches[np.arange(len(own)), own] = 1
    mean, deviation = float(values.mean()), float(values.std()) or 1.0
    weight, bias = _regression(((values - mean) / deviation).ravel(), matches.ravel())
    slope = float(np.clip(weight / deviation, scale / SLOPE_FACTOR, scale * SLOPE_FACTOR))
    # The share of matches among the pairs is known; out of the odds it goes.
    bias += math.log(values.shape[1] - 1)
    return MatchRule(slope, mean - bias / slope, num_val=len(own))


def frozen_match_rule(unrelated: npt.ArrayLike, scale: float) -> MatchRule:
    """The rule of a model without captioned videos, from its own scale and sentences about other things.

    A sentence's center is where the odds of its unrelated moments are 1 in the mean: log(mean(exp(scale * cosine))) /
    scale. The median over sentences bears with a few that are in the index after all.

    Args:
        unrelated: [N, M], cosines of `UNRELATED_TEXTS` and a sample of the index's moments; M = 0 gives a rule that is
            never sure.
        scale: of cosines in the model's own training.
    """
    values = np.asarray(unrelated, dtype=np.float64) * scale
    if values.size == 0:
        return MatchRule(scale, 1.0)
    top = values.max(axis=1, keepdims=True)
    centers = (np.log(np.exp(values - top).mean(axis=1)) + top[:, 0]) / scale
    return MatchRule(scale, float(np.median(centers)))


@dataclass(frozen=True)
class Floors:
    """What sentences about other things reach in an index, at most as likely as not.

    Attributes:
        match: least score of a match; FLOOR_SHARE of these sentences stay below it.
        absent: below it a query may be said to match nothing; ABSENT_SHARE of these sentences stay below it.
    """

    match: float = MATCH_SCORE
    absent: float = MATCH_SCORE


def match_floors(scores: npt.ArrayLike) -> Floors:
    """From what score on a moment is a match, and up to what score nothing is.

    In an index of many similar moments no single one is likely to be *the* one, however right it is: of 400 videos of
    MSR-VTT a true caption's best hit is as likely as not in 24 % of the cases. That nothing matches may be said only
    where a query does worse than most sentences about other things; between the two floors it is not known.

    Args:
        scores: [N], of the best moment of each of `OTHER_THINGS`; empty = nothing to compare with.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not values.size:
        return Floors()
    match, absent = (min(MATCH_SCORE, float(np.quantile(values, share))) for share in (FLOOR_SHARE, ABSENT_SHARE))
    return Floors(match, absent)


def example_match_rule(background: npt.ArrayLike) -> MatchRule:
    """The rule of queries that are images or videos: half way from what moments have in common to being the same.

    Nothing in training says how near two pictures of one thing come, so this is a scale, not a probability that was
    measured; the number of moments does not enter.

    Args:
        background: [M, D] unit vectors, a sample of the index's moments.
    """
    vectors = np.asarray(background, dtype=np.float64)
    count = len(vectors)
    # Mean cosine of different moments, without the M x M matrix.
    usual = (float(np.square(vectors.sum(axis=0)).sum()) - count) / (count * (count - 1)) if count > 1 else 0.0
    center = (1 + float(np.clip(usual, 0.0, 0.9))) / 2
    return MatchRule(_EXAMPLE_SURENESS / (1 - center), center, counts_moments=False)


def _regression(values: Array, matches: Array, *, steps: int = 100) -> tuple[float, float]:
    """Weight and bias of least logistic loss plus ridge, by Newton's method; steps that do not help are halved."""
    design = np.stack([values, np.ones_like(values)], axis=1)
    penalty = np.array([_RIDGE, 0.0])

    def loss(weights: Array) -> float:
        scores = design @ weights
        return float(np.logaddexp(0, scores).sum() - matches @ scores + penalty @ weights**2 / 2)

    weights = np.array([0.0, math.log(matches.mean() / (1 - matches.mean()))])
    for _ in range(steps):
        chances = _logistic(design @ weights)
        slope = design.T @ (chances - matches) + penalty * weights
        curvature = (design * (chances * (1 - chances))[:, None]).T @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, slope)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= 1e-9:
            break
    return float(weights[0]), float(weights[1])


def _logistic(log_odds: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))
