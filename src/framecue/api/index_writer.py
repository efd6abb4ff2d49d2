"""Adding to an index, taking out of it, and bringing it up to date with the disk."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from framecue.api.forget import call_for_purge, purge_if_due
from framecue.api.index_folder import CollectionSettings, read_copies, read_settings, write_copies, write_settings
from framecue.api.index_model import IndexModel
from framecue.api.index_run import IndexRun, IndexSummary
from framecue.api.progress import BuildProgress
from framecue.datasets.video_metadata import Columns, match_metadata
from framecue.errors import DatasetError, MomentIndexError
from framecue.features.sources import all_excluded, no_videos
from framecue.features.store import FeatureStore
from framecue.files import backslash_hint
from framecue.search import MomentIndex
from framecue.search.rows import check_metadata
from framecue.tasks.indexing import Plan
from framecue.tasks.scanning import Scan, Sources, is_as_indexed, is_under, scan, spellings
from framecue.types import IndexedVideo, Skipped
from framecue.video.files import FolderRules
from framecue.video.source import Decoding

OnProgress = Callable[[BuildProgress], None]


class IndexWriter:
    """The one writer of an index; each method holds its lock.

    Args:
        store: features that are taken where they are there.
        on_progress: called from the threads that read, never two at a time.
        stop: set it in another thread to end early.
        decoding: how files are read; None = the usual way.
    """

    def __init__(
        self,
        index: MomentIndex,
        model: IndexModel,
        *,
        store: FeatureStore | None = None,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        decoding: Decoding | None = None,
    ) -> None:
        self._decoding = decoding or Decoding()
        self._index, self._model, self._store = index, model, store
        self._on_progress, self._stop = on_progress, stop

    def add(
        self, starts: Sequence[Path], metadata: Mapping[str, Columns], rules: FolderRules | None = None
    ) -> IndexSummary:
        """
        Args:
            starts: absolute files and folders.
            rules: of what counts in them from now on; what is indexed and does not count any more is dropped.

        Raises:
            DatasetError: one is not there, or a folder holds no video, or none that is not excluded.
            MomentIndexError: another writer is at work, metadata that no index holds, the disk is full.
        """
        for key, columns in metadata.items():
            check_metadata(columns, key)
        with self._writing():
            settings = self._settings()
            named = [start for start in starts if rules is None or not rules.excludes_named(start)]
            if rules is not None and not named:
                raise all_excluded(starts, rules)
            scope = settings.sources.with_added(named, rules)
            found = scan(named, scope)
            _check_found(named, found, scope)
            self._save(replace(settings, sources=scope))

            def is_elsewhere(video: IndexedVideo) -> bool:
                return scope.holds(video.path) and is_as_indexed(video)

            plan = self._plan(found, is_elsewhere)
            return self._run(plan, found, metadata, scope)

    def refresh(self) -> IndexSummary:
        """
        Raises:
            MomentIndexError: another writer is at work, or the disk is full.
        """
        with self._writing():
            settings = self._settings()
            sources = settings.sources
            found = scan([root for root in sources.roots if os.path.lexists(root)], sources)
            unreachable, deleted = missing_roots(sources.roots, found, self._index.videos())
            kept = [item.path for item in unreachable] + found.unreadable
            plan = self._plan(found, lambda video: _is_under_any(video.path, kept))
            summary = self._run(plan, found, {}, sources, drop_gone=True)
            if deleted and not summary.was_stopped:
                self._save(replace(settings, sources=sources.with_removed(deleted)))
            return replace(summary, unreachable=tuple(unreachable))

    def remove(self, wanted: Sequence[Path]) -> int:
        """When it returns, nothing of the removed videos is on disk any more (api.forget).

        Raises:
            MomentIndexError: nothing of a source is in the index, another writer is at work, or the disk is full.
        """
        with self._writing():
            settings = self._settings()
            videos, copies = self._index.videos(), read_copies(self._index.path)
            known = [video.path for video in videos] + list(copies) + list(settings.sources.roots)
            spelled = spellings(wanted, known)
            for source, found in spelled.items():
                if not found:
                    raise MomentIndexError(
                        f"Nothing of {source} is in moment index {self._index.path}{backslash_hint(source)}; "
                        "check the path."
                    )
            wanted = [path for found in spelled.values() for path in found]
            left = {path: copy for path, copy in copies.items() if not _is_under_any(path, wanted)}
            going = {video.video_id: video for video in videos if _is_under_any(video.path, wanted)}
            moved: dict[str, IndexedVideo] = {}
            for path, copy in left.items():
                video = going.get(copy.video_id)
                if video is not None and path.exists():
                    size_bytes, mtime_ns = copy.stamp.size_bytes, copy.stamp.mtime_ns
                    moved[video.video_id] = replace(video, path=path, size_bytes=size_bytes, mtime_ns=mtime_ns)
                    del going[video.video_id]
            call_for_purge(self._index.path)
            self._save(replace(settings, sources=settings.sources.with_removed(wanted)))
            self._index.move(moved)
            count = self._index.remove(going)
            owned = {video.path for video in moved.values()}
            write_copies(self._index.path, {path: copy for path, copy in left.items() if path not in owned})
            return count

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Holds the lock, and at the end forgets what is to be forgotten, also what a killed writer left of that."""
        with self._index.writing():
            yield
            purge_if_due(self._index)

    def _plan(self, found: Scan, is_elsewhere: Callable[[IndexedVideo], bool]) -> Plan:
        return Plan(self._index.videos(), found.files, read_copies(self._index.path), is_elsewhere)

    def _run(
        self, plan: Plan, found: Scan, metadata: Mapping[str, Columns], scope: Sources, *, drop_gone: bool = False
    ) -> IndexSummary:
        started = time.perf_counter()
        columns, unmatched = match_metadata(metadata, found.files)
        run = IndexRun(
            self._index,
            lambda: self._model.encoder,
            plan,
            found.files,
            columns,
            store=self._store,
            on_progress=self._on_progress,
            stop=self._stop,
            decoding=self._decoding,
        )
        is_done = run.run()
        paths = {video.video_id: video.path for video in self._index.videos()}
        gone = [video_id for video_id in plan.gone() if drop_gone or not scope.holds(paths[video_id])]
        dropped = plan.replaced() + gone if is_done else []
        removed = self._index.remove(dropped) if dropped else 0
        annotated = self._annotate(plan, columns)
        self._keep_copies(plan, found, scope)
        return IndexSummary(
            added=run.num_added,
            from_store=run.num_from_store,
            unchanged=len(plan.unchanged) + len(plan.moved) - plan.num_moved,
            copies=len(plan.copies),
            moved=plan.num_moved,
            annotated=annotated,
            removed=removed,
            skipped=(*found.skipped, *run.skipped),
            noted=tuple(run.noted),
            unmatched_metadata=tuple(unmatched),
            num_moments=run.num_moments,
            total_seconds=run.total_seconds,
            elapsed_seconds=time.perf_counter() - started,
            was_stopped=not is_done,
        )

    def _annotate(self, plan: Plan, columns: Mapping[Path, Columns]) -> int:
        """Videos that were indexed before get the columns that are given now beside those they have; how many did."""
        videos = {video.video_id: video for video in self._index.videos()}
        named = {plan.content_of(path): given for path, given in columns.items()}
        wanted = {
            video_id: {**videos[video_id].metadata, **given}
            for video_id, given in named.items()
            if video_id in videos and {**videos[video_id].metadata, **given} != videos[video_id].metadata
        }
        if wanted:
            self._index.annotate(wanted)
        return len(wanted)

    def _keep_copies(self, plan: Plan, found: Scan, scope: Sources) -> None:
        indexed = {video.video_id for video in self._index.videos()}
        unseen = {path: copy for path, copy in read_copies(self._index.path).items() if path not in found.files}
        known = {**unseen, **plan.copies}
        copies = {path: copy for path, copy in known.items() if copy.video_id in indexed and scope.holds(path)}
        write_copies(self._index.path, copies)

    def _settings(self) -> CollectionSettings:
        return read_settings(self._index.path)  # as another process may have left them

    def _save(self, settings: CollectionSettings) -> None:
        write_settings(self._index.path, settings)


