"""Which frames to keep: pure arithmetic on frame counts and timestamps, so that it needs no video to test.

The reversal law, kept by `uniform_indices` and `view_indices`: a video played backwards gives the same frames, in
reverse order. So a model that is blind to order cannot tell a video from its reverse by which frames were sampled. The
law holds wherever integers allow: a middle frame (or window) of an even count has no symmetric place, and then lies
half a frame off center, towards the end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from framecue.errors import UsageError

AUTHORS_STRIDES = (1, 2, 3, 3, 3, 4)
"""Frame strides of the authors' training sampler, drawn with equal chance (method.md 1.7)."""

PTS_TOLERANCE_SECONDS = 1.5e-3
"""Containers round timestamps, Matroska to milliseconds: a frame up to this late still counts as shown on time."""

WindowRule = Literal["exact", "authors"]
"""How a training window is cut: `strided_window`, or to the letter as the authors' program does, `authors_window`."""

_FORMS = (
    '"all", "fps:F" with F frames per second above 0 (fps:8), or "uniform:N" with N frames, at least 1 (uniform:16)'
)


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video to keep.

    Attributes:
        kind: "all" frames, a fixed rate "fps", or N "uniform" frames over the whole video.
        value: None for "all", frames per second for "fps", number of frames for "uniform".

    Raises:
        UsageError: the value does not fit the kind.
    """

    kind: Literal["all", "fps", "uniform"]
    value: float | None = None

    def __post_init__(self) -> None:
        value = self.value
        fits = {
            "all": value is None,
            "fps": value is not None and math.isfinite(value) and value > 0,
            "uniform": value is not None and math.isfinite(value) and value >= 1 and value == int(value),
        }
        if not fits.get(self.kind, False):
            raise UsageError(f"Sampling {self.kind!r} with value {value!r} is not known; use {_FORMS}.")

    @property
    def text(self) -> str:
        """The form that `parse_sampling` reads back: "all", "fps:8", "uniform:16"."""
        if self.value is None:
            return self.kind
        return f"{self.kind}:{int(self.value) if self.value == int(self.value) else repr(float(self.value))}"


def parse_sampling(text: str) -> Sampling:
    """Reads "all", "fps:F" or "uniform:N".

    Raises:
        UsageError: any other text; the message lists the forms.
    """
    kind, _, number = text.strip().partition(":")
    try:
        if kind == "all" and text.strip() == "all":
            return Sampling("all")
        if kind == "fps":
            return Sampling("fps", float(number))
        if kind == "uniform":
            return Sampling("uniform", int(number))
    except (ValueError, UsageError):
        pass
    raise UsageError(f"Sampling {text!r} is not known; use {_FORMS}.")


def uniform_indices(num_frames: int, n: int) -> npt.NDArray[np.int64]:
    """Frames at the centers of n equal parts of the video, int64 [n], sorted; fewer than n frames are repeated.

    Obeys the reversal law, except for the middle index of an odd n over an even num_frames.
    """
    _require_positive(num_frames=num_frames, n=n)
    part = np.arange(n, dtype=np.int64)
    center, boundary = np.divmod((2 * part + 1) * num_frames, 2 * n)
    # A center on the border of two frames: the frame nearer to the middle of the video, or the law would break.
    return center - ((boundary == 0) & (2 * part > n - 1))


def fps_indices(pts_seconds: Sequence[float] | npt.NDArray[np.float64], fps: float) -> npt.NDArray[np.int64]:
    """Frames shown at the grid times `pts_seconds[0] + k / fps`, k = 0, 1, ...: int64, strictly increasing.

    A frame is shown from its own time to the next frame's, so a variable frame rate is read right. Where the video is
    slower than the grid each frame is taken once. The last frame, whose end is unknown, is taken if the grid meets its
    start.

    Args:
        pts_seconds: presentation times [T], not decreasing.
    """
    pts = np.asarray(pts_seconds, dtype=np.float64)
    if not len(pts):
        return np.empty(0, dtype=np.int64)
    first_grid = np.ceil((pts - pts[0] - PTS_TOLERANCE_SECONDS) * fps).clip(min=0)
    last_is_met = first_grid[-1] / fps <= pts[-1] - pts[0] + PTS_TOLERANCE_SECONDS
    return np.flatnonzero(np.append(first_grid[:-1] < first_grid[1:], last_is_met)).astype(np.int64)


class FpsPicker:
    """`fps_indices` for a stream of frames whose end is not known: a frame's fate is told when the next one arrives."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._first_pts: float | None = None
        self._elapsed = 0.0
        self._grid = 0

    def push(self, pts_seconds: float) -> bool:
        """Takes the next frame's time; True if the frame before it is to be kept."""
        if self._first_pts is None:
            self._first_pts = pts_seconds
            return False
        self._elapsed = pts_seconds - self._first_pts
        before, self._grid = self._grid, max(0, math.ceil((self._elapsed - PTS_TOLERANCE_SECONDS) * self._fps))
        return before < self._grid

    def finish(self) -> bool:
        """True if the last frame pushed is to be kept."""
        return self._first_pts is not None and self._grid / self._fps <= self._elapsed + PTS_TOLERANCE_SECONDS


