"""Training batches from untrimmed videos: drawn from (seed, iteration) alone, segments on the right features."""

import numpy as np
import pytest
import torch

from framecue.datasets.feature_set import draw_rows
from framecue.datasets.untrimmed_set import UntrimmedSet, segment_batch, window_batch
from framecue.segments import frame_edges, to_grid
from framecue.types import AnnotatedVideo, FrameFeatures, Segment

NAMES = ("run", "jump")


def features(number, count, *, steps=(0.125,), seed=0):
    """Each feature says its place, its video and its time; steps between frames are drawn from `steps`."""
    rng = np.random.default_rng((seed, number))
    pts = np.cumsum(rng.choice(steps, size=count)) - steps[0]
    table = np.stack([np.arange(count), np.full(count, number), pts], axis=1)
    return FrameFeatures(table.astype(np.float32), pts, float(pts[-1]) + steps[0])


def dataset(*videos, ignored=None, steps=(0.125,)):
    """Of (number of features, [(start, end, label), ...]) for each video."""
    stored = {f"h{number}": features(number, count, steps=steps) for number, (count, _) in enumerate(videos)}
    annotated = [
        AnnotatedVideo(f"v{number}", stored[f"h{number}"].duration_seconds, None, tuple(Segment(*s) for s in segments))
        for number, (_, segments) in enumerate(videos)
    ]
    unknown = None if ignored is None else [tuple(Segment(*s) for s in part) for part in ignored]
    return UntrimmedSet(annotated, list(stored), NAMES, lambda keys: [stored[key] for key in keys], unknown)


def many(count=5, length=200):
    spans = [(2.0, 4.0, "run"), (6.0, 6.5, "jump"), (15.0, 24.0, "run")]
    return dataset(*[(length - 7 * number, spans[: number % 4]) for number in range(count)])


