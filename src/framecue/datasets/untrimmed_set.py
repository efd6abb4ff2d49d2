"""Stored frame features of untrimmed videos with the actions in them, and the training batches cut from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from framecue.datasets.feature_set import Balance, Batch, FeatureCache, Fetch, balanced_rows, draw_rows
from framecue.models.localization import segment_frames
from framecue.models.seen import Key
from framecue.segments import frame_edges, to_grid
from framecue.types import AnnotatedVideo, FrameFeatures, Segment

KEPT_SHARE = 0.5  # of an action must lie in a window for it to be learned there (ActionFormer's truncation threshold)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Windows of B videos.

    Attributes:
        frame_features: float32 [B, T, D], zero where a video is shorter.
        valid_mask: bool [B, T].
        actions: per window float32 [K, 2] on its feature grid.
        ignored: per window float32 [M, 2]: actions nobody is to learn from.
    """

    frame_features: Tensor
    valid_mask: Tensor
    actions: list[Tensor]
    ignored: list[Tensor]


class UntrimmedSet:
    """Annotated videos whose features lie in a store.

    Args:
        videos: with the segments to learn or to find, all of `class_names`.
        hashes: content hash of each, the store's key.
        class_names: names that targets count in.
        fetch: content hashes -> features, in order; a FeatureCache may be shared with other sets.
        ignored: of each video, segments of other names: neither action nor background.
    """

    def __init__(
        self,
        videos: Sequence[AnnotatedVideo],
        hashes: Sequence[str],
        class_names: Sequence[str],
        fetch: Fetch,
        ignored: Sequence[Sequence[Segment]] | None = None,
    ) -> None:
        self.videos, self.hashes, self.class_names = list(videos), tuple(hashes), tuple(class_names)
        self.ignored = [tuple(part) for part in ignored] if ignored is not None else [()] * len(self.videos)
        self.fetch = fetch if isinstance(fetch, FeatureCache) else FeatureCache(fetch)
        position = {name: index for index, name in enumerate(self.class_names)}
        pairs = [(row, number) for row, video in enumerate(videos) for number in range(len(video.segments))]
        self.segment_rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        labels = [position[segment.label] for video in videos for segment in video.segments]
        self.targets = np.array(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def keys(self) -> list[Key]:
        """Of each video, what tells it from others wherever it lies."""
        return [(content, None, None) for content in self.hashes]

    def subset(self, rows: Sequence[int]) -> "UntrimmedSet":
        """These of the videos, with the same names."""
        videos, hashes = [self.videos[row] for row in rows], [self.hashes[row] for row in rows]
        return UntrimmedSet(videos, hashes, self.class_names, self.fetch, [self.ignored[row] for row in rows])

    def features(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> list[FrameFeatures]:
        """Frame features of each of these videos."""
        return self.fetch([self.hashes[row] for row in rows])

    def grid_segments(self, row: int, features: FrameFeatures) -> Array:
        """The video's actions on its feature grid, [K, 2]."""
        return _on_grid(self.videos[row].segments, features)

    def grid_ignored(self, row: int, features: FrameFeatures) -> Array:
        """The parts of the video to learn nothing from, on its feature grid, [M, 2]."""
        return _on_grid(self.ignored[row], features)


def _on_grid(segments: Sequence[Segment], features: FrameFeatures) -> Array:
    seconds = np.array([(segment.start_seconds, segment.end_seconds) for segment in segments]).reshape(-1, 2)
    return to_grid(seconds, frame_edges(features.pts_seconds, features.duration_seconds))


def window_batch(data: UntrimmedSet, iteration: int, *, batch_size: int, window: int, seed: int) -> WindowBatch:
    """One random window of each of the step's videos, that holds the middle of an action where there is one."""
    rows = draw_rows(len(data), iteration, batch_size=batch_size, seed=(seed, 10))
    draw = np.random.default_rng((seed, 11, iteration))
    found = data.features(rows)
    frame_features = torch.zeros(len(rows), window, found[0].frame_features.shape[1])
    valid_mask = torch.zeros(len(rows), window, dtype=torch.bool)
    actions, ignored = [], []
    for slot, (row, features) in enumerate(zip(rows.tolist(), found, strict=True)):
        real = data.grid_segments(row, features)
        start = _draw_start(len(features), window, real, draw)
        part = torch.from_numpy(features.frame_features[start : start + window]).float()
        frame_features[slot, : len(part)], valid_mask[slot, : len(part)] = part, True
        kept, cut = _cut(real - start, len(part))
        unknown, partly_unknown = _cut(data.grid_ignored(row, features) - start, len(part))
        actions.append(torch.from_numpy(kept).float())
        ignored.append(torch.from_numpy(np.concatenate([cut, unknown, partly_unknown])).float())
    return WindowBatch(frame_features, valid_mask, actions, ignored)


def segment_batch(
    data: UntrimmedSet,
    iteration: int,
    *,
    batch_size: int,
    num_frames: int,
    jitter: float = 0.0,
    context: float = 0.0,
    balance: Balance = "none",
    seed: int = 0,
) -> Batch:
    """Features inside the step's actions, as if they had been proposed: with both ends shifted a little.

    Args:
        num_frames, context: as `segment_frames` takes them.
        jitter: largest shift of either end, as a part of the action's length.
        balance: "classes" draws actions as `balanced_rows` does.
    """
    if balance == "classes":
        chosen = balanced_rows(data.targets, batch_size, (seed, 23, iteration))
    else:
        chosen = draw_rows(len(data.segment_rows), iteration, batch_size=batch_size, seed=(seed, 20))
    draw = np.random.default_rng((seed, 21, iteration))
    rows = data.segment_rows[chosen]
    parts = []
    for (row, number), features in zip(rows.tolist(), data.features(rows[:, 0]), strict=True):
        action = data.grid_segments(row, features)[number]
        shifted = action + draw.uniform(-jitter, jitter, 2) * (action[1] - action[0])
        places = segment_frames(shifted[None], len(features), num_frames=num_frames, context=context, rng=draw)
        parts.append(features.frame_features[places[0]])
    return Batch(torch.from_numpy(np.stack(parts)).float(), torch.from_numpy(data.targets[chosen]))


def _draw_start(num_features: int, window: int, segments: Array, draw: np.random.Generator) -> int:
    last = max(0, num_features - window)
    if not last or not len(segments):
        return int(draw.integers(last + 1))
    middle = segments[draw.integers(len(segments))].mean()
    lowest = int(np.clip(np.ceil(middle) - window, 0, last))
    return int(draw.integers(lowest, int(np.clip(np.floor(middle), lowest, last)) + 1))


def _cut(segments: Array, length: int) -> tuple[Array, Array]:
    """Those that lie in [0, length) for the most part, and what is left of the others; both cut to it."""
    inside = np.clip(segments, 0, length)
    size, whole = inside[:, 1] - inside[:, 0], segments[:, 1] - segments[:, 0]
    kept = (size > 0) & (size >= KEPT_SHARE * whole)
    return inside[kept], inside[(size > 0) & ~kept]
