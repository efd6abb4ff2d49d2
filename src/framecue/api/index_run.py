"""One pass of a writer over files: read side by side, committed as the run goes, ended early without loss."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from framecue.api.progress import BuildProgress, Tracker
from framecue.errors import VideoError
from framecue.features.identity import hash_file
from framecue.features.store import FeatureStore
from framecue.search import MomentIndex, VideoVectors
from framecue.tasks.indexing import Plan, Stamp, Verdict
from framecue.tasks.moments import MomentEncoder, MomentVectors
from framecue.tasks.streaming import as_chunks
from framecue.types import IndexedVideo, MetadataValue, Noted, Skipped
from framecue.video.recorded import date_of
from framecue.video.source import Decoding

_COMMIT_VIDEOS, _COMMIT_SECONDS = 64, 5.0
_POLL_SECONDS = 0.2
_MAX_WORKERS = 8


@dataclass(frozen=True)
class IndexSummary:
    """What became of the files.

    Attributes:
        added: videos that are new in the index; `from_store`: of these, those that were not decoded.
        unchanged: videos that are where they were; `copies`: further files with the content of a video that is indexed.
        moved: videos found under another path, by their content; not encoded again.
        annotated: videos that were there and got other metadata.
        removed: videos dropped, because their file holds something else now or is gone.
        skipped: files, links and folders that were left out, each with the reason.
        noted: what a user should know of how added videos were read.
        unreachable: roots that are not there; what is indexed under them was kept.
        unmatched_metadata: what names no file, or several.
        num_moments, total_seconds: of the added videos.
        was_stopped: it ended early; the rest is left for the next run.
    """

    added: int = 0
    from_store: int = 0
    unchanged: int = 0
    copies: int = 0
    moved: int = 0
    annotated: int = 0
    removed: int = 0
    skipped: Sequence[Skipped] = ()
    noted: Sequence[Noted] = ()
    unreachable: Sequence[Skipped] = ()
    unmatched_metadata: Sequence[Skipped] = ()
    num_moments: int = 0
    total_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    was_stopped: bool = False


@dataclass(frozen=True, eq=False)
class _Settled:
    """A file is dealt with: its content is known (`verdict`), and where that is new, so are its vectors."""

    path: Path
    verdict: Verdict
    vectors: VideoVectors | None = None


@dataclass(frozen=True)
class _Failed:
    path: Path
    reason: str
    video_id: str | None = None


@dataclass(frozen=True)
class _Crashed:
    error: BaseException


class _WorkerDone:
    pass


class _StoppedError(Exception):
    pass


_Message = _Settled | _Failed | _Crashed | _WorkerDone


@dataclass
class IndexRun:
    """Reads the pending files of a plan and keeps the index in step.

    Args:
        encoder: loads the model; called when the first new content is met.
        metadata: columns for new videos, by path.
        store: features that are taken where they are there.
        stop: set it to end early.
        decoding: how files are read; a video that was there keeps its stream.

    Attributes:
        skipped: files that could not be read.
        noted: what a user should know of how the others were read.
        num_added, num_moments, total_seconds: of what was committed.
        num_from_store: contents that were not decoded.
    """

    index: MomentIndex
    encoder: Callable[[], MomentEncoder]
    plan: Plan
    files: Mapping[Path, Stamp]
    metadata: Mapping[Path, Mapping[str, MetadataValue]]
    store: FeatureStore | None = None
    on_progress: Callable[[BuildProgress], None] | None = None
    stop: threading.Event | None = None
    decoding: Decoding = field(default_factory=Decoding)
    skipped: list[Skipped] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    num_added: int = 0
    num_from_store: int = 0
    num_moments: int = 0
    total_seconds: float = 0.0

    def __post_init__(self) -> None:
        sizes = {path: self.files[path].size_bytes for path in self.plan.pending}
        num_settled = len(self.files) - len(sizes)
        self._tracker = Tracker(self.index.path, sizes, num_settled, self.on_progress)
        self._messages: queue.Queue[_Message] = queue.Queue(maxsize=2 * _MAX_WORKERS)
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._paths = iter(self.plan.pending)
        self._finished: list[VideoVectors] = []
        self._described: set[str] = set()
        self._last_commit = time.monotonic()

    def run(self) -> bool:
        """Works through all files; False if it was stopped before. Whatever happens, what is finished is committed."""
        workers = self._start() if self.plan.pending else []
        try:
            for message in self._receive(len(workers)):
                self._handle(message)
        finally:
            self._ending.set()
            self._drain(workers)
            try:
                self._commit()
            finally:
                self._tracker.close()
        return not self._is_stopped()

    def _start(self) -> list[threading.Thread]:
        count = min(max((os.cpu_count() or 1) - 1, 1), _MAX_WORKERS, len(self.plan.pending))
        threads_each = max(1, torch.get_num_threads() // count)
        workers = [
            threading.Thread(target=self._work, args=(threads_each,), name=f"framecue-indexer-{i}", daemon=True)
            for i in range(count)
        ]
        for worker in workers:
            worker.start()
        return workers

    def _receive(self, working: int) -> Iterator[_Settled | _Failed]:
        while working:
            try:
                message = self._messages.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(message, _Crashed):
                raise message.error
            if isinstance(message, _WorkerDone):
                working -= 1
            else:
                yield message

    def _drain(self, workers: Sequence[threading.Thread]) -> None:
        """Waits for the workers, and takes what they had finished by then."""
        while any(worker.is_alive() for worker in workers) or not self._messages.empty():
            try:
                message = self._messages.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(message, _Settled) and message.vectors is not None:
                self._finished.append(message.vectors)

    def _handle(self, message: _Settled | _Failed) -> None:
        if isinstance(message, _Failed):
            with self._lock:
                same = self.plan.give_up(message.video_id) if message.video_id else []
            self.skipped += [Skipped(path, message.reason) for path in (message.path, *same)]
        elif message.vectors is not None:
            self._finished.append(message.vectors)
            self.noted += [Noted(message.path, sentence) for sentence in message.vectors.video.notes]
        waited = time.monotonic() - self._last_commit
        if len(self._finished) >= _COMMIT_VIDEOS or (waited >= _COMMIT_SECONDS):
            self._commit()

    def _commit(self) -> None:
        self._last_commit = time.monotonic()
        with self._lock:
            moved = {video_id: video for video_id, video in self.plan.moved.items() if video_id not in self._described}
        if moved:
            self.index.move(moved)
            self._described |= set(moved)
        if self._finished:
            self.index.add(self._finished)
            self.num_added += len(self._finished)
            self.num_moments += sum(len(item.spans) for item in self._finished)
            self.total_seconds += sum(item.video.duration_seconds for item in self._finished)
            self._finished = []

    def _is_stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def _is_ending(self) -> bool:
        return self._ending.is_set() or self._is_stopped()

    def _work(self, num_threads: int) -> None:
        # Videos are read side by side; as many threads for each of them would only get in each other's way.
        torch.set_num_threads(num_threads)
        try:
            while not self._is_ending():
                with self._lock:
                    path = next(self._paths, None)
                if path is None:
                    break
                self._read(path)
        except _StoppedError:
            pass
        except BaseException as error:
            self._messages.put(_Crashed(error))
            return
        self._messages.put(_WorkerDone())

    def _read(self, path: Path) -> None:
        video_id, video_seconds = None, 0.0
        try:
            stamp = _stamp(path)
            video_id = hash_file(path, stop=lambda: self._heard(path))
            self._check_stop()
            with self._lock:
                verdict = self.plan.settle(path, video_id, stamp)
            vectors = None
            if verdict == "new":
                with self._lock:
                    before = self.plan.video_before(path)
                decoding = self.decoding
                if decoding.stream is None and before is not None:
                    decoding = replace(decoding, stream=before.stream_index)
                moments = self._moments(path, video_id, decoding)
                if _stamp(path) != stamp:
                    raise VideoError(f"{path}: the file changed while it was read; run again when it is complete")
                known = {} if before is None else before.metadata
                vectors = self._describe(path, video_id, stamp, moments, known, decoding.stream)
                video_seconds = moments.duration_seconds
            message: _Message = _Settled(path, verdict, vectors)
        except VideoError as error:
            message = _Failed(path, Skipped.because(path, error).reason, video_id)
        except OSError as error:
            message = _Failed(path, f"the file cannot be read: {error.strerror or error}", video_id)
        self._messages.put(message)
        with self._lock:
            self._tracker.finished(path, video_seconds)

    def _moments(self, path: Path, video_id: str, decoding: Decoding) -> MomentVectors:
        encoder = self.encoder()
        if self.store is None or decoding.stream is not None or not self.store.contains(video_id):
            return encoder.video(path, on_progress=lambda *seconds: self._encoded(path, *seconds), decoding=decoding)
        features = self.store.get(video_id)
        moments = encoder.stream(as_chunks(features), features.duration_seconds, name=str(path))
        with self._lock:
            self.num_from_store += 1
        return replace(moments, origin_seconds=features.origin_seconds, notes=tuple(features.notes))

    def _describe(
        self,
        path: Path,
        video_id: str,
        stamp: Stamp,
        moments: MomentVectors,
        known: Mapping[str, MetadataValue],
        stream_index: int | None,
    ) -> VideoVectors:
        metadata = {**known, **self.metadata.get(path, {})}
        video = IndexedVideo(
            video_id,
            path,
            stamp.size_bytes,
            stamp.mtime_ns,
            moments.duration_seconds,
            date_of(path, stamp.mtime_ns),
            metadata,
            moments.origin_seconds,
            stream_index,
            moments.notes,
        )
        return VideoVectors(video, moments.spans, moments.vectors, moments.whole)

    def _heard(self, path: Path) -> bool:
        """Called for each block of a file that is being hashed."""
        with self._lock:
            self._tracker.reading(path)
        return self._is_ending()

    def _encoded(self, path: Path, done_seconds: float, duration_seconds: float | None) -> None:
        with self._lock:
            self._tracker.reading(path, done_seconds, duration_seconds)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._is_ending():
            raise _StoppedError


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns)
