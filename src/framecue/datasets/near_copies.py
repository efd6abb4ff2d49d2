"""Near copies among videos, found in stored features: the same footage encoded anew, rescaled, or cut a bit shorter.

Two videos are compared frame by frame on one clock, and the difference is weighed against how much they change while
they run. Two clips of one scene differ by about as much as each of them changes; so do a video and its mirror image,
and a video and its reversal unless its motion looks the same both ways. A copy differs by far less.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framecue.types import FrameFeatures, Record

LEAST_SIMILARITY = 0.6
"""Pairs that are at least this alike are near copies. docs/log.md (2026-11-28) has the measurements."""
LEAST_OVERLAP = 0.8
"""A copy shows at least this part of the longer of the two: a fifth may be cut off."""
_STILL = 0.02  # of all videos' variance: what new encoding moves in a video without motion
_STEP_SECONDS, _MOST_STEPS = 0.125, 128
_BLOCK_ROWS = 1024
_MOST_NEIGHBORS = 20
_VIDEOS_AT_ONCE = 256

Vectors = npt.NDArray[np.float32]
Fetch = Callable[[Sequence[str]], list[FrameFeatures]]


@dataclass(frozen=True)
class NearCopy:
    """Two videos that show the same footage.

    Attributes:
        first, second: in the order of the source.
        similarity: 1 less the mean squared distance of frames shown at the same time, over the variance of both
            videos' frames; 1 for equal features, about 0 for two clips of one scene.
        first_seconds, second_seconds: when each begins to show what the other shows.
        shared_seconds: for how long.
    """

    first: Record
    second: Record
    similarity: float
    first_seconds: float
    second_seconds: float
    shared_seconds: float


def find_near_copies(records: Sequence[Record], hashes: Sequence[str], fetch: Fetch) -> list[NearCopy]:
    """Pairs of files that show the same footage in two parts, under two labels, or in no part yet; most alike first.

    Memory grows with the number of videos by one mean feature each. Each video is compared frame by frame with the 20
    whose means lie nearest.

    Args:
        records: labelled videos, or parts of videos.
        hashes: content hash of each, the store's key.
        fetch: content hashes -> features, in order.
    """
    rows = list({(key, record): row for row, (key, record) in enumerate(zip(hashes, records, strict=True))}.values())
    records, hashes = [records[row] for row in rows], [hashes[row] for row in rows]
    if len(records) < 2:
        return []
    means, variances = _moments(records, hashes, fetch)
    floor = _STILL * float(variances.mean() + ((means - means.mean(axis=0)) ** 2).sum(axis=1).mean())
    found = [
        near
        for pairs in _chunks(_neighbors(records, hashes, means, variances, floor))
        for near in _compare(records, hashes, pairs, fetch, floor)
    ]
    return sorted(found, key=lambda near: -near.similarity)


def _moments(records: Sequence[Record], hashes: Sequence[str], fetch: Fetch) -> tuple[Vectors, Vectors]:
    """Mean [N, D] and variance [N] of each video's normalized frames."""
    means, variances = [], []
    for start in range(0, len(records), _VIDEOS_AT_ONCE):
        chunk = slice(start, start + _VIDEOS_AT_ONCE)
        for features, record in zip(fetch(hashes[chunk]), records[chunk], strict=True):
            frames, _ = _shown(features, record)
            means.append(frames.mean(axis=0))
            variances.append(frames.var(axis=0).sum())
    return np.stack(means), np.array(variances, dtype=np.float32)


def _neighbors(
    records: Sequence[Record], hashes: Sequence[str], means: Vectors, variances: Vectors, floor: float
) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, whose means lie near enough for a near copy.

    A mean distance of frames is at least the distance of the means, which bounds the similarity from above. Twice the
    bound, since the means are of whole videos and the similarity is of what both show.
    """
    parts = np.unique([record.split or "" for record in records], return_inverse=True)
    labels = np.unique([record.label or "" for record in records], return_inverse=True)[1]
    contents = np.unique(hashes, return_inverse=True)[1]
    undivided = (parts[0] == "")[parts[1]]
    gap = 1 - LEAST_SIMILARITY
    reach = 2 * gap / (1 - gap / 2)
    lengths = (means**2).sum(axis=1)
    columns = np.arange(len(means))
    for start in range(0, len(means), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        distance = lengths[block, None] + lengths - 2 * means[block] @ means.T
        distance /= variances[block, None] + variances + floor
        told_apart = (parts[1][block, None] != parts[1]) | (labels[block, None] != labels) | undivided[block, None]
        later = columns > columns[block, None]
        distance[~(told_apart & later & (contents[block, None] != contents))] = np.inf
        nearest = min(_MOST_NEIGHBORS, len(means) - 1)
        near = np.argpartition(distance, nearest - 1, axis=1)[:, :nearest]
        rows, ranks = np.nonzero(np.take_along_axis(distance, near, axis=1) <= reach)
        yield from ((start + int(row), int(near[row, rank])) for row, rank in zip(rows, ranks, strict=True))


def _chunks(pairs: Iterator[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Pairs of few enough videos to be held at once."""
    chunk: list[tuple[int, int]] = []
    held: set[int] = set()
    for pair in pairs:
        if len(held | set(pair)) > _VIDEOS_AT_ONCE:
            yield chunk
            chunk, held = [], set()
        chunk.append(pair)
        held |= set(pair)
    if chunk:
        yield chunk


