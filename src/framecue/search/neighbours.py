"""The neighbour structure: FAISS cells over the moments of one version of the table, derived from it and replaceable.

Vectors lie in it as they lie in the table, in float16, sorted into cells around k-means centers. A search that probes
all cells compares every vector, so that one structure serves both approximate and exact search; how many cells the
former probes is measured when it is made. The file is mapped into memory, which processes share.
"""

import hashlib
import json
import math
import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import faiss
import numpy as np
import numpy.typing as npt

from framecue.errors import MomentIndexError
from framecue.features.store_errors import is_disk_full
from framecue.files import write_text
from framecue.search.blocks import Candidates, Spans, selector, share_threads
from framecue.search.table import TableView
from framecue.search.trouble import one_line

NEIGHBOURS_FOLDER = "neighbours"

_FORMAT = 1
_STAMP_FILE = "current.json"
_ROWS_PER_CENTER = 40
_TRAINING_ROUNDS = 8
_NUM_QUERIES = 256
_QUERY_NOISE = 2.0
"""Length of the noise on a query beside the vector of length 1 that it starts from; their cosine is 0.45 then.

Sentences lie further from the moments that they describe than moments from each other, and far queries need more cells.
"""
_RECALL_AT = 10
_EDGE_BYTES = 2**20
_MAX_RECENT = 4


@dataclass(frozen=True)
class Stamp:
    """What a structure was made of, and how it is to be asked; written last, so that it names finished files only."""

    format: int
    table_id: str
    version: int
    name: str
    embed_dim: int
    num_rows: int
    size_bytes: int
    edges_sha256: str
    num_cells: int
    num_probes: int
    recall_at_10: float


class Neighbours:
    """An opened structure. It holds what the table held when it was made; who asks names the videos that count."""

    def __init__(self, stamp: Stamp, index: Any, spans: Spans) -> None:
        self.stamp, self.spans = stamp, spans
        self._index = index
        self._recent: tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], int], ...] = ()

    def num_stale(self, keys: npt.NDArray[np.int64]) -> int:
        """Rows of videos other than `keys` (increasing)."""
        return len(self.spans) - self._allowed(keys)[1]

    def search(
        self,
        queries: npt.NDArray[np.float32],
        top_k: int,
        keys: npt.NDArray[np.int64],
        *,
        exact: bool,
        exact_below: int,
    ) -> tuple[Candidates, bool]:
        """Best rows among those of `keys` (increasing), and whether all of these were compared.

        Fewer rows than `exact_below` are always compared one by one.
        """
        mask, count = self._allowed(keys)
        top_k = min(top_k, count)
        if not count:
            return Candidates.none(len(queries)), True
        rows_sought = selector(mask) if count < len(mask) else None
        probes = self.stamp.num_cells
        if not exact and count >= exact_below:
            # Where a filter leaves a part of each cell, or more hits are wanted, the same recall takes more cells.
            wider = len(mask) / count * math.sqrt(max(1.0, top_k / _RECALL_AT))
            probes = min(probes, math.ceil(self.stamp.num_probes * wider))
        scores, rows = self._probe(queries, top_k, probes, rows_sought)
        if probes < self.stamp.num_cells and (rows < 0).any():
            probes = self.stamp.num_cells
            scores, rows = self._probe(queries, top_k, probes, rows_sought)
        if rows.max(initial=-1) >= len(self.spans):
            raise MomentIndexError(
                f"The neighbour structure {self.stamp.name} is damaged: it names rows that are not there; "
                "delete its folder and run: framecue index refresh."
            )
        return Candidates.of(scores, rows, self.spans), probes == self.stamp.num_cells

    def _probe(self, queries: npt.NDArray[np.float32], top_k: int, probes: int, rows: Any) -> tuple[Any, Any]:
        share_threads(len(queries))
        return cast(
            tuple[Any, Any],
            self._index.search(queries, top_k, params=cast(Any, faiss.SearchParametersIVF)(sel=rows, nprobe=probes)),
        )

    def _allowed(self, keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], int]:
        recent = self._recent  # read once: another thread may replace it
        for known, mask, count in recent:
            if known is keys:
                return mask, count
        mask = self.spans.allowed(keys)
        count = int(mask.sum())
        self._recent = ((keys, mask, count), *recent[: _MAX_RECENT - 1])
        return mask, count