def same(first, second):
    pairs = [(first.frame_features, second.frame_features), (first.valid_mask, second.valid_mask)]
    for name in ("actions", "ignored"):
        pairs += zip(getattr(first, name), getattr(second, name), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_windows_follow_from_seed_and_iteration_alone():
    how = {"batch_size": 2, "window": 32}
    forward = [window_batch(many(), step, seed=4, **how) for step in range(8)]
    np.random.seed(99)
    torch.manual_seed(99)
    again = many()
    backward = [window_batch(again, step, seed=4, **how) for step in reversed(range(8))][::-1]
    assert all(same(*pair) for pair in zip(forward, backward, strict=True))
    assert not any(same(forward[step], window_batch(many(), step, seed=5, **how)) for step in range(8))
    starts = {tuple(batch.frame_features[:, 0, 0].tolist()) for batch in forward}
    assert len(starts) > 4


def test_segments_follow_from_seed_and_iteration_alone():
    how = {"batch_size": 3, "num_frames": 8, "jitter": 0.2}
    forward = [segment_batch(many(), step, seed=4, **how) for step in range(6)]
    again = many()
    for step in reversed(range(6)):
        batch = segment_batch(again, step, seed=4, **how)
        assert torch.equal(batch.frame_features, forward[step].frame_features)
        assert torch.equal(batch.targets, forward[step].targets)
    assert not torch.equal(segment_batch(many(), 0, seed=5, **how).frame_features, forward[0].frame_features)


def test_rows_are_shuffled_epochs_and_a_small_set_is_taken_whole():
    epochs = [[draw_rows(7, 3 * epoch + slot, batch_size=2, seed=(1,)) for slot in range(3)] for epoch in range(4)]
    for epoch in epochs:
        rows = np.concatenate(epoch).tolist()
        assert len(set(rows)) == 6
    assert len({tuple(np.concatenate(epoch).tolist()) for epoch in epochs}) == 4
    for step in range(5):
        assert sorted(draw_rows(3, step, batch_size=16, seed=(1,)).tolist()) == [0, 1, 2]
    batch = window_batch(many(3), 2, batch_size=16, window=16, seed=0)
    assert sorted(batch.frame_features[:, 0, 1].tolist()) == [0, 1, 2]
    assert len(segment_batch(many(3), 2, batch_size=16, num_frames=4).targets) == 3


def test_a_window_shows_its_video_and_its_actions_there():
    """Whole actions are where their frames are: the frames inside say times inside."""
    data = dataset((300, [(4.0, 6.0, "run"), (20.0, 23.0, "jump")]), (120, [(9.0, 10.0, "jump")]))
    seen = 0
    for step in range(40):
        batch = window_batch(data, step, batch_size=2, window=64, seed=1)
        assert batch.frame_features.shape == (2, 64, 3)
        assert batch.valid_mask.all()
        for shown, actions, ignored in zip(batch.frame_features, batch.actions, batch.ignored, strict=True):
            first, video = int(shown[0, 0]), int(shown[0, 1])
            assert shown[:, 0].tolist() == list(range(first, first + 64))
            spans = [(s.start_seconds, s.end_seconds) for s in data.videos[video].segments]
            expected = [[8 * start + 0.5 - first, 8 * end + 0.5 - first] for start, end in spans]
            whole = [pair for pair in expected if pair[0] >= 0 and pair[1] <= 64]
            assert all(pair in actions.tolist() for pair in whole)
            middles = [sum(pair) / 2 for pair in expected]
            assert any(0 <= middle <= 64 for middle in middles), "no action's middle is in the window"
            assert len(actions) + len(ignored) <= len(expected)
            seen += len(whole)
    assert seen > 40


def windows_of(data, *, window, steps=60):
    """(start, actions, ignored) of every window drawn of a set of one video."""
    for step in range(steps):
        batch = window_batch(data, step, batch_size=1, window=window, seed=3)
        yield int(batch.frame_features[0, 0, 0]), batch.actions[0].tolist(), batch.ignored[0].tolist()


def test_what_a_window_cuts_is_kept_for_the_most_part_or_ignored():
    """A second of 8 features, cut at both sides as windows happen to lie."""
    data = dataset((400, [(20.0, 24.0, "run"), (25.0, 29.0, "jump")]))
    spans = [(160.5, 192.5), (200.5, 232.5)]
    counts = {"whole": 0, "cut": 0, "ignored": 0}
    for start, actions, ignored in windows_of(data, window=40):
        kept, silent = [], []
        for low, high in spans:
            inside = [max(low - start, 0), min(high - start, 40)]
            share = (inside[1] - inside[0]) / (high - low)
            if share >= 0.5:
                kept.append(inside)
                counts["whole" if share == 1 else "cut"] += 1
            elif share > 0:
                silent.append(inside)
                counts["ignored"] += 1
        assert (actions, ignored) == (kept, silent)
    assert min(counts.values()) > 3, counts


def test_parts_of_other_names_are_ignored_wherever_they_lie():
    data = dataset((400, [(20.0, 21.0, "run")]), ignored=[[(21.0, 22.0, "other"), (18.0, 30.0, "other")]])
    for start, actions, ignored in windows_of(data, window=16, steps=20):
        assert all(0 <= low < high <= 16 for low, high in actions + ignored)
        expected = [[max(low - start, 0), min(high - start, 16)] for low, high in ((168.5, 176.5), (144.5, 240.5))]
        assert all(pair in ignored for pair in expected if pair[1] > pair[0])


def test_a_variable_frame_rate_leads_to_the_right_features():
    """The frames inside an action's grid cells are those whose cells meet it in seconds."""
    data = dataset((300, [(10.0, 12.0, "run"), (20.0, 21.5, "jump")]), steps=(0.05, 0.1, 0.6))
    found = data.features([0])[0]
    edges = frame_edges(found.pts_seconds, found.duration_seconds)
    for (low, high), segment in zip(data.grid_segments(0, found), data.videos[0].segments, strict=True):
        cells = np.arange(int(np.floor(low)), int(np.ceil(high)))
        meets = np.flatnonzero((edges[:-1] < segment.end_seconds) & (edges[1:] > segment.start_seconds))
        assert cells.tolist() == meets.tolist()
        assert np.interp([low, high], np.arange(301), edges) == pytest.approx(
            [segment.start_seconds, segment.end_seconds]
        )
    batch = segment_batch(data, 0, batch_size=2, num_frames=6)
    for shown, target in zip(batch.frame_features, batch.targets.tolist(), strict=True):
        segment = next(s for s in data.videos[0].segments if s.label == NAMES[target])
        times = found.pts_seconds[shown[:, 0].numpy().astype(int)]
        reach = 0.3 + 1e-6  # a frame's cell reaches half a step beyond its time
        assert (times >= segment.start_seconds - reach).all()
        assert (times <= segment.end_seconds + reach).all()
        assert (np.diff(times) >= 0).all()


def test_a_video_shorter_than_the_window_is_masked():
    data = dataset((5, [(0.2, 0.5, "run")]), (1, []))
    batch = window_batch(data, 0, batch_size=2, window=16, seed=0)
    order = batch.frame_features[:, 0, 1].long().tolist()
    lengths = [5, 1]
    for slot, video in enumerate(order):
        assert batch.valid_mask[slot].tolist() == [True] * lengths[video] + [False] * (16 - lengths[video])
        assert batch.frame_features[slot, lengths[video] :].abs().sum() == 0
    assert batch.actions[order.index(0)].tolist() == [pytest.approx([2.1, 4.5])]
    assert batch.actions[order.index(1)].shape == batch.ignored[order.index(1)].shape == (0, 2)


def test_jitter_shifts_both_ends_by_no_more_than_its_part():
    data = dataset((400, [(10.0, 20.0, "run")]))
    low, high = data.grid_segments(0, data.features([0])[0])[0]
    first, last = zip(
        *(
            (int(shown[0]), int(shown[-1]))
            for step in range(60)
            for shown in segment_batch(data, step, batch_size=1, num_frames=80, jitter=0.1).frame_features[..., 0]
        ),
        strict=True,
    )
    assert low - 8 - 1 <= min(first) < low - 4
    assert low + 4 < max(first) <= low + 8 + 1
    assert high + 4 < max(last) <= high + 8 + 1
    still = segment_batch(data, 0, batch_size=1, num_frames=80).frame_features[0, :, 0]
    assert still.min() == int(low)
    assert int(high) - 1 <= still.max() <= int(high)


def test_context_widens_a_segment():
    data = dataset((400, [(20.0, 30.0, "run")]))
    narrow, wide = (
        segment_batch(data, 0, batch_size=1, num_frames=50, context=context).frame_features[0, :, 0]
        for context in (0.0, 0.25)
    )
    assert (wide[-1] - wide[0]) == pytest.approx(1.5 * float(narrow[-1] - narrow[0]), abs=4)


def test_targets_count_in_the_class_names():
    data = dataset((100, [(1.0, 2.0, "jump"), (3.0, 4.0, "run")]), (100, []), (100, [(5.0, 6.0, "jump")]))
    assert data.targets.tolist() == [1, 0, 1]
    assert data.segment_rows.tolist() == [[0, 0], [0, 1], [2, 0]]
    batch = segment_batch(data, 0, batch_size=3, num_frames=4)
    for shown, target in zip(batch.frame_features, batch.targets.tolist(), strict=True):
        segment = next(
            s for s in data.videos[int(shown[0, 1])].segments if s.start_seconds - 0.1 <= shown[0, 2] <= s.end_seconds
        )
        assert NAMES[target] == segment.label


def test_an_action_beyond_the_features_is_in_no_window():
    """It has no length on the grid: neither an action nor a part to ignore. (localization_data leaves it out.)"""
    data = dataset((80, [(3.0, 4.0, "run"), (10.05, 10.9, "jump")]), ignored=[[(11.0, 12.0, "other")]])
    assert np.ptp(data.grid_segments(0, data.features([0])[0])[1]) == 0
    for start, actions, ignored in windows_of(data, window=32, steps=20):
        assert len(actions) <= 1
        assert all(high - low > 0 for low, high in actions + ignored)
        assert start + 32 <= 80
    shown = segment_batch(data, 0, batch_size=2, num_frames=4).frame_features
    assert shown.isfinite().all()


def test_grid_of_no_segments():
    data = dataset((10, []))
    assert data.grid_segments(0, data.features([0])[0]).shape == (0, 2)
    assert to_grid(np.zeros((0, 2)), np.arange(4.0)).shape == (0, 2)


def test_balanced_actions_are_drawn_by_class():
    spans = [(float(second), second + 0.5, "run") for second in range(9)]
    data = dataset((200, [*spans, (15.0, 16.0, "jump")]))
    how = {"batch_size": 8, "num_frames": 4, "seed": 1, "balance": "classes"}
    batches = [segment_batch(data, step, **how) for step in range(100)]
    shares = np.bincount(np.concatenate([batch.targets.numpy() for batch in batches])) / 800
    assert abs(shares[data.class_names.index("jump")] - 0.5) < 0.07
    assert torch.equal(segment_batch(data, 5, **how).frame_features, batches[5].frame_features)


def test_overlapping_actions_are_each_drawn_with_their_label():
    data = dataset((100, [(1.0, 4.0, "run"), (2.0, 5.0, "jump"), (1.0, 4.0, "jump")]))
    batch = segment_batch(data, 0, batch_size=3, num_frames=4)
    assert sorted(data.class_names[target] for target in batch.targets.tolist()) == ["jump", "jump", "run"]
    assert len(window_batch(data, 0, batch_size=1, window=100, seed=0).actions[0]) == 3
