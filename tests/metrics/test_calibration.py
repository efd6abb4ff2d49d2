import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from framecue.metrics.calibration import (
    accuracy_at_coverage,
    auroc,
    brier_score,
    coverage_accuracy,
    expected_calibration_error,
    false_accept_at,
    negative_log_likelihood,
    reliability_bins,
    risk_coverage_area,
    threshold_keeping,
    top1_hits,
)

# Few values, so that many tie.
tied_scores = hnp.arrays(np.float64, st.integers(1, 9), elements=st.integers(0, 3).map(float))
shares = st.integers(1, 100).map(lambda percent: percent / 100)


@st.composite
def answered(draw):
    scores = draw(hnp.arrays(np.float64, st.integers(1, 6), elements=st.integers(0, 2).map(float)))
    return scores, draw(hnp.arrays(np.float64, len(scores), elements=st.sampled_from([0.0, 0.5, 1.0])))


@st.composite
def predictions(draw):
    """Probabilities of 2 to 4 names with few different values, and targets."""
    num_videos, num_names = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    weights = draw(hnp.arrays(np.float64, (num_videos, num_names), elements=st.integers(1, 3).map(float)))
    targets = draw(hnp.arrays(np.int64, num_videos, elements=st.integers(0, num_names - 1)))
    return weights / weights.sum(axis=1, keepdims=True), targets


def naive_auroc(known, unknown):
    pairs = [(k > u) + 0.5 * (k == u) for k in known for u in unknown]
    return sum(pairs) / len(pairs)


def naive_curve(scores, correct):
    """The mean accuracy curve over every order of the videos, each breaking ties its own way."""
    from itertools import permutations

    curves = []
    for order in permutations(range(len(scores))):
        order = np.array(order)
        surest = order[np.argsort(-scores[order], kind="stable")]
        curves.append(np.cumsum(correct[surest]) / np.arange(1, len(scores) + 1))
    return np.mean(curves, axis=0)


def test_auroc_by_hand():
    assert auroc([0.9, 0.8, 0.4], [0.5, 0.1]) == 5 / 6
    assert auroc([1.0, 2.0], [0.0]) == 1.0
    assert auroc([0.0], [1.0, 2.0]) == 0.0
    assert auroc([3.0, 3.0], [3.0]) == 0.5
    assert auroc([np.inf, 0.0], [-np.inf, 0.0]) == 7 / 8


@given(tied_scores, tied_scores)
def test_auroc_is_the_share_of_pairs(known, unknown):
    assert auroc(known, unknown) == pytest.approx(naive_auroc(known, unknown), abs=1e-12)


@given(tied_scores, tied_scores)
def test_auroc_mirrors_and_follows_order_alone(known, unknown):
    assert auroc(known, unknown) + auroc(unknown, known) == pytest.approx(1.0, abs=1e-12)
    assert auroc(-unknown, -known) == auroc(known, unknown)
    assert auroc(np.exp(known), np.exp(unknown)) == auroc(known, unknown)
    assert auroc(known[::-1], unknown[::-1]) == auroc(known, unknown)


def test_auroc_on_many_ties():
    draws = np.random.default_rng(0)
    known, unknown = draws.integers(0, 20, 300) + 2.0, draws.integers(0, 20, 200) * 1.0
    assert auroc(known, unknown) == pytest.approx(naive_auroc(known, unknown), abs=1e-12)


def test_threshold_by_hand():
    scores = [5.0, 4.0, 3.0, 2.0, 1.0]
    assert threshold_keeping(scores, 1.0) == 1.0
    assert threshold_keeping(scores, 0.8) == 2.0
    assert threshold_keeping(scores, 0.61) == 2.0
    assert threshold_keeping(scores, 0.01) == 5.0
    assert threshold_keeping([7.0, 7.0, 7.0], 0.5) == 7.0


def test_a_share_of_whole_videos_is_not_rounded_up():
    assert 0.07 * 100 > 7
    assert threshold_keeping(np.arange(100.0), 0.07) == 93.0


