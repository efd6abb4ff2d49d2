"""Moment retrieval and highlight detection against a plain loop and by hand; tests/tasks has the authors' figures."""

import numpy as np
import pytest

from framecue.metrics.highlights import highlight_scores
from framecue.metrics.moment_retrieval import MOMENT_TIOU, moment_retrieval_scores
from framecue.metrics.segment_table import SegmentTable


def table(*rows):
    """Rows of query, start, end and, for predictions, score."""
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), len(rows[0]) if rows else 4)
    query = columns[:, 0].astype(np.int64)
    return SegmentTable(query, query, columns[:, 1:3], columns[:, 3].copy() if columns.shape[1] > 3 else None)


def iou(first, second):
    overlap = max(min(first[1], second[1]) - max(first[0], second[0]), 0)
    return overlap / (first[1] - first[0] + second[1] - second[0] - overlap)


def plain_average_precision(segments, guesses, threshold):
    """Area under the interpolated precision of one query, guess by guess."""
    taken, hits = set(), []
    for start, end, _ in sorted(guesses, key=lambda guess: -guess[2]):
        overlaps = sorted(((iou((start, end), one), row) for row, one in enumerate(segments)), reverse=True)
        match = next((row for overlap, row in overlaps if overlap >= threshold and row not in taken), None)
        hits.append(match is not None)
        taken |= {match} - {None}
    precision = [sum(hits[: place + 1]) / (place + 1) for place in range(len(hits))]
    return sum(max(precision[place:]) for place, hit in enumerate(hits) if hit) / len(segments)


def test_equal_to_a_plain_loop():
    draw = np.random.default_rng(3)
    truth, guesses = {}, {}
    for query in range(40):
        start = draw.uniform(0, 100, draw.integers(1, 4))
        truth[query] = [(a, a + length) for a, length in zip(start, draw.uniform(2, 60, len(start)), strict=True)]
        near = [(a + draw.normal(0, 3), b + draw.normal(0, 3), draw.random()) for a, b in truth[query]]
        far = [(a, a + draw.uniform(1, 40), draw.random()) for a in draw.uniform(0, 100, draw.integers(0, 12))]
        guesses[query] = [near[0], *draw.permutation(near[1:] + far).tolist()][: draw.integers(0, 14)]
    scores = moment_retrieval_scores(
        table(*((query, *one) for query, ones in truth.items() for one in ones)),
        table(*((query, *one) for query, ones in guesses.items() for one in ones)),
    )
    for name, low, high in (("full", 0, 1000), ("long", 30, 1000), ("middle", 10, 30), ("short", 0, 10)):
        kept = {query: [(a, b) for a, b in ones if low < b - a <= high] for query, ones in truth.items()}
        kept = {query: ones for query, ones in kept.items() if ones}
        assert scores[name].num_queries == len(kept)
        assert scores[name].num_segments == sum(map(len, kept.values()))
        first = [
            max((iou(guess, one) for guess in guesses[q][:1] for one in ones), default=0) for q, ones in kept.items()
        ]
        five = [
            max((iou(guess, one) for guess in guesses[q][:5] for one in ones), default=0) for q, ones in kept.items()
        ]
        assert scores[name].mean_iou == pytest.approx(100 * np.mean(first))
        for level, threshold in enumerate(MOMENT_TIOU):
            ap = [plain_average_precision(ones, guesses[query][:10], threshold) for query, ones in kept.items()]
            assert scores[name].mean_ap[level] == pytest.approx(100 * np.mean(ap))
            assert scores[name].recall_at_1[level] == pytest.approx(100 * np.mean(np.array(first) >= threshold))
            assert scores[name].recall_at_5[level] == pytest.approx(100 * np.mean(np.array(five) >= threshold))


def test_the_first_of_the_file_is_judged_not_the_surest():
    truth = table((0, 0, 10))
    scores = moment_retrieval_scores(truth, table((0, 50, 60, 0.1), (0, 0, 10, 0.9)))["full"]
    assert (scores.recall_at_1[0], scores.recall_at_5[0], scores.mean_ap[0]) == (0.0, 100.0, 100.0)


def test_predictions_after_the_tenth_do_not_count():
    truth = table((0, 0, 10))
    guesses = [(0, 50, 60, 1 - place / 20) for place in range(10)] + [(0, 0, 10, 2.0)]
    assert moment_retrieval_scores(truth, table(*guesses))["full"].mean_ap[0] == 0.0
    assert moment_retrieval_scores(truth, table(*guesses), max_predictions=None)["full"].mean_ap[0] == 100.0
    assert moment_retrieval_scores(truth, table(*guesses), max_predictions=11)["full"].mean_ap[0] == 100.0


