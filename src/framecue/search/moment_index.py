"""The moment index: vectors of moments and of whole videos in a folder, searched while it is written."""

import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from framecue.errors import MakerMismatchError, MomentIndexError
from framecue.search.binding import Binding, check_binding, mismatch
from framecue.search.blocks import Candidates
from framecue.search.catalog import Catalog, same_description
from framecue.search.filters import Filter
from framecue.search.lock import WriterLock
from framecue.search.lookup import Snapshot, folder_bytes, load_blocks, search_exactly
from framecue.search.rows import (
    VideoVectors,
    check_items,
    check_metadata,
    check_unit,
    check_video,
    to_table,
    video_rows,
)
from framecue.search.table import TABLE_FOLDER, MomentTable, TableView, has_table
from framecue.types import IndexedVideo, MetadataValue

Level = Literal["moment", "video"]


@dataclass(frozen=True)
class IndexSettings:
    """How much is held in memory, and from when on search is approximate.

    Attributes:
        exact_below: moments; fewer are always compared one by one.
        stale_fraction: of the moments; when more were added or removed since the neighbours were made, they are remade.
        recall_target: recall at 10 that the number of probed cells is chosen for.
        memory_bytes: of vectors held in memory by one process; more are read from the table for each query.
    """

    exact_below: int = 100_000
    stale_fraction: float = 0.1
    recall_target: float = 0.97
    memory_bytes: int = 2**30


@dataclass(frozen=True)
class Hit:
    """A moment, or a whole video, that answers a query. `similarity` is the cosine."""

    video: IndexedVideo
    start_seconds: float
    end_seconds: float
    similarity: float


@dataclass(frozen=True)
class Found:
    """Hits of each query, best first.

    Attributes:
        num_videos: that passed the filter and were searched.
        exact: every vector of these was compared.
    """

    hits: list[list[Hit]]
    num_videos: int
    exact: bool


@dataclass(frozen=True)
class IndexStatus:
    """What an index holds.

    Attributes:
        version: of the table; each commit makes another.
        neighbours: "exact": every vector is compared; "approximate": the neighbour structure is asked; "stale": as
            the structure is lost, damaged or too old, and the next writer or `rebuild` makes it anew.
        recall_at_10: of approximate search, measured when the structure was made; None without one.
        metadata_columns: name to type: "str", "int", "float", "bool", or "mixed".
    """

    path: Path
    binding: Binding
    num_videos: int
    num_moments: int
    total_seconds: float
    size_bytes: int
    version: int
    neighbours: Literal["exact", "approximate", "stale"]
    recall_at_10: float | None
    metadata_columns: Mapping[str, str] = field(default_factory=dict)