@given(tied_scores, shares)
def test_threshold_keeps_the_share_and_is_the_highest_to_do_so(scores, keep):
    threshold = threshold_keeping(scores, keep)
    assert np.mean(scores >= threshold) >= keep - 1e-9
    assert np.mean(scores > threshold) < keep


def test_false_accept_by_hand():
    known, unknown = np.arange(1.0, 21.0), [0.0, 1.0, 2.0, 30.0]
    assert threshold_keeping(known, 0.95) == 2.0
    assert false_accept_at(known, unknown) == 0.5
    assert false_accept_at(known, unknown, keep=1.0) == 0.75
    assert false_accept_at([1.0, 1.0], [1.0, 1.0, 0.0]) == pytest.approx(2 / 3)


def test_coverage_by_hand():
    coverage, accuracy = coverage_accuracy([0.9, 0.1, 0.5, 0.7], [1, 0, 0, 1])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert accuracy == pytest.approx([1.0, 1.0, 2 / 3, 0.5])
    assert risk_coverage_area(accuracy) == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert [accuracy_at_coverage(accuracy, share) for share in (0.01, 0.5, 0.51, 1.0)] == pytest.approx(
        [1.0, 1.0, 2 / 3, 0.5]
    )


@settings(max_examples=60, deadline=None)
@given(answered())
def test_coverage_of_ties_is_the_expectation_over_orders(problem):
    scores, correct = problem
    coverage, accuracy = coverage_accuracy(scores, correct)
    assert accuracy == pytest.approx(naive_curve(scores, correct))
    assert coverage == pytest.approx(np.arange(1, len(scores) + 1) / len(scores))
    assert accuracy[-1] == pytest.approx(correct.mean())
    order = np.random.default_rng(len(scores)).permutation(len(scores))
    assert coverage_accuracy(scores[order], correct[order])[1] == pytest.approx(accuracy)


def test_scores_that_say_nothing_give_the_plain_accuracy():
    _, accuracy = coverage_accuracy(np.zeros(8), [1, 0, 0, 0, 1, 0, 0, 0])
    assert accuracy == pytest.approx(np.full(8, 0.25))
    assert risk_coverage_area(accuracy) == pytest.approx(0.75)


def test_likelihood_and_brier_by_hand():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    assert negative_log_likelihood(np.log(probabilities[:1]), [0]) == pytest.approx(math.log(2))
    assert negative_log_likelihood([[-800.0, 0.0]], [0]) == 800.0
    assert brier_score(probabilities, [0, 1]) == pytest.approx((0.25 + 0.0625 + 0.0625) / 2)
    assert brier_score(probabilities, [0, 0]) == pytest.approx((0.375 + 2) / 2)


def test_best_names_that_tie_share_the_hit():
    assert top1_hits([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.25, 0.5, 0.25]], [1, 2, 0]).tolist() == [0.5, 1.0, 0.0]


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    targets = [0, 1, 1, 1]
    # Confidence 0.9 is right half the time, confidence 0.6 always.
    assert expected_calibration_error(probabilities, targets) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)
    assert expected_calibration_error(probabilities, targets, num_bins=1) == pytest.approx(0.0)
    assert expected_calibration_error(probabilities, targets, num_bins=2, binning="equal_mass") == pytest.approx(0.4)
    low, high = reliability_bins(probabilities, targets, num_bins=10)
    assert (low.lower, low.upper, low.count, low.confidence, low.accuracy) == pytest.approx((0.5, 0.6, 2, 0.6, 1.0))
    assert (high.lower, high.upper, high.count, high.accuracy) == pytest.approx((0.8, 0.9, 2, 0.5))


def test_bins_are_closed_above():
    (part,) = reliability_bins([[0.5, 0.5]], [0], num_bins=2)
    assert (part.lower, part.upper) == (0.0, 0.5)
    (part,) = reliability_bins([[1.0, 0.0]], [0], num_bins=2)
    assert (part.lower, part.upper) == (0.5, 1.0)


def naive_equal_width_error(probabilities, targets, num_bins):
    total, hits = 0.0, top1_hits(probabilities, targets)
    for number in range(num_bins):
        inside = [
            (row.max(), hit)
            for row, hit in zip(probabilities, hits, strict=True)
            if number / num_bins < row.max() <= (number + 1) / num_bins
        ]
        total += abs(sum(confidence - hit for confidence, hit in inside))
    return total / len(targets)


