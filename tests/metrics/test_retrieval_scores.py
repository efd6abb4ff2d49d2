"""Retrieval figures against every order of the ties, a plain loop, known answers of a real matrix, and laws."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.metrics import query_sets
from framecue.metrics.retrieval import DirectionScores, retrieval_scores


def figures(scores: DirectionScores) -> list[float]:
    return [scores.r1, scores.r5, scores.r10, scores.median_rank, scores.mean_rank, scores.num_queries]


def in_all_orders(row, own, rivals):
    """Mean rank and chances to be within 1, 5, 10, over all orders of the items: best sorted, ties as they come."""
    items = [item for item in range(len(row)) if item in own or item in rivals]
    ranks = []
    for order in itertools.permutations(items):
        ranked = sorted(order, key=lambda item: -row[item])
        first = min(ranked.index(item) for item in own)
        ranks.append(1 + first)
    return statistics.mean(ranks), [statistics.mean(rank <= k for rank in ranks) for k in (1, 5, 10)]


def drawn_out(matrix, truth):
    """Both directions by `in_all_orders`."""
    num_texts, num_videos = matrix.shape
    t2v = [
        in_all_orders(matrix[text], {truth[text]}, set(range(num_videos)) - {truth[text]}) for text in range(num_texts)
    ]
    v2t = []
    for video in sorted(set(truth)):
        own = {text for text in range(num_texts) if truth[text] == video}
        v2t.append(in_all_orders(matrix[:, video], own, set(range(num_texts)) - own))
    both = []
    for found in (t2v, v2t):
        ranks = [rank for rank, _ in found]
        chances = [100 * statistics.mean(chance[level] for _, chance in found) for level in range(3)]
        both.append([*chances, statistics.median(ranks), statistics.mean(ranks), len(found)])
    return both


FEW_VALUES, SOME_VALUES = st.integers(0, 2), st.integers(-3, 3)


@st.composite
def small_matrices(draw, values=FEW_VALUES, max_texts=6, max_videos=5):
    num_texts, num_videos = draw(st.integers(1, max_texts)), draw(st.integers(1, max_videos))
    rows = st.lists(values, min_size=num_videos, max_size=num_videos)
    matrix = np.array(draw(st.lists(rows, min_size=num_texts, max_size=num_texts)), dtype=np.float32)
    truth = draw(st.lists(st.integers(0, num_videos - 1), min_size=num_texts, max_size=num_texts))
    return matrix, np.array(truth)


@given(small_matrices())
@settings(max_examples=40, deadline=None)
def test_ties_equal_the_mean_over_all_orders(drawn):
    matrix, truth = drawn
    scores = retrieval_scores(matrix, truth)
    t2v, v2t = drawn_out(matrix, truth.tolist())
    np.testing.assert_allclose(figures(scores.t2v), t2v, atol=1e-9)
    np.testing.assert_allclose(figures(scores.v2t), v2t, atol=1e-9)


def test_several_tied_captions_among_more_than_ten():
    """Of 14 equal texts 3 are the video's own: the chance that the first k hold none is C(11, k) / C(14, k)."""
    truth = np.array([0] * 3 + [1] * 11)
    scores = retrieval_scores(np.zeros((14, 2)), truth).v2t
    none_in_5 = (11 * 10 * 9 * 8 * 7) / (14 * 13 * 12 * 11 * 10)
    none_in_10 = 1 - (1 - (4 * 3 * 2) / (14 * 13 * 12))  # the three lie in the last four
    other_in_5 = 1.0  # 11 of 14 are of the second video: five places hold one for sure
    assert scores.r5 == pytest.approx(50 * (1 - none_in_5 + other_in_5))
    assert scores.r10 == pytest.approx(50 * (1 - none_in_10 + 1))
    assert scores.mean_rank == pytest.approx(((1 + 11 / 4) + (1 + 3 / 12)) / 2)
    assert scores.tied_queries == 2


@pytest.mark.parametrize("size", [1, 4, 7, 40])
def test_a_constant_matrix_is_chance(size):
    scores = retrieval_scores(np.full((size, size), 0.25, dtype=np.float16))
    for one in (scores.t2v, scores.v2t):
        expected = [*(100 * min(k / size, 1) for k in (1, 5, 10)), (size + 1) / 2, (size + 1) / 2, size]
        np.testing.assert_allclose(figures(one), expected)


