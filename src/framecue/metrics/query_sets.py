"""Similarities of one retrieval direction, a block of queries at a time, and what revises them by a set of queries.

A revision looks at more than the query at hand: the whole set of test queries, or a bank of others. No such set is
there when one person types one sentence, so figures with and without a revision are not comparable, and a revision is
never applied unless asked for.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.number]
Direction = Literal["t2v", "v2t"]

_BLOCK_VALUES = 1_000_000


@dataclass(frozen=True, eq=False)
class Side:
    """Q queries and G items of one direction.

    Attributes:
        rows: similarities [R, G] of a range of queries; always the same numbers for the same range.
    """

    num_queries: int
    num_items: int
    rows: Callable[[slice], Matrix]

    @classmethod
    def of(cls, matrix: Matrix) -> "Side":
        """The rows of a matrix as queries for its columns."""
        return cls(matrix.shape[0], matrix.shape[1], lambda rows: np.ascontiguousarray(matrix[rows]))

    def blocks(self) -> Iterator[tuple[slice, Matrix]]:
        """Ranges of queries that together are all, each with its similarities of about `_BLOCK_VALUES` values."""
        step = max(1, _BLOCK_VALUES // self.num_items)
        for start in range(0, self.num_queries, step):
            rows = slice(start, min(start + step, self.num_queries))
            yield rows, self.rows(rows)

    def best_of(self, group: Integers) -> "Side":
        """Sets of items as items: each is as similar as its best member.

        Args:
            group: int [G], the set of each item, from 0 without gaps.
        """
        order = np.argsort(group, kind="stable")
        begin = np.flatnonzero(np.diff(group[order], prepend=-1))
        rows = self.rows
        return Side(
            self.num_queries, len(begin), lambda asked: np.maximum.reduceat(rows(asked)[:, order], begin, axis=1)
        )


@dataclass(frozen=True)
class DualSoftmax:
    """DSL (Cheng et al. 2021, CAMoE): each similarity times its softmax over all test queries of the item.

    The product is the published one: where similarities are negative, a more probable query counts less.

    Attributes:
        temperature: similarities are divided by it before the softmax. For cosines 0.01 is CLIP's own.
    """

    temperature: float

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)

    def revised(self, side: Side, direction: Direction) -> Side:
        """Both directions, each over its own queries."""
        total = _log_sums(side, self.temperature)

        def rows(asked: slice) -> Array:
            values = np.asarray(side.rows(asked), dtype=np.float64)
            return values * np.exp(values / self.temperature - total)

        return Side(side.num_queries, side.num_items, rows)


@dataclass(frozen=True, eq=False)
class QueryBank:
    """QB-Norm with the dynamic inverted softmax (Bogolin et al. 2022).

    A query whose best item is also the best item of some query of the bank has its similarities divided by what the
    bank as a whole has for each item; other queries stay as they are. Computed as logarithms, which keeps the order. Of
    equally similar best items all count, where the authors' code takes the first of the file.

    Attributes:
        bank: [B, V], similarity of other texts, as those of training, with the same videos; it revises text to video
            alone. None takes the test queries themselves as bank, in both directions.
        temperature: similarities are divided by it; the authors' 1/20 for cosines.
    """

    bank: Matrix | None
    temperature: float = 0.05

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)
        if self.bank is not None:
            check_matrix(self.bank, "query bank")

    def revised(self, side: Side, direction: Direction) -> Side:
        """Raises:
        ValueError: the bank is not of the same videos.
        """
        if self.bank is not None and direction == "v2t":
            return side
        bank = side if self.bank is None else Side.of(self.bank)
        if bank.num_items != side.num_items:
            raise ValueError(f"query bank must have the same {side.num_items} videos, found {bank.num_items} columns.")
        total = _log_sums(bank, self.temperature)
        hubs = np.zeros(bank.num_items, dtype=bool)
        for _, block in bank.blocks():
            hubs |= _is_best(block).any(axis=0)

        def rows(asked: slice) -> Array:
            values = np.asarray(side.rows(asked), dtype=np.float64)
            drawn = (_is_best(values) & hubs).any(axis=1, keepdims=True)
            return np.where(drawn, values / self.temperature - total, values)

        return Side(side.num_queries, side.num_items, rows)


Revision = DualSoftmax | QueryBank


def check_matrix(matrix: Matrix, name: str) -> None:
    """Raises:
    ValueError: not two dimensions, empty, not real numbers, or not finite; says how many and where the first is.
    """
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"{name} must be [texts, videos] and not empty, found {list(matrix.shape)}.")
    if matrix.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold real numbers, found {matrix.dtype}.")
    if matrix.dtype.kind != "f":
        return
    bad, first = 0, ""
    for rows, block in Side.of(matrix).blocks():
        row, column = np.nonzero(~np.isfinite(block))
        if len(row):
            first = first or f"row {rows.start + row[0]}, column {column[0]} (from 0)"
            bad += len(row)
    if bad:
        raise ValueError(f"{name} must be finite, found {bad} values NaN or infinite, the first in {first}.")


def _is_best(block: Matrix) -> npt.NDArray[np.bool_]:
    return block == block.max(axis=1, keepdims=True)


def _log_sums(side: Side, temperature: float) -> Array:
    """log of the sum over all queries of exp(similarity / temperature), for each item, [G].

    Raises:
        ValueError: the temperature is too small for such similarities.
    """
    peak, total = np.full(side.num_items, -np.inf), np.zeros(side.num_items)
    for _, block in side.blocks():
        with np.errstate(over="ignore"):
            values = np.asarray(block, dtype=np.float64) / temperature
        if not np.isfinite(values).all():
            raise ValueError(f"similarities divided by the temperature {temperature} are too large; take a larger one.")
        higher = np.maximum(peak, values.max(axis=0))
        total = total * np.exp(peak - higher) + np.exp(values - higher).sum(axis=0)
        peak = higher
    return peak + np.log(total)


def _check_temperature(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a number above 0, found {temperature}.")
