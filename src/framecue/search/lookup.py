"""One query against one version of an index: which vectors are held where, and the best of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from framecue.search.blocks import Block, Candidates, blocks_of
from framecue.search.catalog import Catalog
from framecue.search.neighbours import Neighbours
from framecue.search.rows import is_among
from framecue.search.table import TableView

Keys = npt.NDArray[np.int64]

_BLOCK_BYTES = 64 * 2**20
"""Vectors of one block; also those held at a time when all do not fit the memory that is allowed."""
_MAX_SMALL_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One committed version, ready to be asked.

    Attributes:
        blocks: vectors in memory by level, of all videos but those in `neighbours`; a level that is not there is read
            from the table for each query.
        neighbours: holds moments of some of the videos, and maybe of others that are gone.
    """

    view: TableView
    catalog: Catalog
    blocks: dict[str, tuple[Block, ...]]
    neighbours: Neighbours | None

    @cached_property
    def outside(self) -> Keys:
        """Keys of the videos whose moments are not in the neighbour structure, increasing."""
        keys = self.catalog.sorted_keys
        return keys if self.neighbours is None else keys[~is_among(keys, self.neighbours.spans.keys)]

    @cached_property
    def stale_fraction(self) -> float:
        """Moments that were added or went since the structure was made, as a fraction of those in it; 1 without one."""
        if self.neighbours is None:
            return 1.0
        gone = self.neighbours.num_stale(self.catalog.sorted_keys)
        there = len(self.neighbours.spans) - gone
        return (gone + self.view.num_moments - there) / max(1, len(self.neighbours.spans))

    def keys_in_blocks(self, level: str) -> Keys:
        return self.outside if level == "moment" else self.catalog.sorted_keys

    def num_bytes(self, level: str, embed_dim: int) -> int:
        """Of the vectors that blocks of this level have to hold."""
        if level == "video":
            rows = len(self.catalog)
        else:
            rows = int(self.catalog.num_moments[is_among(self.catalog.keys, self.outside)].sum())
        return rows * embed_dim * np.dtype(np.float16).itemsize


def find(
    snapshot: Snapshot,
    level: str,
    queries: npt.NDArray[np.float32],
    top_k: int,
    keys: Keys,
    *,
    exact: bool,
    exact_below: int,
) -> tuple[Candidates, bool]:
    """The best of all vectors of `keys` (increasing), and whether every one was compared."""
    best, compared_all = Candidates.none(len(queries)), True
    if level == "moment" and snapshot.neighbours is not None:
        best, compared_all = snapshot.neighbours.search(queries, top_k, keys, exact=exact, exact_below=exact_below)
    rest = snapshot.keys_in_blocks(level)
    rest = rest[is_among(rest, keys)]
    for block in _blocks(snapshot, level, rest):
        best = best.merge(block.search(queries, top_k, rest), top_k)
    return best, compared_all


def load_blocks(view: TableView, level: str, known: tuple[Block, ...], keys: Keys) -> tuple[Block, ...]:
    """Blocks with the vectors of `keys` (increasing): what is `known` of them, and the rest from the table."""
    found = [block for block in (block.only(keys) for block in known) if len(block)]
    held = np.concatenate([np.zeros(0, dtype=np.int64), *(block.spans.keys for block in found)])
    missing = np.setdiff1d(keys, held, assume_unique=True)
    if len(missing):
        found += blocks_of(view.batches(level, missing), _BLOCK_BYTES)
    small = [block for block in found if block.num_bytes < _BLOCK_BYTES // 2]
    if len(small) > _MAX_SMALL_BLOCKS:
        found = [block for block in found if block not in small] + [Block.joined(small)]
    return tuple(found)


def _blocks(snapshot: Snapshot, level: str, keys: Keys) -> Iterator[Block]:
    if level in snapshot.blocks:
        yield from snapshot.blocks[level]
    elif len(keys):
        yield from blocks_of(snapshot.view.batches(level, keys), _BLOCK_BYTES)
