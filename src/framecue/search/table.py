"""The Lance table of a moment index: atomic commits, and views of one committed version."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lance.fragment import write_fragments

from framecue.errors import MomentIndexError
from framecue.features.store_errors import retrying
from framecue.search.binding import Binding, binding_from_json
from framecue.search.rows import (
    BINDING_KEY,
    FORMAT_KEY,
    FORMAT_VERSION,
    TABLE_KEY,
    VIDEO_COLUMNS,
    is_among,
    table_schema,
)
from framecue.search.trouble import damaged, table_errors
from framecue.video.files import INDEX_TABLE

TABLE_FOLDER = INDEX_TABLE

_ROWS_PER_FRAGMENT = 65536
"""Compaction rewrites incomplete fragments: enough rows to be few files, few enough to be cheap."""
_MAX_SMALL_PIECES = 32
_MAX_DEAD_FRACTION = 0.2
_MAX_VERSIONS = 32
_LEAST_LIVE_BYTES = 4096
"""Of a table with little in it or nothing: it is not tidied for the size of its versions alone."""
_READ_AHEAD_BYTES = 64 * 2**20
_ROWS_PER_BATCH = 16384
_MAX_SOUGHT = 4096
"""Rows that are read one by one; for more, all are read."""
_VECTOR_COLUMNS = ["key", "start_seconds", "end_seconds", "vector"]


@dataclass(frozen=True, eq=False)
class VectorBatch:
    """Vectors as they are stored. `vectors`: float16 [N, D]; the others [N]."""

    keys: npt.NDArray[np.int64]
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    vectors: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: npt.NDArray[Any]) -> "VectorBatch":
        """Some of the rows; `rows` is a mask or positions."""
        return VectorBatch(self.keys[rows], self.starts[rows], self.ends[rows], self.vectors[rows])


@dataclass(frozen=True, eq=False)
class _Fragment:
    """What is kept in memory of one piece of the table.

    Attributes:
        videos: its video rows.
        row_keys: int64 [N], of all its rows in order.
        is_video: bool [N], whether a row is one of a video, not of a moment.
    """

    videos: Any
    row_keys: npt.NDArray[np.int64]
    is_video: npt.NDArray[np.bool_]

    @cached_property
    def keys_at(self) -> dict[str, npt.NDArray[np.int64]]:
        """Whose rows of each level are in it, increasing."""
        return {level: np.unique(self.row_keys[self.is_video == (level == "video")]) for level in ("moment", "video")}

    @cached_property
    def num_moments(self) -> int:
        return int(len(self.is_video) - self.is_video.sum())


class TableView:
    """One committed version, which later commits do not change."""

    def __init__(self, dataset: Any, fragments: dict[tuple[int, int], _Fragment]) -> None:
        self.dataset, self.fragments = dataset, fragments
        self.version: int = dataset.version

    @property
    def videos(self) -> Any:
        """The video rows as an Arrow table."""
        parts = [fragment.videos for fragment in self.fragments.values()]
        return pa.concat_tables(parts) if parts else self.dataset.schema.empty_table().select(VIDEO_COLUMNS)

    @property
    def num_moments(self) -> int:
        return sum(fragment.num_moments for fragment in self.fragments.values())

    def batches(self, level: str, keys: npt.NDArray[np.int64] | None = None) -> Iterator[VectorBatch]:
        """Vectors of moments or of whole videos in the table's order, all or those of `keys`, a part at a time."""
        if keys is not None and len(keys) <= _MAX_SOUGHT:
            rows = self._rows(level, keys)
            if len(rows) <= _MAX_SOUGHT:
                if len(rows):
                    yield _vector_batch(
                        self.dataset.take(rows, columns=_VECTOR_COLUMNS).combine_chunks().to_batches()[0]
                    )
                return
        pieces = {piece.fragment_id: piece for piece in self.dataset.get_fragments()}
        for (fragment_id, _), fragment in self.fragments.items():
            there = fragment.keys_at[level]
            wanted = there if keys is None else there[np.isin(there, keys)]
            if not len(wanted):
                continue
            scanner = self.dataset.scanner(
                columns=_VECTOR_COLUMNS,
                filter=f"video_id IS {'NOT ' if level == 'video' else ''}NULL",
                fragments=[pieces[fragment_id]],
                batch_size=_ROWS_PER_BATCH,
                batch_readahead=2,
                io_buffer_size=_READ_AHEAD_BYTES,
                scan_in_order=True,
            )
            for batch in scanner.to_batches():
                found = _vector_batch(batch)
                yield found if len(wanted) == len(there) else found.take(np.isin(found.keys, wanted))

    def _rows(self, level: str, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Positions in the whole table."""
        found, start = [np.zeros(0, dtype=np.int64)], 0
        for fragment in self.fragments.values():
            if is_among(keys, fragment.keys_at[level]).any():
                rows = np.isin(fragment.row_keys, keys) & (fragment.is_video == (level == "video"))
                found.append(start + np.flatnonzero(rows))
            start += len(fragment.row_keys)
        return np.concatenate(found)


class MomentTable:
    """The table in one folder. Readers take views; the one writer commits."""

    def __init__(self, folder: Path, dataset: Any) -> None:
        self.folder = folder
        metadata = dataset.schema.metadata or {}
        self.binding = _read_binding(folder, metadata)
        self.table_id: str = metadata[TABLE_KEY].decode()
        self._dataset = dataset

    @classmethod
    def create(cls, folder: Path, binding: Binding) -> "MomentTable":
        schema = table_schema(binding)
        with table_errors(folder, "created"):
            return cls(folder, lance.write_dataset(schema.empty_table(), _uri(folder), schema=schema, mode="create"))

    @classmethod
    def open(cls, folder: Path) -> "MomentTable":
        with table_errors(folder, "opened"):
            return cls(folder, retrying(lambda: lance.dataset(_uri(folder))))

    def latest(self, known: TableView | None = None) -> TableView:
        """The newest committed version; only pieces that `known` does not have are read.

        Raises:
            OSError, ValueError, RuntimeError: it cannot be read, or a writer dropped it meanwhile for a newer one.
        """
        if known is not None and known.dataset.latest_version == known.version:
            return known
        self._dataset = lance.dataset(_uri(self.folder))
        metadata = self._dataset.schema.metadata or {}
        if metadata.get(TABLE_KEY, b"").decode() != self.table_id:
            raise MomentIndexError(f"Moment index {self.folder} was replaced by another one meanwhile; open it again.")
        if known is not None and known.version > self._dataset.version:
            known = None  # an older copy was put back, in which the same names can mean other rows
        fragments = {}
        for piece in self._dataset.get_fragments():
            # Pieces never change but by rows marked as deleted, which become more.
            name = (piece.fragment_id, piece.num_deletions)
            kept = known.fragments.get(name) if known is not None else None
            fragments[name] = kept or _read_fragment(self._dataset, piece)
        return TableView(self._dataset, fragments)

    def commit(
        self, view: TableView, rows: Any | None, *, replaced: Iterable[int] = (), only_videos: bool = False
    ) -> None:
        """Adds `rows` and drops those with the keys `replaced` (`only_videos`: but not moments) in one atomic step."""
        drop = np.array(sorted(replaced), dtype=np.int64)
        with table_errors(self.folder, "written"):
            removed, updated = _dropped(view, drop, only_videos) if len(drop) else ([], [])
            added = write_fragments(rows, view.dataset) if rows is not None else []
            operation = lance.LanceOperation.Update(
                removed_fragment_ids=removed, updated_fragments=updated, new_fragments=added, fields_modified=[]
            )
            self._dataset = lance.LanceDataset.commit(view.dataset, operation, read_version=view.version)

    def is_untidy(self) -> bool:
        """Whether tidying pays: many small pieces or dead rows, many versions, or more waste than what is alive."""
        if self._is_scattered():
            return True
        folder = self.folder / TABLE_FOLDER
        num_versions = sum(name.endswith(".manifest") for name in os.listdir(folder / "_versions"))
        return num_versions > _MAX_VERSIONS or folder_bytes(folder) > 2 * self._live_bytes()

    def _is_scattered(self) -> bool:
        pieces = self._dataset.get_fragments()
        small = sum(piece.physical_rows < _ROWS_PER_FRAGMENT // 2 for piece in pieces)
        dead = sum(piece.num_deletions for piece in pieces)
        return small > _MAX_SMALL_PIECES or dead > _MAX_DEAD_FRACTION * sum(piece.physical_rows for piece in pieces)

    def _live_bytes(self) -> int:
        """Of the data files that the newest version names."""
        files = [file for piece in self._dataset.get_fragments() for file in piece.data_files()]
        return max(_LEAST_LIVE_BYTES, sum(file.file_size_bytes for file in files))

    def tidy(self) -> None:
        """Merges the small pieces that commits leave and drops all older versions. For the writer alone.

        What it costs is bounded by what was written since the last time. A query that still reads an older version
        fails, and is asked again of the newest.
        """
        with table_errors(self.folder, "tidied"):
            if self._is_scattered():
                self._compact()
            self._drop_old_versions()

    def purge(self) -> None:
        """Leaves no row on disk that the newest version does not hold. For the writer alone."""
        with table_errors(self.folder, "purged"):
            self._compact(materialize_deletions_threshold=0.0)
            self._drop_old_versions()

    def _compact(self, **how: float) -> None:
        self._dataset = lance.dataset(_uri(self.folder))
        self._dataset.optimize.compact_files(
            target_rows_per_fragment=_ROWS_PER_FRAGMENT, batch_size=_ROWS_PER_BATCH, num_threads=1, **how
        )

    def _drop_old_versions(self) -> None:
        self._dataset = lance.dataset(_uri(self.folder))
        # By number, not by age: clocks are set back. The only writer is this one: what no version names was left behind
        # by one that died.
        self._dataset.cleanup_old_versions(retain_versions=1, delete_unverified=True)


def has_table(folder: Path) -> bool:
    """Whether an index is there; False means that one can be created.

    Raises:
        MomentIndexError: the path is taken by something else, which is left alone.
    """
    if not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        raise MomentIndexError(f"{folder} is a file, not a moment index; name a folder.")
    versions = folder / TABLE_FOLDER / "_versions"
    try:  # a glob takes what may not be read for what is not there
        return any(name.endswith(".manifest") for name in os.listdir(versions))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise MomentIndexError(f"{versions} cannot be read ({error.strerror}); let this user read it.") from None


def _uri(folder: Path) -> str:
    return os.path.abspath(folder / TABLE_FOLDER)


def _read_binding(folder: Path, metadata: dict[bytes, bytes]) -> Binding:
    version = metadata.get(FORMAT_KEY, b"").decode()
    if not version or TABLE_KEY not in metadata:
        raise MomentIndexError(f"{folder / TABLE_FOLDER} is a Lance table, but none of moments; name another folder.")
    if version != FORMAT_VERSION:
        raise MomentIndexError(
            f"Moment index {folder} has format {version:.20}, this framecue reads {FORMAT_VERSION}; "
            "use the framecue that wrote it, or make another index."
        )
    try:
        return binding_from_json(metadata[BINDING_KEY].decode())
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, "opened", f"what its vectors were made with cannot be read ({error})") from error


def _read_fragment(dataset: Any, piece: Any) -> _Fragment:
    scan = {"fragments": [piece], "scan_in_order": True}
    videos = dataset.scanner(columns=VIDEO_COLUMNS, filter="video_id IS NOT NULL", **scan).to_table()
    rows = dataset.scanner(columns=["key", "num_moments"], **scan).to_table()
    return _Fragment(videos, rows.column("key").to_numpy(), rows.column("num_moments").is_valid().to_numpy())


def _vector_batch(batch: Any) -> VectorBatch:
    vectors = batch.column("vector")
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    names = ("key", "start_seconds", "end_seconds")
    keys, starts, ends = (batch.column(name).to_numpy(zero_copy_only=False) for name in names)
    return VectorBatch(keys, starts, ends, flat.reshape(-1, vectors.type.list_size))


def _dropped(view: TableView, keys: npt.NDArray[np.int64], only_videos: bool) -> tuple[list[int], list[Any]]:
    """Ids of the pieces that vanish, and descriptions of those that lose rows."""
    pieces = {piece.fragment_id: piece for piece in view.dataset.get_fragments()}
    removed, updated = [], []
    for (fragment_id, _), fragment in view.fragments.items():
        video_keys = fragment.videos.column("key").to_numpy()
        there = video_keys if only_videos else np.unique(fragment.row_keys)
        gone = there[np.isin(there, keys)]
        if not len(gone):
            continue
        if len(gone) == len(there) and not only_videos:
            removed.append(fragment_id)
            continue
        rows = _among(gone) + (" AND video_id IS NOT NULL" if only_videos else "")
        left = pieces[fragment_id].delete(rows)
        if left is None:
            removed.append(fragment_id)
        else:
            updated.append(left)
    return removed, updated


def _among(keys: Sequence[int] | npt.NDArray[np.int64]) -> str:
    return f"key IN ({', '.join(str(int(key)) for key in keys)})"


def folder_bytes(folder: Path) -> int:
    """Bytes of all files under a folder; those that vanish meanwhile count nothing."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += 0 if file.is_dir() else file.stat().st_size
        except OSError:
            continue
    return total