def build(folder: Path, view: TableView, *, table_id: str, recall_target: float) -> Stamp:
    """Makes the structure of all moments of a version and puts it in the place of the one there.

    Memory is up to three times that of all vectors in float16.

    Raises:
        MomentIndexError: the disk is full or cannot be written; a structure that was there is kept.
    """
    folder.mkdir(exist_ok=True)
    name = uuid.uuid4().hex
    num_cells = cells_for(view.num_moments)
    try:
        sample, queries = _draw(view, num_cells)
        index = _trained(sample, num_cells)
        del sample
        spans = _fill(index, view)
        num_probes, recall = _tune(index, queries, recall_target)
        path = folder / f"{name}.faiss"
        faiss.write_index(index, str(path))
        with open(folder / f"{name}.npz", "wb") as file:
            np.savez(file, keys=spans.keys, video_of_row=spans.video_of_row, starts=spans.starts, ends=spans.ends)
        stamp = Stamp(
            format=_FORMAT,
            table_id=table_id,
            version=view.version,
            name=name,
            embed_dim=index.d,
            num_rows=len(spans),
            size_bytes=path.stat().st_size,
            edges_sha256=_edges(path),
            num_cells=num_cells,
            num_probes=num_probes,
            recall_at_10=recall,
        )
        write_text(folder / _STAMP_FILE, json.dumps(asdict(stamp), indent=1))
    except (OSError, RuntimeError) as error:
        _clear(folder, but=_current_name(folder))
        reason = "the disk is full" if is_disk_full(error) else one_line(error)
        raise MomentIndexError(
            f"The neighbour structure in {folder} cannot be made: {reason}; all videos are kept, and search compares "
            "every vector meanwhile; free some space and run: framecue index refresh."
        ) from error
    _clear(folder, but=name)
    return stamp


def read_neighbours(folder: Path, *, table_id: str, embed_dim: int) -> Neighbours | None:
    """The structure there; None where there is none, or one that is damaged or of another table or format."""
    for _ in range(3):
        name = _current_name(folder)
        try:
            return _read(folder, table_id, embed_dim)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            if _current_name(folder) == name:  # else a writer replaced it meanwhile
                return None
    return None


def drop_neighbours(folder: Path) -> None:
    """Removes the structure, where there is one."""
    (folder / _STAMP_FILE).unlink(missing_ok=True)
    _clear(folder, but="")


