"""The least score of a reported segment: by hand."""

import numpy as np
import pytest

from framecue.tasks.reporting import _best_f1


def test_the_best_cut_lies_between_two_scores():
    best = _best_f1(np.array([0.2, 0.9, 0.8, 0.6]), np.array([False, True, True, False]), num_true=2)
    assert best == {"min_score": pytest.approx(0.7), "f1": 1, "precision": 1, "recall": 1}


def test_equal_scores_are_reported_together_or_not_at_all():
    scores, hits = np.array([1.0, 1.0, 1.0, 0.2]), np.array([True, True, False, False])
    best = _best_f1(scores, hits, num_true=2)
    reported = scores > best["min_score"]
    assert best["min_score"] == pytest.approx(0.6)
    assert best["precision"] == hits[reported].mean() == pytest.approx(2 / 3)
    assert best["recall"] == hits[reported].sum() / 2 == 1
    assert best["f1"] == pytest.approx(0.8)


def test_nothing_right_gives_no_cut():
    assert _best_f1(np.array([0.5, 0.4]), np.zeros(2, bool), num_true=3) is None
