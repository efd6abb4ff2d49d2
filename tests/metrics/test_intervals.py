import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecue.metrics.intervals import effective_items, wilson_interval


@pytest.mark.parametrize(
    ("hits", "items", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(hits, items, low, high):
    assert wilson_interval(hits / items, items) == pytest.approx((low, high), abs=5e-5)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_wilson_holds_the_share_and_is_symmetric(share, items):
    low, high = wilson_interval(share, items)
    assert 0 <= low <= share <= high <= 1
    assert high > low
    assert wilson_interval(1 - share, items) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_wilson_covers_what_it_promises():
    """The chance that the interval of a binomial draw holds the true share, summed exactly, is 95 % in the mean."""
    for items in (20, 100):
        covers = []
        for step in range(1, 40):
            share = step / 40
            chances = [math.comb(items, k) * share**k * (1 - share) ** (items - k) for k in range(items + 1)]
            inside = [wilson_interval(k / items, items) for k in range(items + 1)]
            covers.append(sum(c for c, (low, high) in zip(chances, inside, strict=True) if low <= share <= high))
        assert sum(covers) / len(covers) == pytest.approx(0.95, abs=0.01)
        assert min(covers) > 0.89


@pytest.mark.parametrize(("share", "items"), [(1.1, 5), (-0.1, 5), (0.5, 0)])
def test_wilson_refuses_what_is_no_share(share, items):
    with pytest.raises(ValueError, match="share must be in"):
        wilson_interval(share, items)


def test_unequal_classes_are_worth_fewer_items():
    assert effective_items([10, 10, 10]) == pytest.approx(30)
    assert effective_items([10, 10, 0, 10]) == pytest.approx(30)
    assert effective_items([28, 1, 1]) == pytest.approx(9 / (2 + 1 / 28))
    with pytest.raises(ValueError, match="needs a class with items"):
        effective_items([0, 0])
