"""A stream of frame features, cut into overlapping windows of equal length in seconds; bounded memory, no model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framecue.tasks.streaming import Chunk, EndOfVideo, end_of

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

SHORTEST_SECONDS = 1e-3
"""Of a video whose times do not tell."""


@dataclass(frozen=True, eq=False)
class TimedWindow:
    """`[start_seconds, end_seconds)` of a video, and features [T, D] of what is shown at evenly spread times in it."""

    start_seconds: float
    end_seconds: float
    frame_features: Features


def shown_at(times: Floats, pts_seconds: Floats) -> npt.NDArray[np.int64]:
    """The frame shown at each time: a frame is shown from its own time to the next one's, the first also before."""
    return np.clip(np.searchsorted(pts_seconds, times, side="right") - 1, 0, None).astype(np.int64)


def spread_times(start_seconds: float, end_seconds: float, n: int) -> Floats:
    """Middles of n equal parts of `[start_seconds, end_seconds)`."""
    return start_seconds + (np.arange(n) + 0.5) / n * (end_seconds - start_seconds)


def end_of_video(pts_seconds: Floats, duration_seconds: float) -> float:
    """Its length where that lies behind the last frame's time, else the end of the last frame: as long as others."""
    last = float(pts_seconds[-1])
    step = float(np.median(np.diff(pts_seconds))) if len(pts_seconds) > 1 else 0.0
    return duration_seconds if duration_seconds > last else last + max(step, SHORTEST_SECONDS)


class WindowCutter:
    """Takes features as they come and gives windows of `window_seconds` at every `hop_seconds` from the first frame on.

    One more window ends with the video; a video shorter than a window gives one, of its own length. A picture that
    stands still for longer than a window, as slides do, is one long window, so that there are never more windows than a
    few for each frame, whatever the times in a file say. Held are the features of about a window.

    Args:
        num_frames: features in each window.

    Raises:
        ValueError: a hop outside (0, window].
    """

    def __init__(self, *, window_seconds: float, hop_seconds: float, num_frames: int) -> None:
        if not 0 < hop_seconds <= window_seconds:
            raise ValueError(
                f"hop_seconds must be above 0 and at most the window's {window_seconds:g}, got {hop_seconds:g}."
            )
        self._window, self._hop, self._num_frames = window_seconds, hop_seconds, num_frames
        self._features: Features = np.empty((0, 0), dtype=np.float32)
        self._pts: Floats = np.empty(0)
        self._origin: float | None = None
        self._next = 0  # number of the next window on the grid of hops
        self._covered = -np.inf  # end of the last window given

    @property
    def num_held(self) -> int:
        """Frame features in memory."""
        return len(self._pts)

    @property
    def _start(self) -> float:
        return (self._origin or 0.0) + self._next * self._hop

    def push(self, frame_features: Features, pts_seconds: Floats) -> Iterator[TimedWindow]:
        """Windows that the next features [T, D] complete; times do not decrease."""
        self._features = np.concatenate([self._features, frame_features]) if len(self._pts) else frame_features
        self._pts = np.concatenate([self._pts, pts_seconds])
        if self._origin is None and len(self._pts):
            self._origin = max(0.0, float(self._pts[0]))
        while len(self._pts) and self._pts[-1] >= self._start + self._window:
            yield self._next_window()
        self._forget()

    def finish(self, duration_seconds: float) -> Iterator[TimedWindow]:
        """The last window, where the others do not reach the end of the video; nothing without any frame."""
        if not len(self._pts) or self._origin is None:
            return
        end = max(end_of_video(self._pts, duration_seconds), self._origin + SHORTEST_SECONDS)
        if end > self._covered:
            yield self._cut(max(self._origin, min(self._start, end - self._window)), end)

    def _next_window(self) -> TimedWindow:
        start, end = self._start, self._start + self._window
        first = int(np.searchsorted(self._pts, start))
        if self._pts[first] < end:
            self._next += 1
        else:  # nothing new for longer than a window; go on with the first one that shows the next frame
            end = float(self._pts[first])
            behind = int((end - (self._origin or 0.0) - self._window) // self._hop) + 1
            self._next = max(self._next + 1, behind)
        self._covered = end
        return self._cut(start, end)

    def _cut(self, start: float, end: float) -> TimedWindow:
        shown = shown_at(spread_times(start, end, self._num_frames), self._pts)
        return TimedWindow(start, end, self._features[shown])

    def _forget(self) -> None:
        # The last window may begin anywhere from a window before the latest frame on; what it shows first began before.
        if not len(self._pts):
            return
        keep_from = min(self._start, float(self._pts[-1]) - self._window)
        drop = max(0, int(np.searchsorted(self._pts, keep_from, side="right")) - 1)
        self._features, self._pts = self._features[drop:].copy(), self._pts[drop:]


class Thinned:
    """Evenly spread features of a stream of unknown length: each one, then each second, each fourth ...

    Args:
        most: held at most; even.
    """

    def __init__(self, most: int = 1024) -> None:
        self._most, self._stride, self._seen = most, 1, 0
        self._held: list[Features] = []

    def push(self, frame_features: Features) -> None:
        """Takes the next features [T, D]."""
        for row in frame_features:
            if self._seen % self._stride == 0:
                self._held.append(row.copy())
            self._seen += 1
            if len(self._held) > self._most:
                self._held = self._held[::2]
                self._stride *= 2

    def passed(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks of a stream, each taken as it goes by."""
        for chunk in chunks:
            self.push(chunk[0])
            yield chunk

    def features(self) -> Features:
        """[T', D] in order, T' at most `most`."""
        return np.stack(self._held)


def cut_windows(
    chunks: Iterable[Chunk], duration_seconds: EndOfVideo, *, window_seconds: float, hop_seconds: float, num_frames: int
) -> Iterator[TimedWindow]:
    """All windows of a stream (`WindowCutter`)."""
    cutter = WindowCutter(window_seconds=window_seconds, hop_seconds=hop_seconds, num_frames=num_frames)
    for frame_features, pts_seconds in chunks:
        yield from cutter.push(frame_features, pts_seconds)
    yield from cutter.finish(end_of(duration_seconds) or 0.0)
