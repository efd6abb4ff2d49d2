"""Seconds and the feature grid, overlap of segments, and what is left of overlapping ones. Pure NumPy.

Segments are rows `[start, end)`. A *grid* position g in [0, T] lies between frame features: feature t fills the cell
[t, t + 1), whose bounds in seconds are `frame_edges(...)[t]` and `[t + 1]`. The bounds come from the frames' own
timestamps, so that segments fall on true times at a variable frame rate too.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_MATRIX_SEGMENTS = 1000


def frame_edges(pts_seconds: Array, duration_seconds: float | None = None) -> Array:
    """Bounds of the cells of T frames in seconds: half way between neighbors, float64 [T + 1].

    The outer cells reach as far beyond their frame as the median half step, but not beyond the video; that of a single
    frame is the whole video.

    Args:
        pts_seconds: float64 [T], not decreasing, T at least 1.
        duration_seconds: where the video ends, where it is known; a frame beyond it moves it.
    """
    step = float(np.median(np.diff(pts_seconds))) if len(pts_seconds) > 1 else 2 * (duration_seconds or 0.0)
    first = max(min(0.0, float(pts_seconds[0])), float(pts_seconds[0]) - step / 2)
    last = float(pts_seconds[-1]) + step / 2
    if duration_seconds is not None:
        last = max(min(last, duration_seconds), float(pts_seconds[-1]))
    return np.concatenate([[first], (pts_seconds[:-1] + pts_seconds[1:]) / 2, [last]])


def to_seconds(grid: Array, edges_seconds: Array) -> Array:
    """Grid positions of any shape -> seconds; positions outside [0, T] are moved to its ends."""
    return np.interp(grid, np.arange(len(edges_seconds)), edges_seconds)


def to_grid(seconds: Array, edges_seconds: Array) -> Array:
    """Seconds of any shape -> grid positions; times outside the cells are moved to their ends."""
    return np.interp(seconds, edges_seconds, np.arange(len(edges_seconds)))


def temporal_iou(first: Array, second: Array) -> Array:
    """Overlap over union of segments [K, 2] and [M, 2] -> [K, M] in [0, 1]; 0 where both are empty."""
    overlap = np.minimum(first[:, None, 1], second[None, :, 1]) - np.maximum(first[:, None, 0], second[None, :, 0])
    overlap = np.clip(overlap, 0, None)
    union = (first[:, 1] - first[:, 0])[:, None] + (second[:, 1] - second[:, 0])[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def soft_nms(
    segments: Array, scores: Array, *, sigma: float, min_score: float = 0.0, max_segments: int | None = None
) -> tuple[npt.NDArray[np.int64], Array]:
    """Lower the scores of segments that overlap better ones (Bodla et al. 2017, Gaussian form).

    A kept segment multiplies the score of every other one by exp(-IoU² / sigma), and the best of what is left is kept
    next.

    Args:
        segments, scores: [K, 2] and [K].
        sigma: how much overlap is borne; small values come near to plain suppression. AFSD takes 0.5 on THUMOS14 and
            0.85 on ActivityNet.
        min_score: segments whose lowered score is not above it are left out.
        max_segments: how many to keep at most.

    Returns:
        Rows kept, best first, and their lowered scores.
    """
    left = scores.astype(np.float64, copy=True)
    kept: list[int] = []
    lowered: list[float] = []
    limit = len(left) if max_segments is None else min(max_segments, len(left))
    # One matrix for all steps is several times faster than a row at each, where it is not too large to be held.
    factors = _decay(segments, segments, sigma) if len(left) <= _MATRIX_SEGMENTS else None
    while len(kept) < limit:
        best = int(left.argmax())
        if not left[best] > min_score:
            break
        kept.append(best)
        lowered.append(float(left[best]))
        left *= factors[best] if factors is not None else _decay(segments[best : best + 1], segments, sigma)[0]
        left[best] = -np.inf
    return np.array(kept, dtype=np.int64), np.array(lowered)


def _decay(kept: Array, others: Array, sigma: float) -> Array:
    return np.exp(-(temporal_iou(kept, others) ** 2) / sigma)
