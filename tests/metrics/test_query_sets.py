"""DSL and QB-Norm against the published formulas written out plainly."""

import numpy as np
import pytest

from framecue.metrics.query_sets import DualSoftmax, QueryBank, Side
from framecue.metrics.retrieval import retrieval_scores


@pytest.fixture
def matrix():
    return np.random.default_rng(0).normal(0.2, 0.1, (30, 20)).astype(np.float32)


def whole(side: Side) -> np.ndarray:
    return np.concatenate([block for _, block in side.blocks()])


def plain_dual_softmax(values, temperature):
    """One line of the authors, over the queries of each item."""
    values = values.astype(np.float64)
    scaled = np.exp((values - values.max()) / temperature)
    return values * (scaled / scaled.sum(axis=0))


def plain_query_bank(bank, values, beta):
    """The authors' steps, one query after the other."""
    bank, values = bank.astype(np.float64), values.astype(np.float64)
    retrieved = {int(row.argmax()) for row in bank}
    weight = np.exp(bank * beta).sum(axis=0)
    return np.array([np.exp(row * beta) / weight if int(row.argmax()) in retrieved else row for row in values])


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_dual_softmax(matrix, temperature):
    for values, direction in ((matrix, "t2v"), (matrix.T, "v2t")):
        revised = DualSoftmax(temperature).revised(Side.of(values), direction)
        np.testing.assert_allclose(whole(revised), plain_dual_softmax(values, temperature), rtol=1e-9)


def order(values):
    return np.argsort(-values, axis=1).tolist()


@pytest.mark.parametrize("beta", [5.0, 20.0])
def test_query_bank_ranks_as_the_authors(matrix, beta):
    bank = np.random.default_rng(1).normal(0.2, 0.1, (8, 20))  # so few that some queries stay as they are
    revised = whole(QueryBank(bank, 1 / beta).revised(Side.of(matrix), "t2v"))
    expected = plain_query_bank(bank, matrix, beta)
    assert order(revised) == order(expected)
    assert 0 < (revised == matrix).all(axis=1).sum() < len(matrix)
    assert order(revised) != order(matrix)


def test_a_bank_of_texts_leaves_video_to_text_alone(matrix):
    bank = np.random.default_rng(1).normal(0.2, 0.1, (50, 20))
    truth = np.arange(30) % 20
    plain, revised = retrieval_scores(matrix, truth), retrieval_scores(matrix, truth, revision=QueryBank(bank))
    assert revised.v2t == plain.v2t
    assert revised.t2v != plain.t2v


def test_the_test_queries_as_bank(matrix):
    for values, direction in ((matrix, "t2v"), (matrix.T, "v2t")):
        revised = whole(QueryBank(None, 0.05).revised(Side.of(values), direction))
        assert order(revised) == order(plain_query_bank(values, values, 20.0))


def test_a_hub_is_pulled_down():
    """One video is near to every text. Its similarities tell little, and both revisions see that."""
    matrix = np.eye(6) * 0.1 + 0.2
    matrix[:, 0] += 0.15
    assert retrieval_scores(matrix).t2v.r1 == pytest.approx(100 / 6)
    for revision in (DualSoftmax(0.01), QueryBank(None, 0.05), QueryBank(matrix, 0.05)):
        assert retrieval_scores(matrix, revision=revision).t2v.r1 == 100.0


def test_extreme_numbers_stay_finite():
    matrix = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]])
    for revision in (DualSoftmax(0.01), QueryBank(None, 0.01)):
        assert retrieval_scores(matrix, revision=revision).t2v.r1 == 100.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperature_must_be_above_zero(temperature):
    for make in (lambda: DualSoftmax(temperature), lambda: QueryBank(None, temperature)):
        with pytest.raises(ValueError, match="temperature must be a number above 0, found"):
            make()


def test_a_temperature_that_overflows_is_refused():
    with pytest.raises(ValueError, match="are too large; take a larger one"):
        retrieval_scores(np.eye(2) * 1e10, revision=DualSoftmax(1e-300))


def test_a_bank_of_other_videos_is_refused(matrix):
    with pytest.raises(ValueError, match="query bank must have the same 20 videos, found 19 columns"):
        retrieval_scores(matrix, np.zeros(30, dtype=int), revision=QueryBank(matrix[:, 1:]))
    with pytest.raises(ValueError, match="query bank must be finite, found 1 values NaN or infinite"):
        QueryBank(np.array([[np.nan, 1.0]]))
