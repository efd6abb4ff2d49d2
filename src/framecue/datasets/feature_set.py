"""Stored frame features of labelled videos, and the batches cut from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from framecue.models.seen import Key
from framecue.types import FrameFeatures, Record
from framecue.video.sampling import WindowRule, draw_window, view_indices

Fetch = Callable[[Sequence[str]], Sequence[FrameFeatures]]
CACHE_BYTES = 2**30
Balance = Literal["none", "classes"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of B videos: frame_features float32 [B, T, D]; targets int64 [B]."""

    frame_features: Tensor
    targets: Tensor


class FeatureCache:
    """Features read when they are asked for and kept up to a fixed number of bytes; one may serve many feature sets.

    Args:
        fetch: content hashes -> features, in order.
        cache_bytes: how much is kept in memory, so that it does not grow with the number of videos.
    """

    def __init__(self, fetch: Fetch, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._fetch, self._room = fetch, cache_bytes
        self._kept: dict[str, FrameFeatures] = {}

    def __call__(self, hashes: Sequence[str]) -> list[FrameFeatures]:
        """Features of each video, in order."""
        wanted = dict.fromkeys(hashes)
        absent = [key for key in wanted if key not in self._kept]
        found = {key: self._kept[key] for key in wanted if key in self._kept}
        for key, features in zip(absent, self._fetch(absent) if absent else (), strict=True):
            found[key] = features
            if features.frame_features.nbytes <= self._room:
                self._room -= features.frame_features.nbytes
                self._kept[key] = features
        return [found[key] for key in hashes]


@dataclass(frozen=True)
class ViewDraw:
    """Evaluation windows drawn at random as training windows are, from a seed and the video's content hash."""

    strides: tuple[int, ...]
    rule: WindowRule
    seed: int

    def __call__(self, key: str, num_frames: int, *, window: int, num_views: int) -> npt.NDArray[np.int64]:
        """Frames of each view, int64 [num_views, window]."""
        rng = np.random.default_rng((self.seed, 3, *key.encode()))
        draws = (
            draw_window(num_frames, window=window, strides=self.strides, rule=self.rule, rng=rng)
            for _ in range(num_views)
        )
        return np.stack([*draws])


class FeatureSet:
    """Labelled videos whose features lie in a store.

    Args:
        records: the videos, all labelled.
        hashes: content hash of each, the store's key.
        class_names: names that targets count in.
        fetch: content hashes -> features, in order; a FeatureCache may be shared with other sets.
        view_draw: how evaluation windows are drawn; None = evenly spread.
    """

    def __init__(
        self,
        records: Sequence[Record],
        hashes: Sequence[str],
        class_names: Sequence[str],
        fetch: Fetch,
        view_draw: ViewDraw | None = None,
    ) -> None:
        position = {name: index for index, name in enumerate(class_names)}
        self.records = list(records)
        self.class_names = tuple(class_names)
        self.targets = np.array([position[record.label or ""] for record in records], dtype=np.int64)
        self.hashes = tuple(hashes)
        self.view_draw = view_draw
        self._fetch = fetch if isinstance(fetch, FeatureCache) else FeatureCache(fetch)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def keys(self) -> list[Key]:
        """Of each video, what tells it from others wherever it lies."""
        pairs = zip(self.hashes, self.records, strict=True)
        return [(content, record.start_seconds, record.end_seconds) for content, record in pairs]

    def features(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> list[npt.NDArray[np.float32]]:
        """Frame features [T, D] of the labelled part of each of these videos."""
        found = self._fetch([self.hashes[row] for row in rows])
        return [_labelled_part(features, self.records[row]) for features, row in zip(found, rows, strict=True)]


def _labelled_part(features: FrameFeatures, record: Record) -> npt.NDArray[np.float32]:
    """Features within the record's [start, end); the nearest single one where the part falls between two frames."""
    if record.start_seconds is None and record.end_seconds is None:
        return features.frame_features
    start = -np.inf if record.start_seconds is None else record.start_seconds
    end = np.inf if record.end_seconds is None else record.end_seconds
    inside = (features.pts_seconds >= start) & (features.pts_seconds < end)
    if not inside.any():
        inside = np.zeros(len(features), dtype=bool)
        inside[np.abs(features.pts_seconds - max(start, features.pts_seconds[0])).argmin()] = True
    return features.frame_features[inside]


def draw_rows(count: int, iteration: int, *, batch_size: int, seed: Sequence[int]) -> npt.NDArray[np.int64]:
    """Rows of a step: shuffled epochs without their incomplete last batch, from (seed, iteration) alone.

    A set smaller than a batch is taken whole at each step.
    """
    batch_size = min(batch_size, count)
    epoch, slot = divmod(iteration, count // batch_size)
    order = np.random.default_rng((*seed, epoch)).permutation(count)
    return order[slot * batch_size : (slot + 1) * batch_size]


def balanced_rows(targets: npt.NDArray[np.int64], batch_size: int, seed: Sequence[int]) -> npt.NDArray[np.int64]:
    """Rows drawn one by one: a class that has any, each with equal chance, then one of its rows.

    As many as `draw_rows` gives, of small classes some more than once.

    Args:
        targets: int64 [N], the class of each row.
    """
    rng = np.random.default_rng(tuple(seed))
    by_class = np.argsort(targets, kind="stable")
    _, starts, counts = np.unique(targets[by_class], return_index=True, return_counts=True)
    drawn = rng.integers(len(counts), size=min(batch_size, len(targets)))
    return by_class[starts[drawn] + rng.integers(counts[drawn])]


def training_batch(
    data: FeatureSet,
    iteration: int,
    *,
    batch_size: int,
    window: int,
    strides: Sequence[int],
    seed: int,
    rule: WindowRule = "exact",
    balance: Balance = "none",
) -> Batch:
    """The batch of a step: the authors' shuffling (epochs, the incomplete last batch dropped) and strided windows.

    Drawn from (seed, iteration) alone, so that a resumed run sees the batches of an uninterrupted one.

    Args:
        balance: "classes" draws as `balanced_rows` does.
    """
    if balance == "classes":
        rows = balanced_rows(data.targets, batch_size, (seed, 4, iteration))
    else:
        rows = draw_rows(len(data), iteration, batch_size=batch_size, seed=(seed, 0))
    draw = np.random.default_rng((seed, 1, iteration))
    windows = [
        features[draw_window(len(features), window=window, strides=strides, rule=rule, rng=draw)]
        for features in data.features(rows)
    ]
    return Batch(torch.from_numpy(np.stack(windows)).float(), torch.from_numpy(data.targets[rows]))


def view_batch(data: FeatureSet, rows: Sequence[int], *, window: int, num_views: int) -> Tensor:
    """Evaluation windows of these videos: float32 [B, num_views, T, D]. Deterministic, also where they are drawn."""
    found = data.features(rows)
    if data.view_draw is None:
        return torch.stack([features_to_views(features, window=window, num_views=num_views) for features in found])
    views = [
        features[data.view_draw(data.hashes[row], len(features), window=window, num_views=num_views)]
        for row, features in zip(rows, found, strict=True)
    ]
    return torch.from_numpy(np.stack(views)).float()


def features_to_views(features: npt.NDArray[np.float32], *, window: int, num_views: int) -> Tensor:
    """Evenly spread evaluation windows of one video: [T', D] -> float32 [num_views, T, D]."""
    return torch.from_numpy(features[view_indices(len(features), window=window, num_views=num_views)]).float()