class MomentIndex:
    """An index in a folder; make one with `create`, open it with `open`. Threads may share it.

    Readers need no lock: each call is answered from one committed version, the newest when it began. Writing takes an
    exclusive lock for the call, or for all calls inside `writing`.
    """

    def __init__(self, table: MomentTable, settings: IndexSettings) -> None:
        self._table, self.settings = table, settings
        self._lock = WriterLock(table.folder / "writer.lock")
        self._refreshing = threading.Lock()
        self._snapshot: Snapshot | None = None

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
        with self._lock.hold():
            yield

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
            snapshot = self._latest()
            positions = [snapshot.catalog.positions.get(item.video.video_id) for item in items]
            old = [int(snapshot.catalog.keys[position]) for position in positions if position is not None]
            rows = to_table(items, snapshot.view.dataset.schema)
            self._table.commit(snapshot.view, rows, replaced=old)

    def move(self, videos: Mapping[str, IndexedVideo]) -> None:
        """Replaces what is known of videos besides their vectors: path, size, time of change, date, metadata.

        Raises:
            MomentIndexError: one of them is not in the index (nothing was changed).
        """
        for video_id, video in videos.items():
            check_video(video)
            check_metadata(video.metadata, f"video {video.path}")
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
            catalog = self._latest().catalog
            videos = {video_id: catalog.video(self._position(catalog, video_id)) for video_id in metadata}
            for video_id, video in videos.items():
                check_metadata(metadata[video_id], f"video {video.path}")
            self._describe(
                {video_id: replace(video, metadata=dict(metadata[video_id])) for video_id, video in videos.items()}
            )

    def remove(self, video_ids: Iterable[str]) -> int:
        """Removes videos with all their moments in one atomic commit; says how many of these there were."""
        with self.writing():
            snapshot = self._latest()
            positions = {snapshot.catalog.positions.get(video_id) for video_id in video_ids} - {None}
            keys = [int(snapshot.catalog.keys[position]) for position in positions if position is not None]
            if keys:
                self._table.commit(snapshot.view, None, replaced=keys)
            return len(keys)

    def videos(self, where: Filter | None = None) -> list[IndexedVideo]:
        """All videos that pass, in the order of their paths."""
        catalog = self._latest().catalog
        found = [catalog.video(position) for position in np.flatnonzero(catalog.select(where)).tolist()]
        return sorted(found, key=lambda video: (str(video.path), video.video_id))

    def video(self, video_id: str) -> IndexedVideo:
        """
        Raises:
            MomentIndexError: no video with this content is in the index.
        """
        catalog = self._latest().catalog
        return catalog.video(self._position(catalog, video_id))

    def vectors(self, video_id: str) -> VideoVectors:
        """What is stored of one video, as it was rounded to float16.

        Raises:
            MomentIndexError: no video with this content is in the index.
        """
        snapshot = self._latest()
        position = self._position(snapshot.catalog, video_id)
        key = snapshot.catalog.keys[position : position + 1]
        moments = list(snapshot.view.batches("moment", key))
        whole = next(iter(snapshot.view.batches("video", key)))
        return VideoVectors(
            snapshot.catalog.video(position),
            np.concatenate([np.stack([batch.starts, batch.ends], axis=1) for batch in moments]),
            np.concatenate([batch.vectors for batch in moments]).astype(np.float32),
            whole.vectors[0].astype(np.float32),
        )

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
        snapshot = self._latest(level)
        passes = snapshot.catalog.select(where, exclude)
        keys = np.sort(snapshot.catalog.keys[passes])
        best = search_exactly(snapshot, level, queries, top_k, keys)
        return Found(_hits(best, snapshot.catalog, level), int(passes.sum()), True)

    def background(self, n: int = 1000) -> npt.NDArray[np.float32]:
        """Vectors of `n` moments (or all, where there are fewer), evenly spread over the table: [n, D], the same each
        time for one version."""
        snapshot = self._latest()
        count = min(n, snapshot.view.num_moments)
        wanted = np.linspace(0, snapshot.view.num_moments - 1, count).round().astype(np.int64)
        parts, start = [np.zeros((0, self.binding.embed_dim), dtype=np.float32)], 0
        for batch in snapshot.view.batches("moment"):
            inside = wanted[(wanted >= start) & (wanted < start + len(batch))] - start
            parts.append(batch.vectors[inside].astype(np.float32))
            start += len(batch)
        return np.concatenate(parts)

    def status(self) -> IndexStatus:
        """Counts, size and state of the newest version."""
        snapshot = self._latest()
        return IndexStatus(
            path=self.path,
            binding=self.binding,
            num_videos=len(snapshot.catalog),
            num_moments=snapshot.view.num_moments,
            total_seconds=float(snapshot.catalog.durations.sum()),
            size_bytes=folder_bytes(self.path / TABLE_FOLDER),
            version=snapshot.view.version,
            neighbours="exact",
            recall_at_10=None,
            metadata_columns=snapshot.catalog.columns,
        )

    def rebuild(self) -> None:
        """Makes the neighbour structure anew, whether or not it is stale."""

    def optimize(self) -> None:
        """Merges small pieces of the table and drops old versions."""
        with self.writing():
            self._table.compact(keep=timedelta(0))

    def _describe(self, videos: Mapping[str, IndexedVideo]) -> None:
        snapshot = self._latest()
        catalog = snapshot.catalog
        places = {video_id: self._position(catalog, video_id) for video_id in videos}
        places = {
            video_id: place
            for video_id, place in places.items()
            if not same_description(catalog.video(place), videos[video_id])
        }
        if not places:
            return
        keys = catalog.keys[list(places.values())]
        batches = list(snapshot.view.batches("video", keys))
        whole = {int(key): vector for batch in batches for key, vector in zip(batch.keys, batch.vectors, strict=True)}
        rows = video_rows(
            [videos[video_id] for video_id in places],
            keys.tolist(),
            [catalog.num_moments(place) for place in places.values()],
            np.stack([whole[key] for key in keys.tolist()]),
            snapshot.view.dataset.schema,
        )
        self._table.commit(snapshot.view, rows, replaced=keys.tolist(), only_videos=True)

    def _position(self, catalog: Catalog, video_id: str) -> int:
        if video_id not in catalog.positions:
            raise MomentIndexError(f"Moment index {self.path} has no video {video_id!r:.80}; it may have been removed.")
        return catalog.positions[video_id]

    def _checked(self, queries: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        queries = np.atleast_2d(np.ascontiguousarray(queries, dtype=np.float32))
        if queries.ndim != 2 or queries.shape[1] != self.binding.embed_dim:
            raise MomentIndexError(
                f"Moment index {self.path} holds vectors of {self.binding.embed_dim} numbers, the queries are "
                f"{list(queries.shape)}; encode them with the model of the index."
            )
        check_unit(queries, "Queries")
        return queries

    def _latest(self, level: Level | None = None) -> Snapshot:
        """The newest version; with the vectors of `level` in memory where they fit."""
        with self._refreshing:
            known = self._snapshot
            view: TableView = self._table.latest(known.view if known else None)
            if known is None or view is not known.view:
                known = Snapshot(view, Catalog(view.videos), known.blocks if known else {})
                self._snapshot = known = self._with_blocks(known, list(known.blocks))
            if level is not None and level not in known.blocks:
                self._snapshot = known = self._with_blocks(known, [*known.blocks, level])
            return known

    def _with_blocks(self, snapshot: Snapshot, levels: Sequence[str]) -> Snapshot:
        keys = np.sort(snapshot.catalog.keys)
        blocks = {}
        for level in levels:
            known = snapshot.blocks.get(level, ())
            loaded = load_blocks(snapshot.view, level, known, keys, self.settings.memory_bytes)
            if loaded is not None:
                blocks[level] = loaded
        return Snapshot(snapshot.view, snapshot.catalog, blocks)


def _hits(best: Candidates, catalog: Catalog, level: str) -> list[list[Hit]]:
    hits = []
    for scores, keys, starts, ends in zip(best.scores, best.keys, best.starts, best.ends, strict=True):
        found = []
        for score, key, start, end in zip(scores.tolist(), keys.tolist(), starts.tolist(), ends.tolist(), strict=True):
            if key < 0:
                continue
            video = catalog.video(catalog.position_of_key[key])
            if level == "video":
                start, end = 0.0, video.duration_seconds
            found.append(Hit(video, start, end, min(1.0, max(-1.0, score))))
        hits.append(found)
    return hits
