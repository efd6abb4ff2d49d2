"""Batches from stored features: drawn from (seed, iteration) alone, labelled parts cut by time, memory bounded."""

from pathlib import Path

import numpy as np
import torch

from framecue.datasets.feature_set import FeatureCache, FeatureSet, balanced_rows, training_batch, view_batch
from framecue.types import FrameFeatures, Record

NAMES = ("left", "right")


class Store:
    """Features whose every value is the video's number, with frame times as second column; counts what is read."""

    def __init__(self, num_frames: int = 20) -> None:
        self.num_frames, self.reads = num_frames, 0

    def fetch(self, hashes):
        self.reads += len(hashes)
        return [self._features(int(key)) for key in hashes]

    def _features(self, number: int) -> FrameFeatures:
        times = np.arange(self.num_frames) / 10
        values = np.stack([np.full(self.num_frames, number), times], axis=1).astype(np.float32)
        return FrameFeatures(values, times, self.num_frames / 10)


def make_set(count: int = 10, store: Store | None = None, **options) -> FeatureSet:
    records = [Record(Path(f"{i}.mp4"), NAMES[i % 2]) for i in range(count)]
    return FeatureSet(records, [str(i) for i in range(count)], NAMES, (store or Store()).fetch, **options)


def batch(data, iteration, seed=0, batch_size=4):
    return training_batch(data, iteration, batch_size=batch_size, window=8, strides=(1, 2), seed=seed)


def test_a_batch_follows_from_seed_and_iteration():
    first, second = batch(make_set(), 7), batch(make_set(), 7)
    assert torch.equal(first.frame_features, second.frame_features)
    assert first.frame_features.shape == (4, 8, 2)
    assert not torch.equal(first.frame_features, batch(make_set(), 8).frame_features)
    assert not torch.equal(first.frame_features, batch(make_set(), 7, seed=1).frame_features)


def test_targets_belong_to_their_features():
    data = make_set()
    for iteration in range(6):
        drawn = batch(data, iteration)
        assert torch.equal(drawn.frame_features[:, 0, 0].long() % 2, drawn.targets)


def test_an_epoch_shows_each_video_once_and_drops_the_rest():
    """10 videos in batches of 4: two batches an epoch, eight different videos, and other eight in other epochs."""
    data = make_set()
    epochs = [
        torch.cat([batch(data, 2 * epoch + slot).frame_features[:, 0, 0] for slot in range(2)]).tolist()
        for epoch in range(6)
    ]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert set().union(*epochs) == set(range(10))


def test_a_set_smaller_than_a_batch_is_taken_whole():
    drawn = batch(make_set(3), 5, batch_size=64)
    assert sorted(drawn.frame_features[:, 0, 0].tolist()) == [0, 1, 2]


def test_labelled_parts_are_half_open():
    record = Record(Path("0.mp4"), "left", start_seconds=0.5, end_seconds=1.0)
    data = FeatureSet([record], ["0"], NAMES, Store().fetch)
    (features,) = data.features([0])
    np.testing.assert_allclose(features[:, 1], [0.5, 0.6, 0.7, 0.8, 0.9])


def test_a_part_between_two_frames_gives_the_nearest():
    record = Record(Path("0.mp4"), "left", start_seconds=0.52, end_seconds=0.58)
    (features,) = FeatureSet([record], ["0"], NAMES, Store().fetch).features([0])
    np.testing.assert_allclose(features[:, 1], [0.5])


def test_features_are_read_once_and_kept_within_bounds():
    store = Store()
    data = make_set(store=store)
    for _ in range(3):
        data.features(range(10))
    assert store.reads == 10
    one_video = store.fetch(["0"])[0].frame_features.nbytes
    small = Store()
    shared = FeatureCache(small.fetch, cache_bytes=3 * one_video)
    first, second = (FeatureSet(data.records, data.hashes, data.class_names, shared) for _ in range(2))
    first.features(range(10))
    second.features(range(10))  # of what the first one read
    assert small.reads == 10 + 7


def test_views():
    views = view_batch(make_set(), [3, 1], window=8, num_views=5)
    assert views.shape == (2, 5, 8, 2)
    assert views[0, :, :, 0].eq(3).all()
    assert torch.equal(views, view_batch(make_set(), [3, 1], window=8, num_views=5))
    assert (views[0, 1:, 0, 1] >= views[0, :-1, 0, 1]).all()


def skewed(count: int = 100) -> FeatureSet:
    """Nine of "left" for each of "right"."""
    records = [Record(Path(f"{i}.mp4"), NAMES[i % 10 == 0]) for i in range(count)]
    return FeatureSet(records, [str(i) for i in range(count)], NAMES, Store().fetch)


def test_balanced_batches_draw_classes_alike_and_then_a_video():
    data, how = skewed(), {"batch_size": 16, "window": 8, "strides": (1,), "seed": 3, "balance": "classes"}
    drawn = [training_batch(data, iteration, **how) for iteration in range(200)]
    rare = np.concatenate([batch.targets.numpy() for batch in drawn]).mean()
    assert abs(rare - 0.5) < 0.03  # four standard errors of 3,200 fair draws are 0.035
    for batch in drawn:
        assert torch.equal((batch.frame_features[:, 0, 0].long() % 10 == 0).long(), batch.targets)
    videos = np.concatenate([batch.frame_features[:, 0, 0].numpy() for batch in drawn])
    assert len(np.unique(videos)) == 100
    again = training_batch(skewed(), 7, **how)  # from seed and iteration alone
    assert torch.equal(again.frame_features, drawn[7].frame_features)
    assert not torch.equal(training_batch(data, 7, **how | {"seed": 4}).targets, drawn[7].targets)


def test_balanced_rows_pass_over_classes_without_any():
    rows = balanced_rows(np.array([4, 4, 4, 1]), 64, (0,))
    assert set(rows.tolist()) <= {0, 1, 2, 3}
    assert len(rows) == 4


def test_without_balance_batches_are_those_of_shuffled_epochs():
    """The very rows that `default_rng((seed, 0, epoch))` shuffles, as before there was a choice."""
    data = make_set()
    for iteration in range(4):
        order = np.random.default_rng((3, 0, iteration // 2)).permutation(10)
        rows = order[iteration % 2 * 4 :][:4]
        assert batch(data, iteration, seed=3).frame_features[:, 0, 0].tolist() == rows.tolist()
