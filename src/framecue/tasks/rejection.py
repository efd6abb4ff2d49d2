"""Calibrated probabilities and "none of these": a temperature and a threshold, fitted on validation videos alone.

Shapes: logits [B, V, N], as in `tasks.calibration`.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from framecue.metrics.calibration import (
    Array,
    accuracy_at_coverage,
    auroc,
    coverage_accuracy,
    false_accept_at,
    kept_interval,
    promised_threshold,
    reliability_bins,
    risk_coverage_area,
    top1_hits,
)
from framecue.metrics.intervals import wilson_interval
from framecue.tasks.calibration import (
    LEAST_CALIBRATION_VIDEOS,
    TEMPERATURE_RANGE,
    calibration_note,
    checked_logits,
    checked_problem,
    checked_temperature,
    cross_fitted_calibration,
    fit_temperature,
    logsumexp,
    measure_calibration,
    view_log_probabilities,
    view_probabilities,
)
from framecue.tasks.card_rules import is_count, is_number, require, rule_from_json

ScoreKind = Literal["max_logit", "energy", "max_probability", "margin"]
SCORE_KINDS: tuple[ScoreKind, ...] = get_args(ScoreKind)
"""In order of preference where they tell known from unknown equally well: the least dependent on N first."""

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
MAX_STRUCK_NAMES = 64  # one pass over all videos per struck name: 64 take 7 s on 4000 videos, 5 views, 400 names
USABLE_AUROC = 0.7
_NEEDS_TWO_NAMES = ("max_probability", "margin")


@dataclass(frozen=True)
class RejectionRule:
    """How sure is sure enough. A video is "none of these" when its score is below the threshold.

    The threshold belongs to the names the rule was fitted on. Asked with other names, max_logit keeps its meaning best
    (other names do not enter the score of the best one); max_probability grows as names get fewer.

    Attributes:
        temperature: of the probabilities, and of the scores that use them.
        score: what `rejection_score` computes.
        threshold: least score that counts as known.
        keep: share of new known videos that the threshold is to keep.
        val_auroc: of known against left-out validation videos (`fit_rejection`); None with videos of one class alone.
        num_val: validation videos behind all this.
        num_names: N at the fit.
    """

    temperature: float
    score: ScoreKind
    threshold: float
    keep: float
    val_auroc: float | None
    num_val: int
    num_names: int

    def __post_init__(self) -> None:
        check = partial(require, self, "rejection rule")
        low, high = TEMPERATURE_RANGE
        check(is_number(self.temperature, low, high), "temperature", f"a number in [{low:g}, {high:g}]")
        check(self.score in SCORE_KINDS, "score", f"one of {', '.join(SCORE_KINDS)}")
        check(is_number(self.threshold), "threshold", "a finite number")
        check(is_number(self.keep, 0, 1) and 0 < self.keep < 1, "keep", "in (0, 1)")
        check(self.val_auroc is None or is_number(self.val_auroc, 0, 1), "val_auroc", "in [0, 1] or none")
        check(is_count(self.num_val, LEAST_CALIBRATION_VIDEOS), "num_val", f"at least {LEAST_CALIBRATION_VIDEOS}")
        check(is_count(self.num_names), "num_names", "a whole number above 0")

    @property
    def is_usable(self) -> bool:
        """Validation AUROC of at least 0.7, which Hosmer and Lemeshow (2000, section 5.2.4) call acceptable."""
        return self.val_auroc is not None and self.val_auroc >= USABLE_AUROC

    def to_json(self) -> dict[str, Any]:
        """Plain data for an adapter's card."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "RejectionRule":
        """Read `to_json`'s data back.

        Raises:
            ValueError: no mapping, a key missing or unknown, or a value outside its range.
        """
        return rule_from_json(cls, data, "rejection rule")


def rejection_score(kind: ScoreKind, logits: npt.ArrayLike, temperature: float = 1.0) -> Array:
    """How surely a video shows one of the names, higher = more surely, [B].

    Args:
        kind: "max_probability", the highest view-averaged probability (Hendrycks and Gimpel 2017). The others look at
            logits averaged over views: "max_logit", the best (Hendrycks et al. 2022); "energy", the sign-turned free
            energy T logsumexp(logits / T) (Liu et al. 2020); "margin", best minus second.
        logits: [B, V, N].
        temperature: T of "max_probability" and "energy"; the other two do not depend on it.

    Raises:
        ValueError: as `view_probabilities`; an unknown kind; one name, where "max_probability" is always 1 and "margin"
            has no second.
    """
    values, divisor = checked_logits(logits), checked_temperature(temperature)
    if kind not in SCORE_KINDS:
        raise ValueError(f"score must be one of {', '.join(SCORE_KINDS)}, got {kind!r}.")
    if kind not in defined_kinds(values.shape[2]):
        raise ValueError(f"score {kind} needs at least 2 names to compare, got 1; use max_logit or energy.")
    if kind == "max_probability":
        return np.exp(view_log_probabilities(values, divisor).max(axis=1))
    means = values.mean(axis=1)  # [B, V, N] -> [B, N]
    if kind == "max_logit":
        return cast(Array, means.max(axis=1))
    if kind == "energy":
        return divisor * logsumexp(means / divisor, axis=1)
    top_two = np.partition(means, -2, axis=1)[:, -2:]
    return top_two[:, 1] - top_two[:, 0]


