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
    is no share of items, such as mAP, then has none.

    Args:
        cell: "mean", "std", "half_width_95"; "ci95_items" where the figure is a share of test items.
    """
    scale = 1 if cell.get("unit") == "rank" else 100
    if cell["std"]:
        return f"{scale * cell['mean']:.1f} ± {scale * cell['half_width_95']:.1f}"
    if cell.get("ci95_items") is not None:
        return percent_with_interval(cell["mean"], cell["ci95_items"])
    return f"{scale * cell['mean']:.1f}"


SPREAD_WORDS = "± and brackets are 95 % intervals: over seeds (Student), in brackets over test items (Wilson)"


def few_items_remark(num_items: int, what: str) -> str:
    """A sentence where so few were measured that an accuracy says little; empty otherwise.

    Args:
        what: was measured, in the plural: "test videos".
    """
    if not 0 < num_items < FEW_ITEMS:
        return ""
    one = f"one is {100 / num_items:.1f} points"
    return f"Only {num_items} {what}, fewer than {FEW_ITEMS}: {one}, so read the intervals, not the figures."