def test_of_equal_scores_the_first_counts_first():
    right, wrong = (0, 0, 10, 0.5), (0, 50, 60, 0.5)
    assert moment_retrieval_scores(table((0, 0, 10)), table(right, wrong))["full"].mean_ap[0] == 100.0
    assert moment_retrieval_scores(table((0, 0, 10)), table(wrong, right))["full"].mean_ap[0] == 50.0


def test_a_query_without_prediction_is_missed():
    scores = moment_retrieval_scores(table((0, 0, 10), (1, 0, 10)), table((1, 0, 10, 0.5)))["full"]
    assert (scores.recall_at_1[0], scores.average_mean_ap, scores.mean_iou, scores.num_queries) == (50.0, 50.0, 50.0, 2)


def test_no_prediction_at_all_is_zero():
    nothing = SegmentTable(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
    scores = moment_retrieval_scores(table((0, 0, 10)), nothing)["full"]
    assert (scores.recall_at_1[0], scores.average_mean_ap, scores.mean_iou) == (0.0, 0.0, 0.0)


def test_lengths_at_the_borders_and_ranges_without_segments():
    scores = moment_retrieval_scores(table((0, 0, 10), (1, 0, 30), (2, 5, 5)), table((0, 0, 10, 1.0)))
    assert scores["short"].num_queries == scores["middle"].num_queries == 1
    assert scores["long"] is None
    assert scores["full"].num_queries == 3  # the empty segment too, as theirs, which nothing finds


def test_a_segment_that_reaches_over_all_lengths_counts_as_long():
    assert moment_retrieval_scores(table((0, 0, 500)), table((0, 0, 500, 1.0)))["long"].recall_at_1[-1] == 100.0


def test_touching_the_threshold_is_enough():
    scores = moment_retrieval_scores(table((0, 0, 10)), table((0, 0, 7, 1.0)), tiou_thresholds=[0.7, 0.71])["full"]
    assert scores.recall_at_1.tolist() == scores.mean_ap.tolist() == [100.0, 0.0]


def test_moments_refused():
    with pytest.raises(ValueError, match="moment retrieval needs ground truth, got no segment"):
        moment_retrieval_scores(table(), table())
    with pytest.raises(ValueError, match="thresholds must be numbers in"):
        moment_retrieval_scores(table((0, 0, 1)), table((0, 0, 1, 1.0)), tiou_thresholds=[0.0])


def rated(*rows):
    return np.array(rows, dtype=np.float64)


def test_highlights_by_hand():
    """Person 1 marks clips 0 and 2 as good, person 2 only clip 2, person 3 none."""
    ratings = rated((4, 1, 0), (0, 0, 0), (3, 3, 1), (0, 0, 0))
    scores = highlight_scores([(ratings, np.array([0.9, 0.8, 0.7, 0.1]))])
    # precision where found: 1/1 and 2/3 for person 1; 1/3 for person 2; 0 for person 3
    assert scores["Good"].mean_ap == pytest.approx(100 * ((1 + 2 / 3) / 2 + 1 / 3 + 0) / 3)
    assert (scores["Good"].hit_at_1, scores["VeryGood"].hit_at_1) == (100.0, 100.0)
    assert scores["VeryGood"].mean_ap == pytest.approx(100 / 3)


def test_all_clips_or_none_are_highlights():
    assert highlight_scores([(rated((4, 4, 4)), np.array([-5.0]))])["Fair"].mean_ap == 100.0
    assert highlight_scores([(rated((0, 0, 0)), np.array([-5.0]))])["Fair"].mean_ap == 0.0


def test_equal_saliency_is_one_step():
    """Two highlights among four equal clips: one recall with a precision of a half."""
    ratings = rated((4, 4, 4), (0, 0, 0), (4, 4, 4), (0, 0, 0))
    assert highlight_scores([(ratings, np.zeros(4))])["Fair"].mean_ap == pytest.approx(50.0)


def test_predictions_of_another_length():
    ratings = rated((0, 0, 0), (4, 4, 4))
    short = highlight_scores([(ratings, np.array([-1.0]))])["Fair"]  # filled up with 0, which is above
    assert (short.mean_ap, short.hit_at_1) == (100.0, 0.0)
    long = highlight_scores([(ratings, np.array([0.1, 0.2, 0.9]))])["Fair"]  # the peak lies outside
    assert (long.mean_ap, long.hit_at_1) == (100.0, 0.0)


def test_highlights_refused():
    with pytest.raises(ValueError, match="needs queries, got none"):
        highlight_scores([])
    with pytest.raises(ValueError, match=r"got \[1, 3\] and \[0\]"):
        highlight_scores([(rated((1, 1, 1)), np.zeros(0))])
    with pytest.raises(ValueError, match="saliency must be finite"):
        highlight_scores([(rated((1, 1, 1)), np.array([np.nan]))])
