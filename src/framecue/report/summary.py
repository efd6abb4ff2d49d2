"""From the results of single runs to the numbers that are reported: accuracy by group of classes, over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from framecue.datasets.world import order_blind_ceiling, order_pairs
from framecue.metrics.intervals import wilson_interval
from framecue.metrics.recognition import mean_and_spread

METHODS = ("B-I", "B-II", "A3", "A5")
GROUPS = ("seen", "order_pairs", "other_seen", "held_out")
GROUP_NAMES = {
    "seen": "all seen classes",
    "order_pairs": "order-defined pairs",
    "other_seen": "other seen classes",
    "held_out": "held-out names",
}
SPREAD = (
    "mean and sample standard deviation over seeds; half_width_95 is Student's 95 % interval of the mean; ci95_items "
    "is Wilson's 95 % interval over num_items test items"
)

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Names:
    """The class names that the numbers are about, in score order."""

    seen: tuple[str, ...]
    held_out: tuple[str, ...]

    def group(self, group: str) -> list[str]:
        """Names of one of `GROUPS`."""
        paired = {name for pair in order_pairs(self.seen) for name in pair}
        return {
            "seen": [*self.seen],
            "order_pairs": [name for name in self.seen if name in paired],
            "other_seen": [name for name in self.seen if name not in paired],
            "held_out": [*self.held_out],
        }[group]

    def rows(self, group: str) -> list[int]:
        """The group's rows in a confusion matrix; held-out names have one of their own."""
        everyone = self.held_out if group == "held_out" else self.seen
        return [everyone.index(name) for name in self.group(group)]

    def ceilings(self) -> dict[str, float | None]:
        """By group, the highest accuracy of a model blind to the order of frames; None for a group without classes.

        Exact where the two classes of an order pair hold the same videos, run both ways.
        """
        return {group: order_blind_ceiling(self.group(group)) if self.group(group) else None for group in GROUPS}


def group_accuracy(confusion: Matrix, rows: Sequence[int]) -> float:
    """Share of the videos of these classes, rows of counts [N, N], that got their name among all N. NaN without any."""
    videos = confusion[rows].sum()
    return float(np.diag(confusion)[rows].sum() / videos) if videos else float("nan")


def pairs_first(names: Sequence[str]) -> tuple[list[str], int]:
    """The names with those of order pairs in front, side by side, and the number of pairs."""
    pairs = order_pairs(names)
    paired = [name for pair in pairs for name in pair]
    return paired + [name for name in names if name not in paired], len(pairs)


def percent(share: float) -> str:
    """ "50%", "62.5%": at most one decimal, and none where it would be 0."""
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def collect(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, list[Matrix]]]:
    """Confusion matrices by method and part ("seen", "held_out"), a list over seeds.

    Args:
        runs: results of the runs of "A3" and "A5", in seed order. B-I and B-II are taken from the runs that have them.
    """
    found: dict[str, dict[str, list[Matrix]]] = {method: {"seen": [], "held_out": []} for method in METHODS}
    for method in METHODS:
        for results in [*runs[method]] if method in runs else [one for some in runs.values() for one in some]:
            for part, key in (("seen", results["protocol"]["part"]), ("held_out", "novel")):
                if method in results[key]:
                    found[method][part].append(np.array(results[key][method]["confusion"], dtype=np.float64))
    return found


def accuracy_table(
    matrices: Mapping[str, Mapping[str, Sequence[Matrix]]], names: Names
) -> dict[str, dict[str, dict[str, Any] | None]]:
    """Method -> group -> values over seeds with mean and spread; None where a method has no answer."""
    table: dict[str, dict[str, dict[str, Any] | None]] = {}
    for method, parts in matrices.items():
        table[method] = {}
        for group in GROUPS:
            part, rows = parts["held_out" if group == "held_out" else "seen"], names.rows(group)
            values = [group_accuracy(matrix, rows) for matrix in part] if rows else []
            num_items = round(part[0][rows].sum()) if values else 0
            table[method][group] = _cell(values, num_items) if num_items else None
    return table


def _cell(values: Sequence[float], num_items: int) -> dict[str, Any]:
    """Mean and spread over seeds of a share of the same items."""
    spread = asdict(mean_and_spread(values))
    return {"values": list(values), **spread, "num_items": num_items} | {
        "ci95_items": list(wilson_interval(spread["mean"], num_items))
    }


def per_class_table(
    matrices: Mapping[str, Mapping[str, Sequence[Matrix]]], names: Names
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Method -> part -> class name -> accuracy by seed."""
    by_part = {"seen": names.seen, "held_out": names.held_out}
    return {
        method: {
            part: {
                name: [group_accuracy(matrix, [row]) for matrix in parts[part]]
                for row, name in enumerate(by_part[part])
            }
            for part in by_part
            if parts[part]
        }
        for method, parts in matrices.items()
    }


def headline(
    table: Mapping[str, Mapping[str, Mapping[str, Any] | None]], limits: Mapping[str, float | None]
) -> tuple[str, str]:
    """What was found, for any numbers: the sentence, and one about order; the second is empty without order pairs."""

    def mean(method: str, group: str) -> float:
        cell = table[method][group]
        return float("nan") if cell is None else float(cell["mean"])

    sentence = (
        f"A frozen CLIP named {mean('B-I', 'seen'):.0%} of the test videos correctly. With learned prompts it names "
        f"{mean('A3', 'seen'):.0%}, with a small temporal Transformer on top {mean('A5', 'seen'):.0%}."
    )
    limit, pairs = limits["order_pairs"], mean("A5", "order_pairs")
    if limit is None or math.isnan(pairs):
        return sentence, ""
    lead = "Where nothing but the order of frames tells two actions apart, a model blind to time cannot exceed"
    passed = pairs > limit and not any(mean(method, "order_pairs") > limit for method in METHODS if method != "A5")
    outcome = f"only A5 does, with {percent(pairs)}" if passed else f"A5 has {percent(pairs)} there"
    return sentence, f"{lead} {percent(limit)}; {outcome}."
