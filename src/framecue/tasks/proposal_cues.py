"""Proposals without training: where named things are seen and where frame features change. Pure NumPy.

Two kinds of segments, put together and scored alike.

Runs. Curves over time (how much each name is seen, how much any of them is, how much the picture changes) are cut at
several heights; what stays above is a run, and runs over a short gap are one.

Spans between change-points. The novelty of a time is the distance between the features before and after it (Foote
2000, "Automatic audio segmentation using a measure of audio novelty": the checkerboard kernel; here its cross terms
alone, of means); its peaks at several scales are boundaries, and a span reaches from one boundary to one of the next
few.

A segment's score says how much the curve stands out inside it against what lies around it (the outer-inner contrast of
AutoLoc, Shou et al. 2018, section 3.2), of the better of two curves: what is seen, and what changes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CueSettings:
    """Defaults were chosen on a validation part of the built-in untrimmed world (docs/log.md), at 8 frames per second.

    Attributes:
        smooth_seconds: length of the moving average over the curves.
        quiet_percentile, busy_percentile: of the change in a window, which then count as 0 and as 1: how fast something
            changes beyond that says nothing more of whether anything happens.
        levels: heights at which curves are cut, as shares of the way from the curve's low to its high in the window.
        absolute_levels: heights at which curves of probabilities are cut, too.
        gap_seconds: runs that are nearer to each other become one.
        novelty_seconds: scales of the change-points: so much before is compared with so much after.
        novelty_share: a peak counts from this share of the scale's highest one on.
        max_neighbors: a span joins at most so many stretches between neighboring boundaries.
        min_seconds, max_seconds: lengths outside are no proposals.
        margin: what lies around a segment, as a share of its length to either side.
        still: mean distance of neighboring features (a chord of the unit sphere) up to which nothing changes: noise of
            compression.
        max_proposals: per window, the best.
    """

    smooth_seconds: float = 0.3
    quiet_percentile: float = 10.0
    busy_percentile: float = 50.0
    levels: tuple[float, ...] = (0.05, 0.2, 0.5)
    absolute_levels: tuple[float, ...] = (0.5,)
    gap_seconds: float = 0.25
    novelty_seconds: tuple[float, ...] = (0.5, 1.0, 2.0)
    novelty_share: float = 0.1
    max_neighbors: int = 4
    min_seconds: float = 0.5
    max_seconds: float = 60.0
    margin: float = 0.25
    still: float = 0.01
    max_proposals: int = 200


def propose(
    frame_features: npt.NDArray[np.float32],
    probabilities: npt.NDArray[np.float32],
    *,
    seconds_per_feature: float,
    settings: CueSettings | None = None,
) -> tuple[Floats, Floats]:
    """Class-agnostic segments of one window.

    Args:
        frame_features: [T, D], not normalized.
        probabilities: [T, N] of the asked names in each frame; what they lack to 1 belongs to none of them.

    Returns:
        Grid segments float64 [K, 2] (segments.to_seconds) and scores float64 [K] in [0, 1], best first.
    """
    settings = settings or CueSettings()
    smooth = max(1, round(settings.smooth_seconds / seconds_per_feature))
    changing = _relative(moving_mean(change(frame_features), smooth), settings)
    named = moving_mean(probabilities, smooth)
    seen = named.sum(axis=1)
    curves = [(changing, False), (seen, True), *((curve, True) for curve in named.T)]
    gap = round(settings.gap_seconds / seconds_per_feature)
    found = [
        runs(curve, level, gap)
        for curve, is_probability in curves
        for level in _heights(curve, is_probability, settings)
    ]
    boundaries = change_points(frame_features, seconds_per_feature, settings)
    found.append(spans(boundaries, settings.max_neighbors))
    segments = np.unique(np.concatenate(found), axis=0)
    lengths = (segments[:, 1] - segments[:, 0]) * seconds_per_feature
    segments = segments[(lengths >= settings.min_seconds) & (lengths <= settings.max_seconds)]
    scores = np.maximum(
        standing_out(changing, segments, settings.margin), standing_out(seen, segments, settings.margin)
    )
    best = np.argsort(-scores, kind="stable")[: settings.max_proposals]
    return segments[best], scores[best]


def change(frame_features: npt.NDArray[np.float32]) -> Floats:
    """How far the direction of the feature moves at each frame: mean chord to both neighbors, [T, D] -> [T]."""
    unit = _unit(frame_features)
    steps = np.linalg.norm(np.diff(unit, axis=0), axis=1)
    if not len(steps):
        return np.zeros(len(unit))
    return (np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]])) / 2


def moving_mean(curve: npt.NDArray[np.floating], length: int) -> Floats:
    """Centered mean over `length` cells or one more, of those that exist at the ends; along the first axis."""
    half = length // 2
    total = np.concatenate([np.zeros((1, *curve.shape[1:])), np.cumsum(curve, axis=0, dtype=np.float64)])
    here = np.arange(len(curve))
    first, end = np.maximum(here - half, 0), np.minimum(here + half + 1, len(curve))
    return (total[end] - total[first]) / (end - first).reshape(-1, *[1] * (curve.ndim - 1))


def runs(curve: Floats, level: float, gap: int) -> Floats:
    """Grid segments [K, 2] where the curve is above `level`; those at most `gap` cells apart are one."""
    above = np.concatenate([[False], curve > level, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return np.empty((0, 2))
    apart = starts[1:] - ends[:-1] > gap
    return np.stack([starts[np.append(True, apart)], ends[np.append(apart, True)]], axis=1).astype(np.float64)


def change_points(
    frame_features: npt.NDArray[np.float32], seconds_per_feature: float, settings: CueSettings
) -> npt.NDArray[np.int64]:
    """Grid positions of the peaks of novelty, and both ends of the window; increasing."""
    found = [np.array([0, len(frame_features)])]
    for seconds in settings.novelty_seconds:
        half = max(1, round(seconds / seconds_per_feature))
        novel = novelty(frame_features, half)
        if len(novel):
            found.append(peaks(novel, half, max(settings.novelty_share * float(novel.max()), settings.still)))
    return np.unique(np.concatenate(found)).astype(np.int64)


def novelty(frame_features: npt.NDArray[np.float32], half: int) -> Floats:
    """Cosine distance of the mean direction of up to `half` features before each inner grid position and after it.

    [T, D] -> [T + 1], 0 at both ends.
    """
    total = np.concatenate([np.zeros((1, frame_features.shape[1])), np.cumsum(_unit(frame_features), axis=0)])
    count = len(frame_features)
    here = np.arange(1, count)
    before = total[here] - total[np.maximum(here - half, 0)]
    after = total[np.minimum(here + half, count)] - total[here]
    return np.concatenate([[0.0], 1 - (_unit(before) * _unit(after)).sum(axis=1), [0.0]])


def peaks(curve: Floats, reach: int, least: float) -> npt.NDArray[np.int64]:
    """Positions above `least` that no other within `reach` exceeds; of equal ones the first."""
    padded = np.pad(curve, reach, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.flatnonzero((around.argmax(axis=1) == reach) & (curve > least))


def spans(boundaries: npt.NDArray[np.int64], max_neighbors: int) -> Floats:
    """Grid segments [K, 2] from each boundary to each of the next `max_neighbors`."""
    pairs = [
        np.stack([boundaries[:-step], boundaries[step:]], axis=1)
        for step in range(1, min(max_neighbors, len(boundaries) - 1) + 1)
    ]
    return np.concatenate(pairs).astype(np.float64)


def standing_out(curve: Floats, segments: Floats, margin: float) -> Floats:
    """How a curve [T] in [0, 1] stands out in grid segments: mean inside * (mean inside - mean around), [K].

    Where the whole window is the segment and nothing lies around, the mean around is taken as 0.
    """
    total = np.concatenate([[0.0], np.cumsum(curve)])
    grid = np.arange(len(total))
    start, end = segments.T
    around = np.maximum(1.0, margin * (end - start))

    def area(first: Floats, last: Floats) -> Floats:
        return np.interp(last, grid, total) - np.interp(first, grid, total)

    inside = area(start, end) / np.maximum(end - start, 1e-9)
    cells = np.minimum(end + around, len(curve)) - end + start - np.maximum(start - around, 0)
    outside = (area(start - around, start) + area(end, end + around)) / np.maximum(cells, 1e-9)
    return np.clip(inside, 0, 1) * np.clip(inside - outside, 0, 1)


def _relative(curve: Floats, settings: CueSettings) -> Floats:
    low, high = np.percentile(curve, [settings.quiet_percentile, settings.busy_percentile])
    low = max(low, settings.still)
    return np.clip((curve - low) / max(high - low, settings.still), 0, 1)


def _heights(curve: Floats, is_probability: bool, settings: CueSettings) -> list[float]:
    low, high = float(curve.min()), float(curve.max())
    heights = [low + share * (high - low) for share in settings.levels] if high > low else []
    return heights + list(settings.absolute_levels) * is_probability


def _unit(vectors: npt.NDArray[np.floating]) -> Floats:
    values = vectors.astype(np.float64)
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.maximum(norms, 1e-12)