def draw_window(
    num_frames: int,
    *,
    window: int = 16,
    strides: Sequence[int] = AUTHORS_STRIDES,
    rule: WindowRule = "exact",
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """A random window by one of the two rules, int64 [window]."""
    draw = authors_window if rule == "authors" else strided_window
    return draw(num_frames, window=window, strides=strides, rng=rng)


def strided_window(
    num_frames: int, *, window: int = 16, strides: Sequence[int] = AUTHORS_STRIDES, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The authors' training sampler (method.md 1.7): `window` frames at a random stride and start, int64 [window].

    A stride and an offset below it are drawn; if that grid holds fewer than `window` frames, stride 1 is used. A video
    shorter than the window gives all its frames and then the last one again; as with the authors, no mask hides the
    copies.

    Departures, which `authors_window` has not: every valid start can be drawn (the authors never draw the last one,
    method.md 2.4 item 5), the stride is exact where theirs is a rounded linspace, and a grid of just `window` frames
    is used where they fall back to stride 1.
    """
    _require_positive(num_frames=num_frames, window=window)
    if num_frames < window:
        return _padded(num_frames, window)
    stride = int(rng.choice(np.asarray(strides)))
    grid = np.arange(int(rng.integers(stride)), num_frames, stride, dtype=np.int64)
    if len(grid) < window:
        grid = np.arange(num_frames, dtype=np.int64)
    start = int(rng.integers(len(grid) - window + 1))
    return grid[start : start + window]


def authors_window(
    num_frames: int, *, window: int = 16, strides: Sequence[int] = AUTHORS_STRIDES, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The authors' sampler to the letter (their `src/data.py`, `_select_indices`), int64 [window].

    Their rate is 1 / stride; a video of at most `window` frames gives all its frames and then the last one again.
    """
    _require_positive(num_frames=num_frames, window=window)
    if num_frames <= window:
        return _padded(num_frames, window)
    stride = int(rng.choice(np.asarray(strides)))
    offset, count = int(rng.integers(stride)), round(1 / stride * num_frames)
    grid = np.linspace(offset, num_frames - 1, num=count, dtype=np.int64)
    if len(grid) <= window:
        grid = np.arange(num_frames, dtype=np.int64)
    start = int(rng.integers(len(grid) - window))
    return grid[start : start + window]


def view_indices(
    num_frames: int, *, window: int = 16, num_views: int, stride: int | None = None
) -> npt.NDArray[np.int64]:
    """Deterministic windows for evaluation, int64 [num_views, window].

    One view without a stride: `window` frames spread over the whole video. Otherwise windows of one stride whose starts
    are spread evenly from the first valid to the last. A video shorter than the window gives what it gives in training
    (`strided_window`), so that the temporal positions mean the same in both.

    Of videos at least as long as the window the reversal law holds (the views of the reversed video are the reversed
    views, in reverse order), except for the middle view of an odd count when the slack around the window is odd: then
    it is one frame off.

    Departure: the authors draw their views at random (method.md 2.4 item 6).

    Args:
        stride: frames between neighbors, lowered until the window fits; None = at most 4.
    """
    _require_positive(num_frames=num_frames, window=window, num_views=num_views)
    if num_frames < window:
        return np.tile(_padded(num_frames, window), (num_views, 1))
    if num_views == 1 and stride is None:
        return uniform_indices(num_frames, window)[None]
    largest_fit = (num_frames - 1) // (window - 1) if window > 1 else 1
    step = min(4 if stride is None else stride, largest_fit)
    slack = num_frames - 1 - (window - 1) * step
    starts = _spread(slack, num_views)
    return starts[:, None] + step * np.arange(window, dtype=np.int64)


def _padded(num_frames: int, window: int) -> npt.NDArray[np.int64]:
    """All frames, then the last one again."""
    return np.minimum(np.arange(window, dtype=np.int64), num_frames - 1)


def _spread(last: int, n: int) -> npt.NDArray[np.int64]:
    """n integers evenly from 0 to last, symmetric; for n = 1 the middle."""
    if n == 1:
        return np.array([(last + 1) // 2], dtype=np.int64)
    lower = np.arange((n + 1) // 2, dtype=np.int64)
    head = (2 * lower * last + n - 1) // (2 * (n - 1))
    return np.concatenate([head, last - head[: n // 2][::-1]])


def _require_positive(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}.")
