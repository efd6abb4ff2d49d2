"""Windows of equal length tile a stream, whatever its times, and hold little of it."""

import numpy as np
import pytest

from framecue.tasks.moment_windows import Thinned, WindowCutter, cut_windows, shown_at, spread_times


def stream(pts, chunk=7):
    """Each feature is its own number."""
    pts = np.asarray(pts, dtype=np.float64)
    for start in range(0, len(pts), chunk):
        part = pts[start : start + chunk]
        yield np.arange(start, start + len(part), dtype=np.float32)[:, None], part


def cut(pts, duration, *, window=4.0, hop=2.0, num_frames=16, chunk=7):
    found = cut_windows(stream(pts, chunk), duration, window_seconds=window, hop_seconds=hop, num_frames=num_frames)
    return [(w.start_seconds, w.end_seconds, w.frame_features[:, 0].astype(int).tolist()) for w in found]


def test_windows_begin_at_every_hop_and_the_last_ends_with_the_video():
    found = cut(np.arange(45) / 4, 11.25)
    assert [(start, end) for start, end, _ in found] == [(0, 4), (2, 6), (4, 8), (6, 10), (7.25, 11.25)]
    assert found[0][2] == list(range(16))
    assert found[1][2] == list(range(8, 24))
    assert found[-1][2] == list(range(29, 45))


def test_a_video_that_ends_with_a_window_has_it_once():
    found = cut(np.arange(32) / 4, 8.0)
    assert [(start, end) for start, end, _ in found] == [(0, 4), (2, 6), (4, 8)]


def test_a_short_video_is_one_window_of_its_own_length():
    assert cut(np.arange(6) / 4, 1.5) == [(0, 1.5, [(2 * i + 1) * 6 // 32 for i in range(16)])]
    assert cut([0.0], 0.04, num_frames=3) == [(0, 0.04, [0, 0, 0])]


def test_times_need_not_begin_at_zero_and_a_length_may_not_count_that():
    found = cut(1.4 + np.arange(40) / 4, 10.0)
    assert [start for start, *_ in found] == pytest.approx([1.4, 3.4, 5.4, 7.4])
    assert found[-1][1] == pytest.approx(11.4)


def test_a_still_picture_is_one_window():
    pts = [0.0, 1.0, 2.0, 100.0, 101.0, 102.0]
    found = cut(pts, 103.0, num_frames=4)
    assert [(start, end) for start, end, _ in found] == [(0, 4), (2, 6), (4, 100), (98, 102), (99, 103)]
    assert found[2][2] == [2, 2, 2, 2]
    assert found[3][2] == [2, 2, 3, 4]


def test_a_length_beyond_the_last_frame_is_a_still_end():
    found = cut(np.arange(20) / 4, 60.0, num_frames=4)
    assert [(start, end) for start, end, _ in found] == [(0, 4), (2, 60)]


@pytest.mark.parametrize("pts", [[0, 1, 1e9, 1e9 + 1], [0, 0, 0, 0], [5e8]])
def test_absurd_times_give_few_windows(pts):
    assert 1 <= len(cut(pts, 2e9)) <= 3 * len(pts)


@pytest.mark.parametrize("chunk", [1, 3, 64, 1000])
def test_chunks_do_not_matter(chunk):
    pts = np.cumsum(np.random.default_rng(0).exponential(0.5, 300))
    assert cut(pts, pts[-1] + 1, chunk=chunk) == cut(pts, pts[-1] + 1, chunk=300)


def test_windows_cover_the_video_without_holes():
    pts = np.cumsum(np.random.default_rng(1).exponential(1.0, 200) ** 2)
    found = cut(pts, pts[-1] + 1)
    ends = np.maximum.accumulate([end for _, end, _ in found])
    assert all(start <= end for (start, *_), end in zip(found[1:], ends[:-1], strict=True))
    assert found[0][0] == pts[0]
    assert ends[-1] == pts[-1] + 1


def test_memory_does_not_grow_with_the_video():
    cutter = WindowCutter(window_seconds=4, hop_seconds=2, num_frames=16)
    held, num_windows = 0, 0
    for features, pts in stream(np.arange(40_000) / 4, chunk=64):
        num_windows += sum(1 for _ in cutter.push(features, pts))
        held = max(held, cutter.num_held)
    assert num_windows == 40_000 / 4 / 2 - 2
    assert held <= 64 + 2 * 16


def test_windows_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="hop_seconds must be above 0 and at most the window's 4, got 5"):
        WindowCutter(window_seconds=4, hop_seconds=5, num_frames=16)


def test_frames_before_zero_are_no_moments():
    assert [(start, end) for start, end, _ in cut(np.arange(-4, 20) / 4, 5.0)] == [(0, 4), (1, 5)]
    assert cut([-2.0, -1.0], 0.0, num_frames=2) == [(0, 0.001, [1, 1])]


def test_no_frames_no_windows():
    assert cut([], 10.0) == []


def test_a_frame_is_shown_until_the_next_one():
    assert shown_at(np.array([-1, 0, 0.9, 1, 5]), np.array([0.0, 1.0, 2.0])).tolist() == [0, 0, 0, 1, 2]
    assert spread_times(2, 4, 4).tolist() == [2.25, 2.75, 3.25, 3.75]


@pytest.mark.parametrize("count", [1, 10, 11, 57, 1000])
def test_thinned_features_are_evenly_spread(count):
    thinned = Thinned(most=10)
    for features, _ in stream(np.arange(count)):
        thinned.push(features)
    kept = thinned.features()[:, 0]
    assert len(kept) <= 10
    assert len(set(np.diff(kept))) <= 1
    assert kept[0] == 0
    assert len(kept) >= min(count, 5)
