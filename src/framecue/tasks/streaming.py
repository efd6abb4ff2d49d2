"""Long videos in bounded memory: a stream of frame features, cut into windows, answered window by window, gathered.

Stored features and features that are encoded as the file is read take this one path, so that what an evaluation
measures is what a user gets. Nothing here grows with the video: one window of features, the best so many segments,
curves of so many cells.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from framecue.segments import frame_edges, soft_nms
from framecue.types import FrameFeatures, ScoreCurves, ScoredSegment

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Chunk = tuple[Scores, Floats]
"""Consecutive frame features [T, D] and their pts_seconds [T]."""

EndOfVideo = float | Callable[[], float] | None
"""Where a video ends in seconds, or what tells it when its last chunk has gone by; None = not known."""

MAX_CURVE_CELLS = 2048


def end_of(end: EndOfVideo) -> float | None:
    """In seconds, asked after the last chunk."""
    return end() if callable(end) else end


@dataclass(frozen=True, eq=False)
class FeatureWindow:
    """Consecutive frame features of a video, and where they stand in it.

    Attributes:
        frame_features: float32 [T, D].
        edges_seconds: float64 [T + 1], bounds of the T cells; neighbors in other windows have the same bounds.
        start_index: number in the video of the first frame feature.
        core: cells `[a, b)` that this window answers for. Cores of consecutive windows tile the video; a segment
            belongs to the window whose core holds its middle.
        is_last: nothing follows.
    """

    frame_features: Scores
    edges_seconds: Floats
    start_index: int
    core: tuple[int, int]
    is_last: bool

    def __post_init__(self) -> None:
        if self.edges_seconds.shape != (len(self.frame_features) + 1,):
            raise ValueError(
                f"edges_seconds must be [{len(self.frame_features) + 1}], got {list(self.edges_seconds.shape)}."
            )

    def __len__(self) -> int:
        return len(self.frame_features)

    @property
    def core_seconds(self) -> tuple[float, float]:
        """The core's bounds."""
        return float(self.edges_seconds[self.core[0]]), float(self.edges_seconds[self.core[1]])

    def decides(self, segments: Floats) -> npt.NDArray[np.bool_]:
        """Whether each segment [K, 2] in seconds belongs to this window; of all windows of a video to one exactly.

        What lies before the first frame or behind the last one belongs to the first or the last window.
        """
        middle = segments.mean(axis=1)
        first, end = self.core_seconds
        is_first = self.start_index + self.core[0] == 0
        return ((middle >= first) | is_first) & ((middle < end) | self.is_last)


@dataclass(frozen=True, eq=False)
class WindowAnswer:
    """What a localizer says of one window.

    Attributes:
        segments: float64 [K, 2] in seconds; any order, overlapping as they may.
        scores: float32 [K, N], of each segment for each label.
        curves: float32 [T, N] in [0, 1], of each cell for each label.
    """

    segments: Floats
    scores: Scores
    curves: Scores

    def __post_init__(self) -> None:
        if self.segments.ndim != 2 or self.segments.shape[1] != 2 or len(self.scores) != len(self.segments):
            raise ValueError(
                "segments must be [K, 2] and scores [K, N], "
                f"got {list(self.segments.shape)} and {list(self.scores.shape)}."
            )
        if self.curves.ndim != 2 or self.scores.shape[1:] != self.curves.shape[1:]:
            raise ValueError(f"curves must be [T, {self.scores.shape[-1]}], got {list(self.curves.shape)}.")


class WindowLocalizer(Protocol):
    """Finds and names segments in one window of frame features."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The N names that scores count in."""

    @property
    def sampling(self) -> str:
        """Which frames the features are of, as the sampler's text form."""

    @property
    def window(self) -> int:
        """Frame features in a window; a shorter video gives one shorter window."""

    @property
    def stride(self) -> int:
        """Frame features from one window's start to the next one's; at most `window`."""

    def __call__(self, window: FeatureWindow, /) -> WindowAnswer:
        """The answer for one window; no state is kept between windows."""


@dataclass(frozen=True)
class GatherSettings:
    """How the answers of all windows become one list.

    Attributes:
        min_score: segments whose score is not above it are left out, before and after suppression.
        max_segments: how many to give at most.
        sigma: of soft-NMS within each label (segments.soft_nms); None = no suppression.
        pool_size: how many candidates are held at most while the video goes by; the best are kept.
    """

    min_score: float = 0.001
    max_segments: int = 1000
    sigma: float | None = 0.5
    pool_size: int = 20_000


