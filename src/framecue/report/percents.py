"""Shares and scores as people read them: percent, and the interval that says how far to trust it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from framecue.metrics.intervals import FEW_ITEMS

DASH = "\N{EN DASH}"


def score_percent(score: float) -> str:
    """A score in [0, 1] as every table and page shows it: "62 %", "<1 %".

    Rounded down: what is below the score of a match does not look like one, and 100 % is never said of less.
    """
    whole = math.floor(100 * min(max(score, 0.0), 1.0) + 1e-9)  # 0.29 * 100 is below 29 in floating point
    return "<1 %" if score > 0 and not whole else f"{whole} %"


def percent_with_interval(share: float, interval: Sequence[float]) -> str:
    """ "92.2 (88.9\N{EN DASH}94.6)", both in percent."""
    low, high = interval
    return f"{100 * share:.1f} ({100 * low:.1f}{DASH}{100 * high:.1f})"


def mean_with_interval(cell: Mapping[str, Any]) -> str:
    """A mean over seeds in percent with its 95 % interval: "92.2 ± 0.8" (Student's, over the seeds).

    Where there is one seed, or all agree, it is that over test items, as of a single run. A rank stays a rank, and what
    is no share of items, such as mAP, then has none. An interval that would leave 0 to 100 % is cut to it, in brackets.

    Args:
        cell: "mean", "std", "half_width_95"; "ci95_items" where the figure is a share of test items.
    """
    scale = 1 if cell.get("unit") == "rank" else 100
    bounds = cell_interval(cell)
    if cell["std"] and scale == 100 and bounds is not None and (bounds[0] == 0 or bounds[1] == 1):
        return percent_with_interval(cell["mean"], bounds)
    if cell["std"]:
        return f"{scale * cell['mean']:.1f} ± {scale * cell['half_width_95']:.1f}"
    if cell.get("ci95_items") is not None:
        return percent_with_interval(cell["mean"], cell["ci95_items"])
    return f"{scale * cell['mean']:.1f}"


def cell_interval(cell: Mapping[str, Any]) -> tuple[float, float] | None:
    """The 95 % interval of a share, inside [0, 1]: over seeds, or over test items where these do not differ."""
    if cell["std"]:
        mean, half = cell["mean"], cell["half_width_95"]
        return max(0.0, mean - half), min(1.0, mean + half)
    items = cell.get("ci95_items")
    return None if items is None else (items[0], items[1])


SPREAD_WORDS = (
    "± and brackets are 95 % intervals: over seeds (Student), or over test items where all seeds agree (Wilson)"
)


def few_items_remark(num_items: int, what: str) -> str:
    """A sentence where so few were measured that an accuracy says little; empty otherwise.

    Args:
        what: was measured, in the plural: "test videos".
    """
    if not 0 < num_items < FEW_ITEMS:
        return ""
    one = f"one is {100 / num_items:.1f} points"
    return f"Only {num_items} {what}, fewer than {FEW_ITEMS}: {one}, so read the intervals, not the figures."
