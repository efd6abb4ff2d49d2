"""One query against one version of an index: which vectors are held where, and the best of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from framecue.search.blocks import Block, Candidates, blocks_of
from framecue.search.catalog import Catalog
from framecue.search.table import TableView

_STREAM_BYTES = 64 * 2**20
"""Vectors held at a time when they do not fit the memory that is allowed."""
_MAX_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One committed version, ready to be asked.

    Attributes:
        blocks: vectors in memory by level; a level that is not there is read from the table for each query.
    """

    view: TableView
    catalog: Catalog
    blocks: dict[str, tuple[Block, ...]]


def search_exactly(
    snapshot: Snapshot, level: str, queries: npt.NDArray[np.float32], top_k: int, keys: npt.NDArray[np.int64]
) -> Candidates:
    """Compares with all vectors of `keys` (increasing)."""
    best = Candidates.none(len(queries))
    for block in _blocks(snapshot, level, keys):
        best = best.merge(block.search(queries, top_k, keys), top_k)
    return best


def _blocks(snapshot: Snapshot, level: str, keys: npt.NDArray[np.int64]) -> Iterator[Block]:
    if level in snapshot.blocks:
        yield from snapshot.blocks[level]
    else:
        yield from blocks_of(snapshot.view.batches(level, keys), _STREAM_BYTES)


def load_blocks(
    view: TableView, level: str, known: tuple[Block, ...], keys: npt.NDArray[np.int64], max_bytes: int
) -> tuple[Block, ...] | None:
    """Blocks that hold the vectors of `keys` (increasing), of the `known` ones and the table; None if too large."""
    held = np.concatenate([block.spans.keys for block in known]) if known else np.zeros(0, dtype=np.int64)
    missing = np.setdiff1d(keys, held)
    found: list[Block] = [block for block in known if np.isin(block.spans.keys, keys).any()]
    size = sum(block.vectors().nbytes for block in found)
    if len(missing):
        for block in blocks_of(view.batches(level, missing), max_bytes):
            size += block.vectors().nbytes
            found.append(block)
            if size > max_bytes:
                return None
    dead = sum(len(block) - int(block.spans.allowed(keys).sum()) for block in found)
    if len(found) > _MAX_BLOCKS or dead > max(1000, sum(map(len, found)) // 2):
        found = [Block.joined(found, keys)]
    return tuple(found)


def folder_bytes(path: Path) -> int:
    """Bytes of all files under a folder; those that vanish meanwhile count nothing."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += 0 if file.is_dir() else file.stat().st_size
        except OSError:
            continue
    return total