def localize_stream(
    chunks: Iterable[Chunk],
    duration_seconds: EndOfVideo,
    localizer: WindowLocalizer,
    settings: GatherSettings | None = None,
) -> tuple[list[ScoredSegment], ScoreCurves]:
    """Segments of a video, best first, and its score curves, in memory that does not grow with its length."""
    pool = SegmentPool(settings or GatherSettings())
    recorder = CurveRecorder(len(localizer.labels))
    cut = windows(chunks, window=localizer.window, stride=localizer.stride, duration_seconds=duration_seconds)
    for window in cut:
        answer = localizer(window)
        pool.add(answer, window)
        first, end = window.core
        recorder.add(answer.curves[first:end], window.edges_seconds[first : end + 1])
    return pool.finish(localizer.labels), recorder.finish(localizer.labels)


def as_chunks(features: FrameFeatures) -> Iterator[Chunk]:
    """Stored features as a stream of one chunk."""
    yield features.frame_features.astype(np.float32, copy=False), features.pts_seconds


def windows(
    chunks: Iterable[Chunk], *, window: int, stride: int, duration_seconds: EndOfVideo = None
) -> Iterator[FeatureWindow]:
    """Windows of a stream, at every `stride` features and one more that ends with the video.

    All are full, but that of a video shorter than the window. At most a window and a chunk are held, and how the stream
    is cut into chunks does not matter.

    Args:
        duration_seconds: where the video ends, where it is known; a function is called after the last chunk.

    Raises:
        ValueError: a stride outside [1, window].
    """
    if not 1 <= stride <= window:
        raise ValueError(f"stride must be from 1 to the window's {window} features, got {stride}.")
    held = _Held(window, stride, duration_seconds)
    for frame_features, pts_seconds in chunks:
        held.push(frame_features, pts_seconds)
        yield from held.full_windows()
    yield from held.last_window()


class _Held:
    """The features that windows to come may still need, and what was decided by those that have gone."""

    def __init__(self, window: int, stride: int, duration_seconds: EndOfVideo) -> None:
        self._window, self._stride, self._duration = window, stride, duration_seconds
        self._features: Scores = np.empty((0, 0), dtype=np.float32)
        self._pts: Floats = np.empty(0)
        self._first = 0  # number of the first feature held
        self._next = 0  # start of the next window on the grid of strides
        self._decided = 0  # cells before this one lie in the core of a window that has gone

    @property
    def _total(self) -> int:
        return self._first + len(self._pts)

    def push(self, frame_features: Scores, pts_seconds: Floats) -> None:
        self._features = np.concatenate([self._features, frame_features]) if len(self._pts) else frame_features
        self._pts = np.concatenate([self._pts, pts_seconds])

    def full_windows(self) -> Iterator[FeatureWindow]:
        while self._total > self._next + self._window:  # one feature more: this window is not the last one
            start = self._next
            core_end = start + (self._window + self._stride) // 2
            yield self._cut(start, core_end, is_last=False)
            self._decided, self._next = core_end, start + self._stride
            self._forget()

    def last_window(self) -> Iterator[FeatureWindow]:
        if self._total:
            yield self._cut(max(0, self._total - self._window), self._total, is_last=True)

    def _forget(self) -> None:
        # The last window may begin anywhere from here on, and needs the time of the frame before it.
        drop = max(0, min(self._next, self._total - self._window) - 1 - self._first)
        self._features, self._pts = self._features[drop:], self._pts[drop:]
        self._first += drop

    def _cut(self, start: int, core_end: int, *, is_last: bool) -> FeatureWindow:
        begin = start - self._first
        end = min(begin + self._window, len(self._pts))
        edges = frame_edges(self._pts[begin:end], end_of(self._duration) if is_last else None)
        if begin > 0:
            edges[0] = self._pts[begin - 1 : begin + 1].mean()
        if end < len(self._pts):
            edges[-1] = self._pts[end - 1 : end + 1].mean()
        core = (self._decided - start, core_end - start)
        return FeatureWindow(self._features[begin:end], edges, start, core, is_last)


