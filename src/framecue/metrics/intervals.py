"""How far a share of few items can be trusted: 95 % intervals, and when to say that items are few."""

import math
from collections.abc import Sequence

Interval = tuple[float, float]

FEW_ITEMS = 30
"""With fewer test items than this an accuracy says little: its 95 % interval is some 35 points wide at one half."""

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


def wilson_interval(share: float, num_items: float) -> Interval:
    """95 % score interval of a share (Wilson 1927), inside [0, 1] and never of width 0.

    Departure: `share` need not be a whole number of items, since tied scores count by expectation.

    Args:
        share: in [0, 1], of items that were right.
        num_items: above 0; what `effective_items` gives where a mean over classes is meant.

    Raises:
        ValueError: a share outside [0, 1], or no items.
    """
    if not 0 <= share <= 1 or not num_items > 0:
        raise ValueError(f"share must be in [0, 1] and num_items above 0, got {share} of {num_items}.")
    spread = _Z * math.sqrt(share * (1 - share) / num_items + _Z**2 / (4 * num_items**2))
    middle, scale = share + _Z**2 / (2 * num_items), 1 + _Z**2 / num_items
    # At 0 and 1 one bound is exactly the share; rounding must not put it beside it.
    return min(share, max(0.0, (middle - spread) / scale)), max(share, min(1.0, (middle + spread) / scale))


def effective_items(counts: Sequence[int]) -> float:
    """Number of items of which an overall share is as uncertain as the mean of the classes' shares is.

    The variance of that mean is sum(p (1 - p) / n) / C^2 over C classes of n items; with one p for all classes it is
    p (1 - p) over the number returned here. Equal classes give the number of all items, unequal ones less.

    Args:
        counts: items of each class; classes without any do not count.

    Raises:
        ValueError: no items at all.
    """
    there = [count for count in counts if count]
    if not there:
        raise ValueError("effective_items needs a class with items, got none.")
    return len(there) ** 2 / sum(1 / count for count in there)