def defined_kinds(num_names: int) -> tuple[ScoreKind, ...]:
    """Scores that say something about videos compared with this many names."""
    return tuple(kind for kind in SCORE_KINDS if num_names > 1 or kind not in _NEEDS_TWO_NAMES)


def calibrate(
    logits: npt.ArrayLike, targets: npt.ArrayLike, *, what: str = "validation videos"
) -> tuple[RejectionRule | None, dict[str, Any]]:
    """The rule that validation videos allow, and what a results file says of it.

    The videos that chose checkpoint and blend are used again, all of them, and the note says so. Holding some back was
    worse (docs/log.md): what few videos lose in choosing and fitting is more than what is won by their being fresh.

    Args:
        logits, targets: as `fit_rejection`.
        what: they are, in the plural.

    Returns:
        The rule, None with fewer than LEAST_CALIBRATION_VIDEOS. And note, num_val, least; where there is a rule
        own_temperature (the measures at T = 1), cross_fitted (those of videos that their temperature had not seen), and
        promise (the share to be kept, and where the true one lies for 95 % of such validation parts).

    Raises:
        ValueError: as `fit_temperature`.
    """
    values, truth = checked_problem(logits, targets)
    said: dict[str, Any] = {
        "note": calibration_note(len(values), what),
        "num_val": len(values),
        "least": LEAST_CALIBRATION_VIDEOS,
    }
    if len(values) < LEAST_CALIBRATION_VIDEOS:
        return None, said
    rule = fit_rejection(values, truth)
    return rule, said | {
        "own_temperature": measure_calibration(values, truth, 1.0),
        "cross_fitted": cross_fitted_calibration(values, truth),
        "promise": {"keep": rule.keep, "ci95": list(kept_interval(rule.num_val, rule.keep))},
    }


def fit_rejection(logits: npt.ArrayLike, targets: npt.ArrayLike, *, keep: float = 0.95) -> RejectionRule:
    """Choose score and threshold on validation videos of the trained names; no novel class is looked at.

    Leave one name out: strike a name from the list, and the validation videos of that class become unknown, those of
    all other classes stay known; both are scored among the same N - 1 names. Every name takes its turn, and the score
    kind of highest AUROC is chosen, at ties the first of SCORE_KINDS. Leaving classes out to imitate the unknown
    follows Vyas et al. 2018; they train one network per left-out group, here nothing is trained again, because names
    are only text. The limit of it: the model was trained on the struck class and taught that it is none of the others,
    so a truly new class is harder to tell, and `val_auroc` is optimistic.

    Args:
        logits: [B, V, N] of validation videos.
        targets: int [B].
        keep: share of new known videos, scored among all N names, that the threshold is to let pass, in (0, 1).

    Returns:
        The rule. The threshold is `promised_threshold`: new known videos pass with a chance of at least `keep`, of
        which choosing among four scores on the same videos takes little (docs/log.md). With two names one is left when
        the other is struck: only the logit scores max_logit and energy are compared. With one name, or videos of one
        class alone: max_logit, and `val_auroc` None.

    Raises:
        ValueError: as `fit_temperature`; fewer videos than the promise needs; keep outside (0, 1).
    """
    values, truth = checked_problem(logits, targets)
    temperature, num_names = fit_temperature(values, truth), values.shape[2]
    aurocs = left_out_auroc(values, truth, temperature)
    score = max(aurocs, key=lambda kind: aurocs[kind], default=SCORE_KINDS[0])  # max keeps the first of equals
    threshold = promised_threshold(rejection_score(score, values, temperature), keep)
    return RejectionRule(temperature, score, threshold, keep, aurocs.get(score), len(values), num_names)


