"""Vectors that are compared exactly: float16 as they are stored, scores in float32, in memory that threads share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import faiss
import numpy as np
import numpy.typing as npt

from framecue.search.rows import is_among
from framecue.search.table import VectorBatch

_MAX_THREADS: int = faiss.omp_get_max_threads()

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spans:
    """Whose moment each row of some vectors is, and when.

    Attributes:
        keys: int64 [V], increasing.
        video_of_row: int32 [N], position in `keys`.
        starts, ends: float64 [N], seconds.
    """

    keys: npt.NDArray[np.int64]
    video_of_row: npt.NDArray[np.int32]
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]

    @classmethod
    def of(cls, row_keys: npt.NDArray[np.int64], starts: Any, ends: Any) -> "Spans":
        keys, video_of_row = np.unique(row_keys, return_inverse=True)
        return cls(keys, video_of_row.astype(np.int32), starts, ends)

    @classmethod
    def joined(cls, parts: Sequence["Spans"]) -> "Spans":
        row_keys = np.concatenate([part.keys[part.video_of_row] for part in parts])
        return cls.of(
            row_keys, np.concatenate([part.starts for part in parts]), np.concatenate([part.ends for part in parts])
        )

    def __len__(self) -> int:
        return len(self.video_of_row)

    def take(self, mask: npt.NDArray[np.bool_]) -> "Spans":
        return Spans.of(self.keys[self.video_of_row[mask]], self.starts[mask], self.ends[mask])

    def allowed(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """[N], True for the rows of these videos. `keys`: increasing."""
        return is_among(self.keys, keys)[self.video_of_row]


@dataclass(frozen=True)
class Candidates:
    """Best rows of each query, best first; `keys` is -1 where there are fewer. All [Q, k]."""

    scores: npt.NDArray[np.float32]
    keys: npt.NDArray[np.int64]
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]

    @classmethod
    def of(cls, scores: npt.NDArray[np.float32], rows: Rows, spans: Spans) -> "Candidates":
        """From positions in `spans`; -1 = none."""
        found = rows >= 0
        safe = np.where(found, rows, 0)
        keys = np.where(found, spans.keys[spans.video_of_row[safe]], -1)
        return cls(np.where(found, scores, -np.inf), keys, spans.starts[safe], spans.ends[safe])

    @classmethod
    def none(cls, num_queries: int) -> "Candidates":
        empty = np.zeros((num_queries, 0))
        return cls(empty.astype(np.float32), empty.astype(np.int64), empty, empty)

    def merge(self, other: "Candidates", top_k: int) -> "Candidates":
        """The best of both; equal scores come in the order of key and start, whichever part they were found in."""
        joined = Candidates(
            *(
                np.concatenate([getattr(self, name), getattr(other, name)], axis=1)
                for name in ("scores", "keys", "starts", "ends")
            )
        )
        order = np.lexsort((joined.starts, joined.keys, -joined.scores), axis=1)[:, :top_k]
        return Candidates(
            *(np.take_along_axis(getattr(joined, name), order, axis=1) for name in ("scores", "keys", "starts", "ends"))
        )


class Block:
    """Some vectors in memory. Never changes once made, so that threads may search it while another is made."""

    def __init__(self, spans: Spans, vectors: npt.NDArray[np.float16]) -> None:
        self.spans = spans
        self._index = _flat(vectors.shape[1])
        self._index.add_sa_codes(_codes(vectors))

    @classmethod
    def joined(cls, blocks: Sequence["Block"]) -> "Block":
        """One block of several."""
        spans = Spans.joined([block.spans for block in blocks])
        return cls(spans, np.concatenate([block.vectors() for block in blocks]))

    def only(self, keys: npt.NDArray[np.int64]) -> "Block":
        """Without most of the rows of videos other than `keys` (increasing): itself while these are few."""
        mask = self.spans.allowed(keys)
        if 2 * int(mask.sum()) >= len(mask):
            return self
        return Block(self.spans.take(mask), self.vectors()[mask])

    @property
    def num_bytes(self) -> int:
        return self.vectors().nbytes

    def __len__(self) -> int:
        return len(self.spans)

    def vectors(self) -> npt.NDArray[np.float16]:
        """[N, D], a view that lives as long as the block."""
        codes = faiss.rev_swig_ptr(self._index.codes.data(), self._index.codes.size())
        return codes.view(np.float16).reshape(len(self), self._index.d)

    def search(self, queries: npt.NDArray[np.float32], top_k: int, keys: npt.NDArray[np.int64]) -> Candidates:
        """Best rows among those of `keys` (increasing)."""
        mask = self.spans.allowed(keys)
        count = int(mask.sum())
        if not count:
            return Candidates.none(len(queries))
        parameters = None if count == len(mask) else cast(Any, faiss.SearchParameters)(sel=selector(mask))
        share_threads(len(queries))
        scores, rows = self._index.search(queries, min(top_k, count), params=parameters)
        return Candidates.of(scores, rows, self.spans)


def share_threads(num_queries: int) -> None:
    """No more FAISS threads than queries, for the calling thread: the rest would only be waited for."""
    faiss.omp_set_num_threads(max(1, min(num_queries, _MAX_THREADS)))


def selector(mask: npt.NDArray[np.bool_]) -> Any:
    """Rows that a FAISS search may return; it keeps the memory alive that FAISS only points to."""
    return cast(Any, faiss.IDSelectorBitmap)(np.packbits(mask, bitorder="little"))  # the wrapper takes an array


def blocks_of(batches: Iterable[VectorBatch], max_bytes: int) -> Iterable[Block]:
    """Blocks of at most about `max_bytes` of vectors (at least one batch)."""
    held: list[VectorBatch] = []
    held_bytes = 0
    for batch in batches:
        if held and held_bytes + batch.vectors.nbytes > max_bytes:
            yield _block(held)
            held, held_bytes = [], 0
        held.append(batch)
        held_bytes += batch.vectors.nbytes
    if held:
        yield _block(held)


def _block(batches: Sequence[VectorBatch]) -> Block:
    keys, starts, ends, vectors = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in ("keys", "starts", "ends", "vectors")
    )
    return Block(Spans.of(keys, starts, ends), vectors)


def _flat(embed_dim: int) -> Any:
    return faiss.IndexScalarQuantizer(embed_dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _codes(vectors: npt.NDArray[np.float16]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(vectors).view(np.uint8)