def _compare(
    records: Sequence[Record],
    hashes: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    fetch: Fetch,
    floor: float,
) -> Iterator[NearCopy]:
    rows = sorted({row for pair in pairs for row in pair})
    features = fetch([hashes[row] for row in rows])
    shown = {row: _shown(of, records[row]) for row, of in zip(rows, features, strict=True)}
    for one, other in pairs:
        longest = max(times[-1] - times[0] for _, times in (shown[one], shown[other]))
        step = max(_STEP_SECONDS, float(longest) / _MOST_STEPS)
        similarity, shift, shared = _aligned(_resampled(*shown[one], step), _resampled(*shown[other], step), floor)
        if similarity >= LEAST_SIMILARITY:
            yield NearCopy(
                records[one],
                records[other],
                similarity,
                float(shown[one][1][0]) + max(shift, 0) * step,
                float(shown[other][1][0]) + max(-shift, 0) * step,
                shared * step,
            )


def _shown(features: FrameFeatures, record: Record) -> tuple[Vectors, npt.NDArray[np.float64]]:
    """Normalized frames [T, D] of the labelled part, and when they are shown [T]; the nearest where it holds none."""
    times = features.pts_seconds
    start = -np.inf if record.start_seconds is None else record.start_seconds
    end = np.inf if record.end_seconds is None else record.end_seconds
    inside = (times >= start) & (times < end)
    if not inside.any():
        inside[np.abs(times - start).argmin()] = True
    frames = features.frame_features[inside].astype(np.float32)
    return frames / np.linalg.norm(frames, axis=1, keepdims=True).clip(1e-12), times[inside]


def _resampled(frames: Vectors, times: npt.NDArray[np.float64], step: float) -> Vectors:
    """Frames [K, D] every `step` seconds from the first one on, between two frames on the line that joins them."""
    clock = np.arange(times[0], times[-1] + step / 2, step).clip(max=times[-1])
    before = np.searchsorted(times, clock, side="right") - 1
    after = np.minimum(before + 1, len(times) - 1)
    width = times[after] - times[before]
    part = np.divide(clock - times[before], width, out=np.zeros_like(clock), where=width > 0)[:, None]
    return (frames[before] * (1 - part) + frames[after] * part).astype(np.float32)


def _aligned(one: Vectors, other: Vectors, floor: float) -> tuple[float, int, int]:
    """Similarity at the best shift, that shift (how many steps `one` begins earlier), and how many steps both show."""
    least = LEAST_OVERLAP * max(len(one), len(other))
    products = one @ other.T
    lengths_one, lengths_other = (one**2).sum(axis=1), (other**2).sum(axis=1)
    best, at = np.inf, (0, 0)
    for shift in range(1 - len(other), len(one)):
        shared = min(len(one), len(other) + shift) - max(shift, 0)
        if shared < least:
            continue
        mine, theirs = slice(max(shift, 0), max(shift, 0) + shared), slice(max(-shift, 0), max(-shift, 0) + shared)
        distances = lengths_one[mine] + lengths_other[theirs] - 2 * np.diagonal(products, -shift)
        if (distance := float(distances.mean())) < best:
            best, at = distance, (shift, shared)
    shift, shared = at
    if not shared:
        return -np.inf, 0, 0
    both = [one[max(shift, 0) :][:shared], other[max(-shift, 0) :][:shared]]
    center = np.mean([frames.mean(axis=0) for frames in both], axis=0)
    change = sum(float(((frames - center) ** 2).sum(axis=1).mean()) for frames in both)
    return 1 - best / (change + floor), shift, shared