def test_the_four_by_four_of_the_known_trap():
    """A scorer that finds ranks by equality makes 16 of the 4 rows; random order gives each place a quarter."""
    scores = retrieval_scores(np.zeros((4, 4)))
    assert figures(scores.t2v) == [25.0, 100.0, 100.0, 2.5, 2.5, 4]


def test_by_hand():
    matrix = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.8], [0.4, 0.4, 0.6], [0.7, 0.1, 0.1]])
    scores = retrieval_scores(matrix, [0, 1, 2, 1])
    # texts: 1, 2, 1, and 0.1 against 0.7 and a tied 0.1, which is 2.5; videos: 1, 2 (0.3 below 0.5 and 0.4 but above
    # nothing of its own), 2 (0.6 below 0.8)
    assert scores.t2v == DirectionScores(50.0, 100.0, 100.0, 1.5, 1.625, 4, 1)
    assert scores.v2t == DirectionScores(pytest.approx(100 / 3), 100.0, 100.0, 2.0, 2.0, 3, 0)


def test_other_captions_of_the_video_do_not_compete():
    """Two own captions above and below one rival: the best counts, the other takes no place."""
    matrix = np.array([[0.9, 0.0], [0.8, 0.0], [0.7, 0.1], [0.85, 0.5]])
    assert retrieval_scores(matrix, [0, 0, 0, 1]).v2t.mean_rank == 1.0
    matrix[3, 0] = 0.95
    assert retrieval_scores(matrix, [0, 0, 0, 1]).v2t.mean_rank == 1.5


def test_caption_sets_rank_videos_by_their_best_caption():
    """Three captions of one rival video are three rivals, or one set of captions."""
    matrix = np.array([[0.5, 0.0], [0.9, 0.6], [0.8, 0.2], [0.7, 0.2]])
    assert retrieval_scores(matrix, [0, 1, 1, 1]).v2t.mean_rank == 2.5
    assert retrieval_scores(matrix, [0, 1, 1, 1], rivals="caption sets").v2t.mean_rank == 1.5


def test_caption_sets_equal_a_plain_loop():
    draw = np.random.default_rng(5)
    matrix, truth = draw.random((60, 12)), draw.integers(0, 9, 60)
    asking = np.unique(truth)
    best = np.array([[matrix[truth == other, video].max() for other in asking] for video in asking])
    ranks = 1 + (best > np.diag(best)[:, None]).sum(axis=1)
    scores = retrieval_scores(matrix, truth, rivals="caption sets").v2t
    assert scores.mean_rank == pytest.approx(ranks.mean())
    assert scores.r1 == pytest.approx(100 * np.mean(ranks == 1))
    assert scores.num_queries == len(asking)


def test_videos_without_captions_compete_but_do_not_ask():
    matrix = np.array([[0.5, 0.9, 0.1]])
    scores = retrieval_scores(matrix, [0])
    assert (scores.t2v.mean_rank, scores.v2t.mean_rank, scores.v2t.num_queries) == (2.0, 1.0, 1)


def test_policies_bound_the_expectation():
    matrix = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    ranks = {
        ties: retrieval_scores(matrix, ties=ties).t2v.mean_rank for ties in ("optimistic", "expected", "pessimistic")
    }
    assert ranks == {"optimistic": 1.0, "expected": pytest.approx(4.5 / 3), "pessimistic": 2.0}


def test_known_answers_of_a_real_matrix(shared_data):
    """The stored ones; of their v2t R@1 nine videos tie with a rival, and 28.4 takes all ties for won."""
    matrix = np.load(shared_data / "golden" / "retrieval_msrvtt1kA" / "msrvtt_titles_matrix.npy")
    scores = retrieval_scores(matrix)
    assert [round(value, 2) for value in figures(scores.t2v)] == [29.7, 55.8, 66.6, 4, 26.74, 1000]
    assert scores.t2v.tied_queries == 0
    assert [round(value, 2) for value in figures(scores.v2t)[1:3]] == [54.9, 66.8]
    assert (scores.v2t.tied_queries, scores.v2t.r1) == (9, pytest.approx(28.25))
    won = retrieval_scores(matrix, ties="optimistic").v2t
    assert [round(value, 2) for value in figures(won)[:3]] == [28.4, 54.9, 66.8]
    assert retrieval_scores(matrix, ties="pessimistic").v2t.r1 == pytest.approx(28.1)


