"""Frame features on disk: one Lance table in one folder, one row per video, all of one maker."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import lance
import pyarrow.compute as pc

from framecue.errors import MakerMismatchError, StoreError
from framecue.features.identity import FileStamp, hash_file, path_text, stamp_file
from framecue.features.store_errors import heed_interrupt, lance_errors, mismatch, retrying
from framecue.features.store_rows import (
    FEATURE_COLUMNS,
    IDENTITY_COLUMNS,
    StoredVideo,
    read_maker,
    table_schema,
    to_features,
    to_table,
)
from framecue.types import FrameFeatures, Maker

__all__ = ["FeatureStore", "StoreInfo", "StoredVideo"]

_ROWS_PER_FRAGMENT = 1024
"""Compaction rewrites the last, incomplete fragment: enough rows to be few files, few enough to be cheap."""
_ROWS_PER_READ = 64
"""Rows of features held at a time while compacting or reading."""

T = TypeVar("T")


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds. `embed_dim` is 0 while it is empty."""

    path: Path
    maker: Maker
    num_videos: int
    num_frames: int
    embed_dim: int
    size_bytes: int


class FeatureStore:
    """Frame features of many videos, keyed by the hash of each file's content; open with `open` or `read_only`.

    Each commit is atomic: a reader, and whoever comes after a crash, sees whole videos only. Several processes may
    append at once; a video that two of them stored is there twice, with the same features, and read once.
    """

    def __init__(self, path: Path, dataset: Any, maker: Maker) -> None:
        self.path, self.maker = path, maker
        self._dataset = dataset
        self._hash_of_stamp: dict[FileStamp, str] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], maker: Maker) -> "FeatureStore":
        """Opens a store to read and append, and creates it where there is none.

        Raises:
            MakerMismatchError: the store there holds features of another maker.
            StoreError: the path is something else than a store, or the store is damaged.
        """
        path = Path(path)
        if not _has_table(path):
            _create(path, maker)
        store = cls.read_only(path)
        if store.maker.difference(maker):
            raise MakerMismatchError(mismatch(path, store.maker, maker))
        return store

    @classmethod
    def read_only(cls, path: str | os.PathLike[str]) -> "FeatureStore":
        """Opens a store that exists, whoever made it.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        path = Path(path)
        if not _has_table(path):
            raise StoreError(f"Feature store {path} is not there; make it with: framecue extract SOURCE --store {path}")
        with lance_errors(path, "opened"):
            dataset = _open_table(path)
            return cls(path, dataset, read_maker(path, dataset.schema.metadata or {}))

    def contains(self, content_hash: str) -> bool:
        """Whether the features of a file with this content are stored."""
        return bool(self.among([content_hash]))

    def among(self, content_hashes: Iterable[str]) -> set[str]:
        """Those of the hashes that are stored by now, by whichever process."""
        wanted = set(content_hashes)
        stored: set[str] = set()
        self._refresh()
        for chunk in _chunks(sorted(wanted), 1024):
            table = self._read(["content_hash"], _hash_filter(chunk))
            stored.update(table.column("content_hash").to_pylist())
        return stored

    def lookup(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Content hashes of the files that are stored under this very path, size and modification time.

        No file is opened and the table is read through once, so this stays quick for very many files.
        """
        stamps = {path: stamp for path in paths if (stamp := _stamp_or_none(path)) is not None}
        wanted = {stamp.path_text: stamp for stamp in stamps.values()}
        if not wanted:
            return {}

        def scan(dataset: Any) -> dict[FileStamp, str]:
            found = {}
            for batch in dataset.to_batches(columns=IDENTITY_COLUMNS):
                for content_hash, text, size, mtime in zip(*(column.to_pylist() for column in batch), strict=True):
                    if wanted.get(text) == (stamp := FileStamp(text, size, mtime)):
                        found[stamp] = content_hash
            return found

        found = self._reading(scan)
        return {path: found[stamp] for path, stamp in stamps.items() if stamp in found}

    def resolve(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Content hashes of the files whose features are stored, under this path or, by content, under any other.

        A file that is gone is known by its path alone. Files without features are left out.
        """
        paths = list(paths)
        known = self.lookup(paths)
        rest = [path for path in paths if path not in known]
        hashes = {path: content_hash for path in rest if (content_hash := self._hash(path)) is not None}
        stored = self.among(hashes.values())
        known.update({path: content_hash for path, content_hash in hashes.items() if content_hash in stored})
        return known | self._gone([path for path in rest if path not in hashes and not path.exists()])

    def get(self, content_hash: str) -> FrameFeatures:
        """Features of one video.

        Raises:
            StoreError: nothing is stored for this content.
        """
        return self.get_many([content_hash])[0]

    def get_many(self, content_hashes: Sequence[str]) -> list[FrameFeatures]:
        """Features of these contents, in this order.

        Raises:
            StoreError: nothing is stored for one of them.
        """
        found = self._fetch(set(content_hashes))
        if len(found) < len(set(content_hashes)):  # another process may have stored the rest since this was opened
            self._refresh()
            found |= self._fetch(set(content_hashes) - set(found))
        absent = [content_hash for content_hash in content_hashes if content_hash not in found]
        if absent:
            raise StoreError(
                f"Feature store {self.path} lacks {len(absent)} of the {len(content_hashes)} videos asked for "
                f"(content {absent[0][:12]}...); extract them first: framecue extract SOURCE --store {self.path}"
            )
        return [found[content_hash] for content_hash in content_hashes]

    def shown_spans(self, content_hashes: Iterable[str]) -> dict[str, tuple[float, float]]:
        """When the first stored frame of each of these contents appears and when the video ends, in seconds."""
        found: dict[str, tuple[float, float]] = {}
        for chunk in _chunks(sorted(set(content_hashes)), _ROWS_PER_READ):
            table = self._read(["content_hash", "pts_seconds", "duration_seconds"], _hash_filter(chunk))
            first = pc.list_element(table.column("pts_seconds"), 0).to_pylist()
            ends = table.column("duration_seconds").to_pylist()
            found.update(zip(table.column("content_hash").to_pylist(), zip(first, ends, strict=True), strict=True))
        return found

    def for_paths(self, paths: Iterable[Path]) -> dict[Path, FrameFeatures]:
        """Features of these files; files without any are left out. All are held in memory: `resolve` once and
        `get_many` in parts where they are many."""
        hashes = self.resolve(paths)
        return dict(zip(hashes, self.get_many(list(hashes.values())), strict=True))

    def append(self, videos: Sequence[StoredVideo]) -> None:
        """Adds videos in one atomic commit: all of them or none.

        Raises:
            StoreError: the disk is full or cannot be written; what was committed before is kept.
        """
        if not videos:
            return
        table = to_table(videos, self._dataset.schema)
        with lance_errors(self.path, "written"):
            self._dataset = retrying(lambda: lance.write_dataset(table, _uri(self.path), mode="append"))

    def compact(self) -> None:
        """Merges the many small pieces that commits leave, and drops what is no longer needed. For the end of a run.

        Raises:
            StoreError: the disk is full or cannot be written; every stored video is kept.
        """
        with lance_errors(self.path, "compacted"):
            retrying(lambda: _compact(self.path))
            self._dataset = _open_table(self.path)

    def info(self) -> StoreInfo:
        """Counts over the whole table."""
        table = self._read(["content_hash", "num_frames", "embed_dim"])
        first = dict(zip(table.column("content_hash").to_pylist(), table.column("num_frames").to_pylist(), strict=True))
        return StoreInfo(
            path=self.path,
            maker=self.maker,
            num_videos=len(first),
            num_frames=sum(first.values()),
            embed_dim=pc.max(table.column("embed_dim")).as_py() or 0,
            size_bytes=_folder_bytes(self.path),
        )

    def _fetch(self, content_hashes: set[str]) -> dict[str, FrameFeatures]:
        found: dict[str, FrameFeatures] = {}
        for chunk in _chunks(sorted(content_hashes), _ROWS_PER_READ):
            for batch in self._read(FEATURE_COLUMNS, _hash_filter(chunk)).to_batches():
                found.update(to_features(batch))
        return found

    def _refresh(self) -> None:
        with lance_errors(self.path, "read"):
            self._reopen()

    def _read(self, columns: list[str], row_filter: str | None = None) -> Any:
        return self._reading(lambda dataset: dataset.to_table(columns=columns, filter=row_filter))

    def _reading(self, read: Callable[[Any], T]) -> T:
        with lance_errors(self.path, "read"):
            try:
                return read(self._dataset)
            except (OSError, ValueError, RuntimeError) as error:
                heed_interrupt(error)
                # Another process may have compacted the table and dropped this version; the latest has the same rows.
                return retrying(lambda: read(self._reopen()))

    def _reopen(self) -> Any:
        self._dataset = _open_table(self.path)
        return self._dataset

    def _hash(self, path: Path) -> str | None:
        stamp = _stamp_or_none(path)
        if stamp is None:
            return None
        if stamp not in self._hash_of_stamp:
            try:
                self._hash_of_stamp[stamp] = hash_file(path)
            except OSError:
                return None
        return self._hash_of_stamp[stamp]

    def _gone(self, paths: Sequence[Path]) -> dict[Path, str]:
        texts = {path_text(path): path for path in paths}
        if not texts:
            return {}
        table = self._read(["content_hash", "path"])
        rows = zip(table.column("content_hash").to_pylist(), table.column("path").to_pylist(), strict=True)
        return {texts[text]: content_hash for content_hash, text in rows if text in texts}


def _uri(path: Path) -> str:
    return os.path.abspath(path)


def _folder_bytes(path: Path) -> int:
    stamps = (_stamp_or_none(file) for file in path.rglob("*") if not file.is_dir())
    return sum(stamp.size_bytes for stamp in stamps if stamp is not None)


def _open_table(path: Path) -> Any:
    return retrying(lambda: lance.dataset(_uri(path)))


def _compact(path: Path) -> None:
    dataset = _open_table(path)
    try:
        dataset.optimize.compact_files(
            target_rows_per_fragment=_ROWS_PER_FRAGMENT, batch_size=_ROWS_PER_READ, num_threads=1
        )
    except (OSError, ValueError, RuntimeError) as error:
        if "conflict" in str(error).lower():  # another process is at it
            return
        raise
    dataset.cleanup_old_versions(older_than=timedelta(0))


def _has_table(path: Path) -> bool:
    """Whether a table is there; False means that one can be created.

    Raises:
        StoreError: the path is taken by something else, which is left alone.
    """
    if not os.path.lexists(path):
        return False
    taken = f"{path} exists and is no feature store, nothing in it was touched; name another folder."
    if not path.is_dir():
        raise StoreError(taken)
    if any(path.glob("_versions/*.manifest")):
        return True
    files = (file.relative_to(path) for file in path.rglob("*") if not file.is_dir())
    # Only these two folders can be there when a creation was killed before its commit.
    if any(file.parts[0] not in ("_versions", "_transactions") for file in files):
        raise StoreError(taken)
    return False


def _create(path: Path, maker: Maker) -> None:
    schema = table_schema(maker)
    with lance_errors(path, "created"):
        try:
            lance.write_dataset(schema.empty_table(), _uri(path), schema=schema, mode="create")
        except OSError:
            if not _has_table(path):  # else another process was quicker
                raise


def _hash_filter(content_hashes: Sequence[str]) -> str:
    quoted = ", ".join("'" + content_hash.replace("'", "''") + "'" for content_hash in content_hashes)
    return f"content_hash IN ({quoted})"


def _stamp_or_none(path: Path) -> FileStamp | None:
    try:
        return stamp_file(path)
    except (OSError, ValueError):
        return None


def _chunks(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))