class SegmentPool:
    """The best candidates of a video so far, whatever its length.

    A candidate counts where its middle lies in the window's core: what a border cuts in one window stands whole in its
    neighbor, where it is not longer than the overlap. Those that two windows still both report fall to soft-NMS.
    """

    def __init__(self, settings: GatherSettings) -> None:
        self._settings = settings
        self._segments: Floats = np.empty((0, 2))
        self._labels: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._scores: Floats = np.empty(0)

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, answer: WindowAnswer, window: FeatureWindow) -> None:
        """Takes what the window decides."""
        mine = window.decides(answer.segments)
        rows, columns = np.nonzero(mine[:, None] & (answer.scores > self._settings.min_score))
        self._segments = np.concatenate([self._segments, answer.segments[rows]])
        self._labels = np.concatenate([self._labels, columns])
        self._scores = np.concatenate([self._scores, answer.scores[rows, columns].astype(np.float64)])
        if len(self._scores) > self._settings.pool_size:
            self._keep(np.sort(np.argsort(-self._scores, kind="stable")[: self._settings.pool_size]))

    def finish(self, labels: Sequence[str]) -> list[ScoredSegment]:
        """The segments after soft-NMS within each label, best first.

        Scores are rounded to float32, which a submission keeps apart: what ties in the file ties here, and a run
        measures what the official evaluator measures on its file.
        """
        if self._settings.sigma is not None:
            self._suppress(self._settings.sigma)
        self._scores = self._scores.astype(np.float32).astype(np.float64)
        best = np.argsort(-self._scores, kind="stable")[: self._settings.max_segments]
        return [
            ScoredSegment(start, end, labels[label], score)
            for (start, end), label, score in zip(
                self._segments[best].tolist(), self._labels[best].tolist(), self._scores[best].tolist(), strict=True
            )
        ]

    def _suppress(self, sigma: float) -> None:
        min_score, most = self._settings.min_score, self._settings.max_segments
        kept = [np.empty(0, dtype=np.int64)]
        for label in np.unique(self._labels):
            rows = np.flatnonzero(self._labels == label)
            order, lowered = soft_nms(
                self._segments[rows], self._scores[rows], sigma=sigma, min_score=min_score, max_segments=most
            )
            self._scores[rows[order]] = lowered
            kept.append(rows[order])
        self._keep(np.concatenate(kept))

    def _keep(self, rows: npt.NDArray[np.int64]) -> None:
        self._segments, self._labels, self._scores = self._segments[rows], self._labels[rows], self._scores[rows]


class CurveRecorder:
    """Score curves of bounded size: when there are too many cells, each two become one.

    Args:
        peaks: of two cells the higher score stays, as in scores of moments; else their mean.
    """

    def __init__(self, num_labels: int, max_cells: int = MAX_CURVE_CELLS, *, peaks: bool = False) -> None:
        if max_cells < 2 or max_cells % 2:
            raise ValueError(f"max_cells must be even and at least 2, got {max_cells}.")
        self._max_cells = max_cells
        self._rows_per_cell = 1
        self._edges: list[float] = []
        self._cells: list[Scores] = []
        self._open: list[Scores] = []  # rows of the cell that is not full yet
        self._num_labels = num_labels
        self._join = np.max if peaks else np.mean

    def add(self, scores: Scores, edges_seconds: Floats) -> None:
        """Takes the next rows [T, N] and their bounds [T + 1]."""
        if not self._edges:
            self._edges = [float(edges_seconds[0])]
        for row, end_seconds in zip(scores, edges_seconds[1:].tolist(), strict=True):
            self._open.append(row)
            self._end = end_seconds
            if len(self._open) == self._rows_per_cell:
                self._close_cell()

    def finish(self, labels: Sequence[str]) -> ScoreCurves:
        """The curves of all that was added."""
        if self._open:
            self._close_cell()
        cells = np.array(self._cells, dtype=np.float32).reshape(len(self._cells), self._num_labels)
        return ScoreCurves(np.array(self._edges or [0.0]), cells, tuple(labels))

    def _close_cell(self) -> None:
        self._cells.append(self._join(np.stack(self._open), axis=0))
        self._edges.append(self._end)
        self._open = []
        if len(self._cells) == self._max_cells:
            self._cells = [
                self._join(np.stack([one, other]), axis=0)
                for one, other in zip(self._cells[::2], self._cells[1::2], strict=True)
            ]
            self._edges = self._edges[::2]
            self._rows_per_cell *= 2