@given(predictions(), st.sampled_from([1, 7, 11]))
def test_equal_width_error_agrees_with_its_definition(problem, num_bins):
    assert expected_calibration_error(*problem, num_bins=num_bins) == pytest.approx(
        naive_equal_width_error(*problem, num_bins)
    )


@given(predictions(), st.integers(1, 6), st.sampled_from(["equal_width", "equal_mass"]))
def test_bins_hold_every_video_once_in_any_order(problem, num_bins, binning):
    probabilities, targets = problem
    bins = reliability_bins(probabilities, targets, num_bins=num_bins, binning=binning)
    assert sum(part.count for part in bins) == len(targets)
    assert len(bins) <= num_bins
    assert sum(part.count * part.accuracy for part in bins) == pytest.approx(top1_hits(probabilities, targets).sum())
    assert all(part.lower - 1e-12 <= part.confidence <= part.upper + 1e-12 for part in bins)
    order = np.random.default_rng(0).permutation(len(targets))
    mixed = expected_calibration_error(probabilities[order], targets[order], num_bins=num_bins, binning=binning)
    error = expected_calibration_error(probabilities, targets, num_bins=num_bins, binning=binning)
    assert mixed == pytest.approx(error)
    assert 0 <= error <= 1


def test_equal_mass_bins_divide_distinct_confidences_evenly():
    first = np.linspace(0.51, 0.99, 12)
    bins = reliability_bins(np.stack([first, 1 - first], axis=1), np.zeros(12, int), num_bins=4, binning="equal_mass")
    assert [part.count for part in bins] == [3, 3, 3, 3]


def test_calibrated_draws_have_small_errors():
    draws = np.random.default_rng(0)
    first = draws.uniform(0.5, 1.0, 20000)
    targets = (draws.random(20000) > first).astype(int)
    probabilities = np.stack([first, 1 - first], axis=1)
    for binning in ("equal_width", "equal_mass"):
        assert expected_calibration_error(probabilities, targets, binning=binning) < 0.02


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: auroc([], [1.0]), r"known_scores must be a vector of at least one number, got shape \(0,\)"),
        (lambda: auroc([1.0], [[1.0]]), r"unknown_scores must be a vector"),
        (lambda: auroc([1.0, np.nan], [1.0]), "known_scores must not be NaN, found 1"),
        (lambda: threshold_keeping([1.0], 0.0), r"keep must be in \(0, 1\], got 0\.0"),
        (lambda: threshold_keeping([1.0], math.nan), r"keep must be in \(0, 1\], got nan"),
        (lambda: accuracy_at_coverage([1.0], 1.1), r"coverage must be in \(0, 1\], got 1\.1"),
        (lambda: coverage_accuracy([1.0, 2.0], [1.0]), r"must both be \[B\], .* got \(2,\), \(1,\)"),
        (lambda: coverage_accuracy([1.0], [2.0]), r"correct in \[0, 1\]"),
        (lambda: top1_hits(np.zeros(3), [0]), r"probabilities must be \[B, N\]"),
        (lambda: top1_hits(np.zeros((0, 3)), []), "not empty"),
        (lambda: top1_hits([[0.5, 0.5]], [2]), r"targets must be integers in \[0, 2\), got int64 2\.\.2"),
        (lambda: top1_hits([[np.nan, 0.5]], [0]), "probabilities must not be NaN, found 1"),
        (lambda: top1_hits([[3.0, 2.0]], [0]), "add up to 1 by row, found 2.0 and a sum off by 4.0"),
        (lambda: brier_score([[1.5, -0.5]], [0]), "probabilities must be at least 0"),
        (lambda: negative_log_likelihood([[0.3, 0.7]], [0]), "log_probabilities must be at most 0, found 0.7"),
        (lambda: reliability_bins([[1.0]], [0], num_bins=0), "num_bins must be at least 1, got 0"),
        (lambda: reliability_bins([[1.0]], [0], binning="other"), "equal_width or equal_mass, got 'other'"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