def missing_roots(
    roots: Iterable[Path], found: Scan, indexed: Sequence[IndexedVideo]
) -> tuple[list[Skipped], list[Path]]:
    """Roots that are gone, empty or files though videos in them are indexed, with reasons; and deleted single files.

    A single file that is gone while its folder is there was deleted. A folder that is gone, or holds nothing any more,
    may be a disk that is not mounted.
    """
    unreachable, deleted = [], []
    for root in roots:
        held = [video for video in indexed if is_under(video.path, root)]
        lost_all = not any(is_under(path, root) for path in found.files)
        became_file = root.is_file() and all(video.path != root for video in held)
        if not held or not (lost_all or became_file) or _is_under_any(root, found.unreadable):
            continue
        if not os.path.lexists(root) and root.parent.is_dir() and all(video.path == root for video in held):
            deleted.append(root)
            continue
        what = "it holds no video any more" if root.is_dir() else "it is not there"
        what = "it is a file now, and was a folder" if became_file else what
        unreachable.append(
            Skipped(
                root,
                f"{what}, and its {len(held)} indexed videos are kept, as a disk may not be mounted; drop them with: "
                f"framecue index remove {root}",
            )
        )
    return unreachable, deleted


def _check_found(starts: Sequence[Path], found: Scan, scope: Sources) -> None:
    for start in starts:
        if not os.path.lexists(start):
            raise DatasetError(f"Source {start} is not there{backslash_hint(start)}; check the path.")
        told = [path for path in (*found.files, *(item.path for item in found.skipped)) if is_under(path, start)]
        if not told and start.is_dir():
            raise no_videos(start, scope.rules_of(start))


def _is_under_any(path: Path, folders: Iterable[Path]) -> bool:
    return any(is_under(path, folder) for folder in folders)