def stamp_identity(folder: Path) -> tuple[int, int] | None:
    """Another value whenever another structure took its place."""
    try:
        status = (folder / _STAMP_FILE).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def cells_for(num_rows: int) -> int:
    """About twice the square root, as a power of two, with enough rows for each to be trained."""
    wanted = 2 ** round(math.log2(2 * math.sqrt(max(num_rows, 1))))
    return max(1, min(wanted, 65536, num_rows // _ROWS_PER_CENTER))


def _read(folder: Path, table_id: str, embed_dim: int) -> Neighbours | None:
    stamp = Stamp(**json.loads((folder / _STAMP_FILE).read_text(encoding="utf-8")))
    path = folder / f"{uuid.UUID(stamp.name).hex}.faiss"
    if (stamp.format, stamp.table_id, stamp.embed_dim) != (_FORMAT, table_id, embed_dim):
        return None
    if path.stat().st_size != stamp.size_bytes or _edges(path) != stamp.edges_sha256:
        return None
    index = cast(Any, faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY))
    cast(
        Any, faiss.downcast_InvertedLists(index.invlists)
    ).prefetch_nthread = 0  # starting threads costs more than reading
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        spans = Spans(arrays["keys"], arrays["video_of_row"], arrays["starts"], arrays["ends"])
    sizes = (index.d, index.nlist, index.ntotal, len(spans))
    if sizes != (embed_dim, stamp.num_cells, stamp.num_rows, stamp.num_rows):
        return None
    return Neighbours(stamp, index, spans)


def _draw(view: TableView, num_cells: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Training vectors, and held-out queries: other vectors with noise. The same for the same table."""
    rng = np.random.default_rng(view.num_moments)
    count = min(view.num_moments, _ROWS_PER_CENTER * num_cells + _NUM_QUERIES)
    wanted = np.sort(rng.choice(view.num_moments, count, replace=False))
    parts, start = [], 0
    for batch in view.batches("moment"):
        inside = wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, start + len(batch))] - start
        parts.append(batch.vectors[inside].astype(np.float32))
        start += len(batch)
    vectors = np.concatenate(parts)
    rng.shuffle(vectors)
    held_out = vectors[:_NUM_QUERIES]
    noise = rng.standard_normal(held_out.shape, dtype=np.float32) * (_QUERY_NOISE / math.sqrt(held_out.shape[1]))
    queries = held_out + noise
    sample = vectors[len(held_out) :] if len(vectors) > 2 * _NUM_QUERIES else vectors
    return sample, queries / np.linalg.norm(queries, axis=1, keepdims=True)


def _trained(sample: npt.NDArray[np.float32], num_cells: int) -> Any:
    embed_dim = sample.shape[1]
    centers = faiss.Kmeans(
        embed_dim, num_cells, niter=_TRAINING_ROUNDS, spherical=True, seed=1, min_points_per_centroid=1
    )
    centers.train(sample)
    quantizer = faiss.IndexFlatIP(embed_dim)
    cast(Any, quantizer).add(centers.centroids)
    index = cast(Any, faiss.IndexIVFScalarQuantizer)(
        quantizer, embed_dim, num_cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.train(sample)
    return index


def _fill(index: Any, view: TableView) -> Spans:
    keys, starts, ends = [], [], []
    for batch in view.batches("moment"):
        index.add(batch.vectors.astype(np.float32))
        keys.append(batch.keys)
        starts.append(batch.starts)
        ends.append(batch.ends)
    return Spans.of(np.concatenate(keys), np.concatenate(starts), np.concatenate(ends))


def _tune(index: Any, queries: npt.NDArray[np.float32], target: float) -> tuple[int, float]:
    """The least number of probed cells, in steps of about a fifth, that reaches the target; and the recall it has."""
    top_k = min(_RECALL_AT, index.ntotal)
    index.nprobe = index.nlist
    truth = index.search(queries, top_k)[1]
    probes, recall = 1, 0.0
    while True:
        index.nprobe = probes
        found = index.search(queries, top_k)[1]
        recall = float(np.mean([len(np.intersect1d(*pair)) / top_k for pair in zip(truth, found, strict=True)]))
        if recall >= target or probes == index.nlist:
            return probes, recall
        probes = min(index.nlist, max(probes + 1, round(probes * 1.2)))


def _edges(path: Path) -> str:
    """Hash of a file's first and last part: a damaged header is found without reading gigabytes."""
    with open(path, "rb") as file:
        head = file.read(_EDGE_BYTES)
        file.seek(max(0, os.fstat(file.fileno()).st_size - _EDGE_BYTES))
        return hashlib.sha256(head + file.read(_EDGE_BYTES)).hexdigest()


def _current_name(folder: Path) -> str:
    try:
        return str(json.loads((folder / _STAMP_FILE).read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _clear(folder: Path, *, but: str) -> None:
    for file in [*folder.glob("*.faiss"), *folder.glob("*.npz"), *folder.glob(".*.tmp")]:
        if file.stem != but:
            file.unlink(missing_ok=True)
