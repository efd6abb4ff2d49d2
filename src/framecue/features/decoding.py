"""The decoding half of extraction: threads that have files turned into resized frames, ahead of the encoder but not
far. Each waits for a worker process of its own."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from framecue.errors import VideoError
from framecue.features.identity import FileStamp, hash_file, stamp_file
from framecue.types import FrameBatch, Skipped
from framecue.video.reader import Resize, VideoSummary, read_frames
from framecue.video.sampling import Sampling
from framecue.video.source import Decoding

_POLL_SECONDS = 0.1


@dataclass(frozen=True, eq=False)
class DecodedVideo:
    """A video that is being decoded; the messages about it refer to this object."""

    path: Path
    stamp: FileStamp
    content_hash: str


@dataclass(frozen=True, eq=False)
class Frames:
    """The next frames of a video, uint8 [T, 3, S, S]."""

    video: DecodedVideo
    batch: FrameBatch


@dataclass(frozen=True, eq=False)
class Ended:
    """All frames of a video were sent."""

    video: DecodedVideo
    summary: VideoSummary


@dataclass(frozen=True, eq=False)
class Failed:
    """A video could not be read to its end; `video` is None where not even its content could."""

    path: Path
    reason: str
    video: DecodedVideo | None = None


@dataclass(frozen=True, eq=False)
class Known:
    """The content of this file is stored already."""

    path: Path


@dataclass(frozen=True, eq=False)
class _Crashed:
    error: BaseException


class _WorkerDone:
    pass


Message = Frames | Ended | Failed | Known


class DecoderPool:
    """Threads that decode videos and hand their frames out through a bounded queue; iterate to receive them.

    Bounded are the chunks that wait, whichever videos they are of: neither many videos nor a long one make it grow.
    Content is decoded once at a time: a second file with the content of one in flight waits in `release`.

    Args:
        contains: whether the features of a content are stored.
        resize: brings pictures to the encoder's size.
        num_workers: threads, each with one open video.
        chunk_frames: frames handed over at a time.
        max_chunks: chunks waiting at most.
        decoding: how files are read; None = the usual way.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        sampling: Sampling,
        *,
        contains: Callable[[str], bool],
        resize: Resize,
        num_workers: int,
        chunk_frames: int,
        max_chunks: int,
        decoding: Decoding | None = None,
    ) -> None:
        self._paths = iter(paths)
        self._sampling, self._contains, self._chunk_frames = sampling, contains, chunk_frames
        self._resize, self._decoding = resize, decoding
        self._messages: queue.Queue[Message | _Crashed | _WorkerDone] = queue.Queue(maxsize=max_chunks)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._same_content: dict[str, list[Path]] = {}
        self._threads = [
            threading.Thread(target=self._work, name=f"framecue-decoder-{i}", daemon=True) for i in range(num_workers)
        ]

    def __enter__(self) -> "DecoderPool":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[Message]:
        """Messages until every file is dealt with; those about one video come in order.

        Raises whatever unforeseen a thread raised.
        """
        working = len(self._threads)
        while working:
            message = self._messages.get()
            if isinstance(message, _Crashed):
                raise message.error
            if isinstance(message, _WorkerDone):
                working -= 1
            else:
                yield message

    def release(self, video: DecodedVideo) -> list[Path]:
        """Ends the claim on a content, once it is stored or given up: other files that turned out to have it."""
        with self._lock:
            return self._same_content.pop(video.content_hash)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                with self._lock:
                    path = next(self._paths, None)
                if path is None:
                    break
                self._decode(path)
            self._put(_WorkerDone())
        except BaseException as error:
            self._put(_Crashed(error))

    def _decode(self, path: Path) -> None:
        try:
            stamp = stamp_file(path)
            content_hash = hash_file(path, stop=self._stop.is_set)
        except (OSError, ValueError) as error:
            self._put(Failed(path, f"the file cannot be read: {getattr(error, 'strerror', None) or error}"))
            return
        if self._stop.is_set() or not self._claim(content_hash, path):
            return
        video = DecodedVideo(path, stamp, content_hash)
        if self._contains(content_hash):
            for known in (path, *self.release(video)):
                self._put(Known(known))
            return
        try:
            self._send_frames(video)
        except VideoError as error:
            self._put(Failed(path, Skipped.because(path, error).reason, video))

    def _send_frames(self, video: DecodedVideo) -> None:
        reading = read_frames(
            video.path,
            self._sampling,
            chunk_frames=self._chunk_frames,
            resize=self._resize,
            decoding=self._decoding,
        )
        for batch in reading:
            self._put(Frames(video, batch))
            if self._stop.is_set():
                return
        if _has_changed(video):
            self._put(Failed(video.path, "the file changed while it was read; run again when it is complete", video))
        else:
            self._put(Ended(video, reading.summary))

    def _claim(self, content_hash: str, path: Path) -> bool:
        """False if a file with this content is in flight; the path is then told by `release`."""
        with self._lock:
            if content_hash in self._same_content:
                self._same_content[content_hash].append(path)
                return False
            self._same_content[content_hash] = []
            return True

    def _put(self, message: Message | _Crashed | _WorkerDone) -> None:
        while not self._stop.is_set():
            try:
                return self._messages.put(message, timeout=_POLL_SECONDS)
            except queue.Full:
                continue


def _has_changed(video: DecodedVideo) -> bool:
    try:
        return stamp_file(video.path) != video.stamp
    except OSError:
        return True
