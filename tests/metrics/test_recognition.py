import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.metrics.recognition import (
    confusion_matrix,
    mean_and_spread,
    mean_class_accuracy,
    per_class_accuracy,
    top_k_accuracy,
)

SCORES = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]])
TARGETS = np.array([0, 1, 1, 2])


@st.composite
def tied_problems(draw):
    num_videos, num_classes = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    numbers = st.lists(st.integers(0, 2), min_size=num_classes, max_size=num_classes)
    scores = draw(st.lists(numbers, min_size=num_videos, max_size=num_videos))
    targets = draw(st.lists(st.integers(0, num_classes - 1), min_size=num_videos, max_size=num_videos))
    return np.array(scores, dtype=float), np.array(targets)


def naive_top_k(scores, targets, k):
    """The mean over every order of the classes, each a stable way to break ties."""
    from itertools import permutations

    orders = [np.array(order) for order in permutations(range(scores.shape[1]))]
    hits = [
        target in order[np.argsort(-row[order], kind="stable")][:k]
        for order in orders
        for row, target in zip(scores, targets, strict=True)
    ]
    return np.mean(hits)


def test_known_values():
    assert top_k_accuracy(SCORES, TARGETS) == 0.5
    assert top_k_accuracy(SCORES, TARGETS, 2) == 0.75
    assert top_k_accuracy(SCORES, TARGETS, 3) == top_k_accuracy(SCORES, TARGETS, 5) == 1.0
    assert per_class_accuracy(SCORES, TARGETS).tolist() == [1.0, 0.5, 0.0]
    assert mean_class_accuracy(SCORES, TARGETS) == 0.5
    assert confusion_matrix(SCORES, TARGETS).tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]


@settings(max_examples=80, deadline=None)
@given(tied_problems(), st.integers(1, 6))
def test_ties_give_the_expectation_over_random_order(problem, k):
    assert top_k_accuracy(*problem, k) == pytest.approx(naive_top_k(*problem, k))


@pytest.mark.parametrize("k", [1, 5])
def test_constant_scores_give_chance(k):
    assert top_k_accuracy(np.zeros((7, 10)), np.arange(7), k) == pytest.approx(k / 10)
    assert mean_class_accuracy(np.zeros((7, 10)), np.arange(7), k) == pytest.approx(k / 10)


@settings(max_examples=60, deadline=None)
@given(tied_problems())
def test_confusion_matrix_agrees_with_accuracies(problem):
    scores, targets = problem
    matrix = confusion_matrix(scores, targets)
    counts = np.bincount(targets, minlength=scores.shape[1])
    assert matrix.sum(axis=1) == pytest.approx(counts)
    assert np.trace(matrix) / len(targets) == pytest.approx(top_k_accuracy(scores, targets))
    present = counts > 0
    assert np.diag(matrix)[present] / counts[present] == pytest.approx(per_class_accuracy(scores, targets)[present])


def test_class_order_is_not_favored():
    scores = np.round(np.random.default_rng(0).random((50, 6)), 1)
    targets = np.random.default_rng(1).integers(0, 6, 50)
    order = np.array([3, 1, 5, 0, 2, 4])
    assert top_k_accuracy(scores[:, order], np.argsort(order)[targets], 2) == pytest.approx(
        top_k_accuracy(scores, targets, 2)
    )


def test_mean_class_weighs_classes_not_videos():
    scores = np.eye(2)[[0, 0, 0, 0]]
    assert top_k_accuracy(scores, [0, 0, 0, 1]) == 0.75
    assert mean_class_accuracy(scores, [0, 0, 0, 1]) == 0.5
    assert math.isnan(per_class_accuracy(np.zeros((1, 3)), [0])[2])


def test_infinite_scores_count():
    assert top_k_accuracy([[-np.inf, 0.0], [np.inf, 0.0]], [1, 0]) == 1.0


@pytest.mark.parametrize(
    ("scores", "targets", "k", "said"),
    [
        (np.zeros(3), [0], 1, r"scores must be \[B, N\]"),
        (np.zeros((2, 3)), [0], 1, r"targets \[B\]"),
        (np.zeros((0, 3)), [], 1, "not empty"),
        (np.zeros((1, 3)), [3], 1, r"targets must be integers in \[0, 3\), got int64 3\.\.3"),
        (np.zeros((1, 3)), [-1], 1, "targets must be integers"),
        (np.zeros((1, 3)), [0.0], 1, "targets must be integers"),
        ([[np.nan, 1.0]], [0], 1, "scores must not be NaN, found 1"),
        (np.zeros((1, 3)), [0], 0, "k must be at least 1"),
    ],
)
def test_bad_input(scores, targets, k, said):
    with pytest.raises(ValueError, match=said):
        top_k_accuracy(scores, targets, k)


def test_mean_and_spread():
    spread = mean_and_spread([0.7, 0.8, 0.9])
    assert (spread.mean, spread.n) == (pytest.approx(0.8), 3)
    assert spread.std == pytest.approx(0.1)
    assert spread.half_width_95 == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)


def test_one_value_has_no_spread():
    spread = mean_and_spread([0.7])
    assert (spread.mean, spread.std, spread.n, spread.half_width_95) == (0.7, None, 1, None)
    with pytest.raises(ValueError, match="at least one value"):
        mean_and_spread([])


@pytest.mark.parametrize(
    ("n", "quantile"),
    [
        (2, 12.7062047),
        (6, 2.5705818),
        (10, 2.2621572),
        (11, 2.2281389),
        (13, 2.1788128),
        (31, 2.0422725),
        (101, 1.9839715),
    ],
)
def test_student_t(n, quantile):
    values = np.random.default_rng(n).normal(size=n)
    spread = mean_and_spread(values.tolist())
    assert spread.half_width_95 / (spread.std / math.sqrt(n)) == pytest.approx(quantile, abs=1e-5)