@given(small_matrices(values=SOME_VALUES, max_texts=12, max_videos=9), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_order_of_texts_and_videos_does_not_matter(drawn, random):
    matrix, truth = drawn
    rows, columns = (random.sample(range(size), size) for size in matrix.shape)
    moved = np.argsort(columns)[truth[rows]]
    before, after = retrieval_scores(matrix, truth), retrieval_scores(matrix[rows][:, columns], moved)
    np.testing.assert_allclose(figures(after.t2v) + figures(after.v2t), figures(before.t2v) + figures(before.v2t))


@given(small_matrices(values=SOME_VALUES, max_texts=12, max_videos=9))
@settings(max_examples=80, deadline=None)
def test_only_the_order_of_the_similarities_matters(drawn):
    matrix, truth = drawn
    plain = retrieval_scores(matrix, truth)
    assert retrieval_scores(matrix.astype(np.float64) ** 3 * 2 + 5, truth) == plain
    assert retrieval_scores(matrix.astype(np.int8), truth) == plain
    assert retrieval_scores(np.asfortranarray(matrix.astype(np.float16)), truth) == plain
    # each direction compares within its own queries, so it does not see what is added to one of them
    assert retrieval_scores(matrix + np.arange(len(matrix))[:, None], truth).t2v == plain.t2v
    assert retrieval_scores(matrix + np.arange(matrix.shape[1]), truth).v2t == plain.v2t


@given(small_matrices(values=SOME_VALUES, max_texts=12, max_videos=9))
@settings(max_examples=40, deadline=None)
def test_blocks_do_not_show(drawn):
    matrix, truth = drawn
    whole = retrieval_scores(matrix, truth)
    size = query_sets._BLOCK_VALUES
    query_sets._BLOCK_VALUES = 3
    try:
        assert retrieval_scores(matrix, truth) == whole
    finally:
        query_sets._BLOCK_VALUES = size


@given(small_matrices(values=SOME_VALUES))
@settings(max_examples=40, deadline=None)
def test_a_worse_rival_more_changes_nothing(drawn):
    matrix, truth = drawn
    with_another = np.pad(matrix, ((0, 0), (0, 1)), constant_values=-9)
    assert retrieval_scores(with_another, truth) == retrieval_scores(matrix, truth)


def test_json_keys():
    scores = retrieval_scores(np.eye(3)).to_json()
    names = ["R1", "R5", "R10", "MdR", "MnR", "queries", "tied_queries"]
    assert list(scores) == [f"{way}/{name}" for way in ("t2v", "v2t") for name in names]
    assert scores["t2v/R1"] == 100.0


@pytest.mark.parametrize(
    ("matrix", "truth", "message"),
    [
        (np.zeros((2, 3)), None, "similarity of 2 texts and 3 videos has no diagonal; give the video of each text."),
        (np.zeros((0, 3)), [], r"similarity must be \[texts, videos\] and not empty, found \[0, 3\]."),
        (np.zeros(3), None, r"similarity must be \[texts, videos\] and not empty, found \[3\]."),
        (np.array([["a"]]), None, "similarity must hold real numbers, found <U1."),
        (np.array([[1 + 2j]]), None, "similarity must hold real numbers, found complex128."),
        (
            np.array([[1.0, 2.0], [np.nan, np.inf]]),
            None,
            r"found 2 values NaN or infinite, the first in row 1, column 0",
        ),
        (np.eye(2), [0], r"truth must name a video for each of the 2 texts, found \[1\]."),
        (np.eye(2), [0, 2], "truth must be columns from 0 to 1, found 0 to 2; count the videos from 0."),
        (np.eye(2), [-1, 0], "truth must be columns from 0 to 1, found -1 to 0"),
        (np.eye(2), [0.0, 1.0], "truth must be whole numbers, the columns of the videos, found float64."),
    ],
)
def test_refused(matrix, truth, message):
    with pytest.raises(ValueError, match=message) as caught:
        retrieval_scores(matrix, truth)
    assert "\n" not in str(caught.value)
