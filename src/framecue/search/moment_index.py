"""The moment index: vectors of moments and of whole videos in a folder, searched while it is written."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from framecue.errors import MakerMismatchError, MomentIndexError
from framecue.features.store_errors import retrying
from framecue.search.answers import Found, Hit, IndexSettings, IndexStatus, Level
from framecue.search.binding import Binding, check_binding, mismatch
from framecue.search.blocks import Candidates
from framecue.search.catalog import Catalog, same_description
from framecue.search.filters import Filter
from framecue.search.lock import LOCK_FILE, WriterLock
from framecue.search.lookup import Snapshot, find
from framecue.search.neighbours import NEIGHBOURS_FOLDER, build, drop_neighbours
from framecue.search.reader import SnapshotReader
from framecue.search.rows import (
    VideoVectors,
    check_items,
    check_metadata,
    check_unit,
    check_video,
    to_table,
    video_rows,
)
from framecue.search.sample import draw_sample
from framecue.search.table import TABLE_FOLDER, MomentTable, folder_bytes, has_table
from framecue.search.trouble import table_errors
from framecue.types import IndexedVideo, MetadataValue

T = TypeVar("T")

_GROWTH_IN_BLOCK = 1.0
"""Stale fraction at which the neighbour structure is remade before a long `writing` block ends."""


class MomentIndex:
    """An index in a folder; make one with `create`, open it with `open`. Threads may share it.

    Readers need no lock: each call is answered from one committed version, the newest when it began. Writing takes an
    exclusive lock for the call, or for all calls inside `writing`.
    """

    def __init__(self, table: MomentTable, settings: IndexSettings) -> None:
        self._table, self.settings = table, settings
        self._lock = WriterLock(table.folder / LOCK_FILE)
        self._neighbours_folder = table.folder / NEIGHBOURS_FOLDER
        self._reader = SnapshotReader(table, self._neighbours_folder, settings)

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], binding: Binding, *, settings: IndexSettings | None = None
    ) -> "MomentIndex":
        """Makes an empty index; the folder may hold other files.

        Raises:
            MomentIndexError: there is an index already, or the folder cannot be written.
        """
        folder = Path(path)
        check_binding(binding)
        has_table(folder)
        with table_errors(folder, "created"):
            folder.mkdir(parents=True, exist_ok=True)
        with WriterLock(folder / LOCK_FILE).hold():
            if has_table(folder):
                raise MomentIndexError(f"Moment index {folder} is there already; open it, or name another folder.")
            return cls(MomentTable.create(folder, binding), settings or IndexSettings())

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, binding: Binding | None = None, settings: IndexSettings | None = None
    ) -> "MomentIndex":
        """Opens an index that exists.

        Raises:
            MomentIndexError: there is none, or it is damaged.
            MakerMismatchError: `binding` is given, and the vectors there were made with something else.
        """
        folder = Path(path)
        if not has_table(folder):
            raise MomentIndexError(f"There is no moment index in {folder}; make one with: framecue index add VIDEOS.")
        table = MomentTable.open(folder)
        if binding is not None and table.binding.difference(binding):
            raise MakerMismatchError(mismatch(folder, table.binding, binding))
        return cls(table, settings or IndexSettings())

    @property
    def path(self) -> Path:
        return self._table.folder

    @property
    def binding(self) -> Binding:
        return self._table.binding

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the lock of the one writer over several calls, and tidies up at the end.

        Raises:
            MomentIndexError: another writer holds it.
        """
        with self._lock.hold() as outermost:
            yield
            if outermost:
                self._tidy(self.settings.stale_fraction)

    def add(self, items: Sequence[VideoVectors]) -> None:
        """Adds videos in one atomic commit; one whose video_id is there already is replaced.

        Raises:
            MomentIndexError: an item cannot be indexed (nothing was added), another writer is at work, or the
                disk is full.
        """
        items = list(items)
        check_items(items, self.binding.embed_dim)
        if not items:
            return
        with self.writing():
            snapshot = self._reader.latest()
            old = _keys(snapshot.catalog, [item.video.video_id for item in items])
            rows = to_table(items, snapshot.view.dataset.schema)
            self._table.commit(snapshot.view, rows, replaced=old)
            if self._table.is_untidy() or self._outgrown(_GROWTH_IN_BLOCK):
                self._tidy(_GROWTH_IN_BLOCK)

    def move(self, videos: Mapping[str, IndexedVideo]) -> None:
        """Replaces what is known of videos besides their vectors: path, size, time of change, date, metadata.

        Raises:
            MomentIndexError: one of them is not in the index (nothing was changed).
        """
        for video_id, video in videos.items():
            check_video(video)
            if video.video_id != video_id:
                raise MomentIndexError(f"Video {video.path} cannot take the place of one with another content.")
        with self.writing():
            self._describe(videos)

    def annotate(self, metadata: Mapping[str, Mapping[str, MetadataValue]]) -> None:
        """Replaces the metadata of videos, by video_id.

        Raises:
            MomentIndexError: one of them is not in the index, or a value is none of a metadata column.
        """
        with self.writing():
            catalog = self._reader.latest().catalog
            videos = dict(zip(metadata, catalog.videos(self._places(catalog, metadata)), strict=True))
            for video_id, video in videos.items():
                check_metadata(metadata[video_id], f"video {video.path}")
            self._describe(
                {video_id: replace(video, metadata=dict(metadata[video_id])) for video_id, video in videos.items()}
            )

    def remove(self, video_ids: Iterable[str]) -> int:
        """Removes videos with all their moments in one atomic commit; says how many of these there were."""
        with self.writing():
            snapshot = self._reader.latest()
            keys = _keys(snapshot.catalog, video_ids)
            if keys:
                self._table.commit(snapshot.view, None, replaced=keys)
            return len(keys)

    def videos(self, where: Filter | None = None) -> list[IndexedVideo]:
        """All videos that pass, in the order of their paths."""
        catalog = self._reader.latest().catalog
        found = catalog.videos(catalog.places(catalog.select(where)))
        return sorted(found, key=lambda video: (str(video.path), video.video_id))

    def video(self, video_id: str) -> IndexedVideo:
        """
        Raises:
            MomentIndexError: no video with this content is in the index.
        """
        catalog = self._reader.latest().catalog
        return catalog.videos(self._places(catalog, [video_id]))[0]

    def vectors(self, video_id: str) -> VideoVectors:
        """What is stored of one video, as it was rounded to float16.

        Raises:
            MomentIndexError: no video with this content is in the index.
        """

        def read(snapshot: Snapshot) -> VideoVectors:
            place = self._places(snapshot.catalog, [video_id])
            key = snapshot.catalog.keys[place]
            moments = list(snapshot.view.batches("moment", key))
            whole = next(iter(snapshot.view.batches("video", key)))
            return VideoVectors(
                snapshot.catalog.videos(place)[0],
                np.concatenate([np.stack([batch.starts, batch.ends], axis=1) for batch in moments]),
                np.concatenate([batch.vectors for batch in moments]).astype(np.float32),
                whole.vectors[0].astype(np.float32),
            )

        return self._reading(read)

    def search(
        self,
        queries: npt.NDArray[np.float32],
        *,
        top_k: int,
        where: Filter | None = None,
        level: Level = "moment",
        exact: bool | None = None,
        exclude: Collection[str] = (),
    ) -> Found:
        """The most similar moments or whole videos.

        Args:
            queries: [Q, D], of unit length.
            top_k: hits per query; fewer where fewer pass the filter.
            exact: True compares every vector; None and False ask the neighbour structure where that
                pays.
            exclude: video_ids that are left out.

        Raises:
            MomentIndexError: queries of another size or length, a `top_k` below 1, a filter that cannot be applied.
        """
        queries = self._checked(queries)
        if top_k < 1:
            raise MomentIndexError(f"top_k is {top_k}; ask for at least 1 hit.")

        def ask(snapshot: Snapshot) -> Found:
            keys = snapshot.catalog.select(where, exclude)
            best, compared_all = find(
                snapshot, level, queries, top_k, keys, exact=bool(exact), exact_below=self.settings.exact_below
            )
            return Found(_hits(best, snapshot.catalog, level), len(keys), compared_all)

        return self._reading(ask, level)

    def background(self, n: int = 1000) -> npt.NDArray[np.float32]:
        """A sample of `n` moments, or all where there are fewer, spread evenly over videos and over each one's time.

        The videos are those with the lowest keys, which are hashes, so that it is the same each time for one version,
        is little changed by a few videos that come or go, and few videos are read.

        Returns:
            [n, D].
        """

        def read(snapshot: Snapshot) -> npt.NDArray[np.float32]:
            counts = snapshot.catalog.num_moments[snapshot.catalog.places(snapshot.catalog.sorted_keys)]
            return draw_sample(snapshot.view, snapshot.catalog.sorted_keys, counts, n).astype(np.float32)

        return self._reading(read)

    def status(self) -> IndexStatus:
        """Counts, size and state of the newest version."""
        snapshot = self._reader.latest()
        state = self._state(snapshot)
        return IndexStatus(
            path=self.path,
            binding=self.binding,
            num_videos=len(snapshot.catalog),
            num_moments=snapshot.view.num_moments,
            total_seconds=float(snapshot.catalog.durations.sum()),
            size_bytes=folder_bytes(self.path / TABLE_FOLDER) + folder_bytes(self._neighbours_folder),
            version=snapshot.view.version,
            neighbours=state,
            recall_at_10=None if snapshot.neighbours is None else snapshot.neighbours.stamp.recall_at_10,
            metadata_columns=snapshot.catalog.columns,
        )

    def rebuild(self) -> None:
        """Makes the neighbour structure anew, whether or not it is stale; where there are few moments, drops it.

        Raises:
            MomentIndexError: another writer is at work, or the disk is full (the old structure is kept).
        """
        with self._lock.hold():
            view = self._reader.latest().view
            if view.num_moments < self.settings.exact_below:
                drop_neighbours(self._neighbours_folder)
                return
            target = self.settings.recall_target
            with table_errors(self.path, "read"):
                build(self._neighbours_folder, view, table_id=self._table.table_id, recall_target=target)

    def purge(self) -> None:
        """Leaves nothing on disk, in any version or file, of videos that were removed, moved, annotated or replaced.

        Raises:
            MomentIndexError: another writer is at work, or the disk is full (what is removed stays out of all answers).
        """
        with self._lock.hold():
            self._table.purge()
            snapshot = self._reader.latest()
            if snapshot.neighbours is not None and snapshot.neighbours.num_stale(snapshot.catalog.sorted_keys):
                try:
                    self.rebuild()
                except MomentIndexError:
                    drop_neighbours(self._neighbours_folder)
                    raise

    def _tidy(self, stale_fraction: float) -> None:
        if self._table.is_untidy():
            self._table.tidy()
        if self._outgrown(stale_fraction):
            self.rebuild()

    def _outgrown(self, stale_fraction: float) -> bool:
        """Whether the neighbour structure is to be remade, or dropped since few moments are left."""
        snapshot = self._reader.latest()
        if snapshot.view.num_moments < self.settings.exact_below:
            return snapshot.neighbours is not None and snapshot.view.num_moments < self.settings.exact_below // 2
        return snapshot.stale_fraction > stale_fraction or snapshot.neighbours is None

    def _state(self, snapshot: Snapshot) -> Literal["exact", "approximate", "stale"]:
        if snapshot.view.num_moments < self.settings.exact_below:
            return "exact"
        stale = snapshot.neighbours is None or snapshot.stale_fraction > self.settings.stale_fraction
        return "stale" if stale else "approximate"

    def _describe(self, videos: Mapping[str, IndexedVideo]) -> None:
        snapshot = self._reader.latest()
        catalog = snapshot.catalog
        places = self._places(catalog, videos)
        known = zip(videos.values(), catalog.videos(places), strict=True)
        differs = np.array([not same_description(*pair) for pair in known], dtype=bool)
        changed = [video for video, other in zip(videos.values(), differs, strict=True) if other]
        if not changed:
            return
        places = places[differs]
        keys = catalog.keys[places]
        batches = list(snapshot.view.batches("video", keys))
        whole = {int(key): vector for batch in batches for key, vector in zip(batch.keys, batch.vectors, strict=True)}
        rows = video_rows(
            changed,
            keys.tolist(),
            catalog.num_moments[places].tolist(),
            np.stack([whole[key] for key in keys.tolist()]),
            snapshot.view.dataset.schema,
        )
        self._table.commit(snapshot.view, rows, replaced=keys.tolist(), only_videos=True)

    def _places(self, catalog: Catalog, video_ids: Iterable[str]) -> npt.NDArray[np.int64]:
        video_ids = list(video_ids)
        found = catalog.find(video_ids)
        for video_id, place in zip(video_ids, found, strict=True):
            if place is None:
                raise MomentIndexError(
                    f"Moment index {self.path} has no video {video_id!r:.80}; it may have been removed."
                )
        return np.array(found, dtype=np.int64)

    def _checked(self, queries: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        queries = np.atleast_2d(np.ascontiguousarray(queries, dtype=np.float32))
        if queries.ndim != 2 or queries.shape[1] != self.binding.embed_dim:
            raise MomentIndexError(
                f"Moment index {self.path} holds vectors of {self.binding.embed_dim} numbers, the queries are "
                f"{list(queries.shape)}; encode them with the model of the index."
            )
        check_unit(queries, "Queries")
        return queries

    def _reading(self, read: Callable[[Snapshot], T], level: Level | None = None) -> T:
        """A writer may drop the version that is being read: the newest one is there, and is asked instead."""
        with table_errors(self.path, "read"):
            return retrying(lambda: read(self._reader.latest(level)))


def _keys(catalog: Catalog, video_ids: Iterable[str]) -> list[int]:
    """Of those of the videos that are there."""
    return sorted({int(catalog.keys[place]) for place in catalog.find(video_ids) if place is not None})


def _hits(best: Candidates, catalog: Catalog, level: str) -> list[list[Hit]]:
    found = best.keys >= 0
    keys = np.unique(best.keys[found])
    videos = dict(zip(keys.tolist(), catalog.videos(catalog.places(keys)), strict=True))
    hits = []
    for scores, row_keys, starts, ends in zip(best.scores, best.keys, best.starts, best.ends, strict=True):
        row = zip(scores.tolist(), row_keys.tolist(), starts.tolist(), ends.tolist(), strict=True)
        hits.append([_hit(videos[key], level, score, start, end) for score, key, start, end in row if key >= 0])
    return hits


def _hit(video: IndexedVideo, level: str, score: float, start: float, end: float) -> Hit:
    if level == "video":
        start, end = 0.0, video.duration_seconds
    return Hit(video, start, end, min(1.0, max(-1.0, score)))