def left_out_auroc(logits: npt.ArrayLike, targets: npt.ArrayLike, temperature: float) -> dict[ScoreKind, float]:
    """AUROC of known against left-out videos by score kind, as in `fit_rejection`; each left-out video counts once.

    Of more than MAX_STRUCK_NAMES names that have videos, that many are struck, evenly spread over the list.

    Returns:
        The kinds defined for N - 1 names; empty where nothing is known beside the left-out class.

    Raises:
        ValueError: as `fit_temperature`.
    """
    values, truth = checked_problem(logits, targets)
    present = np.unique(truth)
    if len(present) < 2:
        return {}
    struck = present[np.linspace(0, len(present) - 1, min(len(present), MAX_STRUCK_NAMES)).round().astype(int)]
    kinds, rows = defined_kinds(values.shape[2] - 1), []
    for name in struck:
        left, is_unknown = np.delete(values, name, axis=2), truth == name
        scores = [rejection_score(kind, left, temperature) for kind in kinds]
        rows.append([auroc(score[~is_unknown], score[is_unknown]) for score in scores])
    counts = np.bincount(truth)[struck]
    return dict(zip(kinds, np.average(rows, axis=0, weights=counts).tolist(), strict=True))


def apply_rejection(rule: RejectionRule, logits: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Calibrated probabilities [B, N], and whether each video is "none of these", bool [B].

    Raises:
        ValueError: as `rejection_score`.
    """
    is_unknown = rejection_score(rule.score, logits, rule.temperature) < rule.threshold
    return view_probabilities(logits, rule.temperature), is_unknown


def measure_rejection(
    rule: RejectionRule, known_logits: npt.ArrayLike, known_targets: npt.ArrayLike, unknown_logits: npt.ArrayLike
) -> dict[str, Any]:
    """What a results file says of a rule, on videos that it was not fitted on. Deterministic, nothing is rounded.

    Args:
        known_logits, known_targets: [B, V, N] and int [B], videos of the listed names.
        unknown_logits: [U, V, N], videos of other classes against the same names; U = 0 leaves their measures None.

    Returns:
        At the rule's threshold: kept_known with its Wilson interval, accuracy_kept (None if nothing is kept),
        false_accept_rate of the unknown. Over thresholds: auroc by score kind, auroc_chosen, false_accept_at_95 (FPR at
        95 % TPR). Over the known alone: coverage, by the chosen score and by max_probability (what tells a new class
        best need not tell a mistake best), accuracy at COVERAGES and risk_coverage_area. Before (T = 1) and after the
        temperature: ece, ece_equal_mass, nll, brier. And reliability: the bins of the diagram after it.

    Raises:
        ValueError: as `rejection_score`; no known videos; known and unknown not over the same names.
    """
    known, truth = checked_problem(known_logits, known_targets)
    unknown = checked_logits(unknown_logits)
    if not len(known):
        raise ValueError("measuring a rejection rule needs at least one known video, got none.")
    if known.shape[2] != unknown.shape[2]:
        raise ValueError(
            f"known and unknown videos must be compared with the same names, got {known.shape[2]} and "
            f"{unknown.shape[2]} names."
        )
    kinds = defined_kinds(known.shape[2]) if len(unknown) else ()
    pairs = {
        kind: (rejection_score(kind, known, rule.temperature), rejection_score(kind, unknown, rule.temperature))
        for kind in kinds
    }
    scores = rejection_score(rule.score, known, rule.temperature)
    kept = scores >= rule.threshold
    probabilities = view_probabilities(known, rule.temperature)
    hits = top1_hits(probabilities, truth)
    chosen = pairs.get(rule.score)
    return {
        "rule": rule.to_json(),
        "num_known": len(known),
        "num_unknown": len(unknown),
        "kept_known": float(kept.mean()),
        "kept_known_ci95": list(wilson_interval(float(kept.mean()), len(known))),
        "accuracy": float(hits.mean()),
        "accuracy_kept": float(hits[kept].mean()) if kept.any() else None,
        "false_accept_rate": float(np.mean(chosen[1] >= rule.threshold)) if chosen else None,
        "auroc": {kind: auroc(*pair) for kind, pair in pairs.items()},
        "auroc_chosen": auroc(*chosen) if chosen else None,
        "false_accept_at_95": false_accept_at(*chosen) if chosen else None,
        "coverage": {
            "by_score": _coverage(scores, hits),
            "by_probability": _coverage(probabilities.max(axis=1), hits),
        },
        "before_temperature": measure_calibration(known, truth, 1.0),
        "after_temperature": measure_calibration(known, truth, rule.temperature),
        "reliability": [dataclasses.asdict(part) for part in reliability_bins(probabilities, truth)],
    }


def _coverage(scores: Array, hits: Array) -> dict[str, Any]:
    _, curve = coverage_accuracy(scores, hits)
    points = [{"coverage": share, "accuracy": accuracy_at_coverage(curve, share)} for share in COVERAGES]
    return {"accuracy": points, "risk_coverage_area": risk_coverage_area(curve)}
