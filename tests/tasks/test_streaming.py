"""Windows over a stream: however it is cut into chunks, the same answer; and what is held stays small."""

import json

import numpy as np
import pytest

from framecue.datasets.localization import submission
from framecue.segments import frame_edges
from framecue.tasks.streaming import (
    CurveRecorder,
    FeatureWindow,
    GatherSettings,
    SegmentPool,
    WindowAnswer,
    as_chunks,
    localize_stream,
    windows,
)
from framecue.types import FrameFeatures

WINDOW, STRIDE = 8, 4


def video(num_frames, seed=0):
    rng = np.random.default_rng(seed)
    steps = rng.choice([0.1, 0.2, 0.7], size=num_frames)  # a variable frame rate
    pts = 0.5 + np.cumsum(steps)
    features = np.stack([np.arange(num_frames), rng.random(num_frames)], axis=1).astype(np.float32)
    return FrameFeatures(features, pts, float(pts[-1]) + 0.05)


def chunked(features, size):
    for start in range(0, len(features), size):
        yield features.frame_features[start : start + size], features.pts_seconds[start : start + size]


def cut(features, chunk_size):
    return list(
        windows(chunked(features, chunk_size), window=WINDOW, stride=STRIDE, duration_seconds=features.duration_seconds)
    )


@pytest.mark.parametrize("num_frames", [1, 3, 7, 8, 9, 11, 12, 13, 16, 17, 40])
def test_cores_tile_the_video_and_windows_are_full(num_frames):
    features = video(num_frames)
    found = cut(features, 5)
    assert {len(window) for window in found} == {min(num_frames, WINDOW)}
    assert [window.is_last for window in found] == [False] * (len(found) - 1) + [True]
    covered = [window.start_index + cell for window in found for cell in range(*window.core)]
    assert covered == list(range(num_frames))
    for window in found:
        assert 0 <= window.core[0] < window.core[1] <= len(window)
        np.testing.assert_array_equal(window.frame_features[:, 0], window.start_index + np.arange(len(window)))


@pytest.mark.parametrize("num_frames", [1, 8, 13, 40])
def test_windows_share_the_bounds_of_the_whole_video(num_frames):
    features = video(num_frames)
    whole = frame_edges(features.pts_seconds, features.duration_seconds)
    for window in cut(features, 3):
        expected = whole[window.start_index : window.start_index + len(window) + 1]
        inner = slice(window.start_index == 0, len(expected) - window.is_last)
        np.testing.assert_allclose(window.edges_seconds[inner], expected[inner], atol=1e-12)
        assert window.edges_seconds[-1] <= features.duration_seconds


class Steps:
    """Two segments in each window, at feature numbers that are whole tens, and a curve that says the number."""

    labels, sampling, window, stride = ("a", "b"), "all", WINDOW, STRIDE

    def __call__(self, window: FeatureWindow) -> WindowAnswer:
        tens = np.flatnonzero(window.frame_features[:, 0] % 10 == 0)
        spans = np.stack([window.edges_seconds[tens], window.edges_seconds[tens + 1]], axis=1)
        scores = np.stack([window.frame_features[tens, 1], 0.5 * window.frame_features[tens, 1]], axis=1)
        return WindowAnswer(spans, scores, np.repeat(window.frame_features[:, 1:], 2, axis=1))


def test_chunks_do_not_matter_and_stored_features_take_the_same_path():
    features = video(203)
    stored = localize_stream(as_chunks(features), features.duration_seconds, Steps())
    for size in (1, 7, 64):
        segments, curves = localize_stream(chunked(features, size), features.duration_seconds, Steps())
        assert segments == stored[0]
        np.testing.assert_array_equal(curves.scores, stored[1].scores)
        np.testing.assert_array_equal(curves.edges_seconds, stored[1].edges_seconds)
    assert sum(segment.label == "a" for segment in stored[0]) == 21  # each ten once, though windows overlap
    assert [segment.score for segment in stored[0]] == sorted((s.score for s in stored[0]), reverse=True)
    np.testing.assert_array_equal(stored[1].scores[:, 0], features.frame_features[:, 1])


def test_only_a_window_and_a_chunk_are_held():
    alive = []

    def endless():
        for index in range(300):
            chunk = np.full((4, 2), index, np.float32)
            yield chunk, np.arange(4 * index, 4 * index + 4) / 8

    for window in windows(endless(), window=WINDOW, stride=STRIDE):
        base = window.frame_features
        while base.base is not None:
            base = base.base
        alive.append(len(base))
    assert max(alive) <= WINDOW + 4 + 1


def test_no_features_no_windows_and_a_wrong_stride():
    assert not list(windows([], window=WINDOW, stride=STRIDE))
    segments, curves = localize_stream([], 0.0, Steps())
    assert segments == []
    assert curves.scores.shape == (0, 2)
    with pytest.raises(ValueError, match=r"stride must be from 1 to the window's 8 features, got 9"):
        list(windows([], window=8, stride=9))


def whole_window(num_cells):
    return FeatureWindow(
        np.zeros((num_cells, 1), np.float32), np.arange(num_cells + 1.0), 0, core=(0, num_cells), is_last=True
    )


def test_the_pool_keeps_the_best_and_no_more():
    rng = np.random.default_rng(1)
    pool = SegmentPool(GatherSettings(sigma=None, pool_size=50, max_segments=20))
    everything = []
    for _ in range(30):
        starts = rng.random(40) * 90
        answer = WindowAnswer(
            np.stack([starts, starts + 1], axis=1),
            rng.random((40, 1)).astype(np.float32),
            np.zeros((100, 1), np.float32),
        )
        pool.add(answer, whole_window(100))
        everything.append(answer.scores[:, 0])
        assert len(pool) <= 50
    best = np.sort(np.concatenate(everything))[::-1][:20]
    np.testing.assert_allclose([segment.score for segment in pool.finish(["x"])], best)


def test_suppression_is_within_a_label():
    segments = np.array([[0.0, 10.0], [0.5, 10.0], [20.0, 30.0]])
    scores = np.array([[0.9, 0.0], [0.8, 0.7], [0.1, 0.0]], np.float32)
    pool = SegmentPool(GatherSettings(sigma=0.1, min_score=0.05))
    pool.add(WindowAnswer(segments, scores, np.zeros((40, 2), np.float32)), whole_window(40))
    found = pool.finish(["a", "b"])
    assert [(s.label, s.start_seconds) for s in found] == [("a", 0.0), ("b", 0.5), ("a", 20.0)]


def test_what_ties_in_a_submission_ties_in_the_list():
    """The third is lowered by one part in 1e10 for touching the first: less than a file's nine digits show."""
    segments = np.array([[0.0, 100.0], [200.0, 210.0], [100.0 - 1e-3, 200.0]])
    pool = SegmentPool(GatherSettings(sigma=0.5))
    scores = np.array([[0.9], [0.7], [0.7]], np.float32)
    pool.add(WindowAnswer(segments, scores, np.zeros((300, 1), np.float32)), whole_window(300))
    found = pool.finish(["a"])
    written = [entry["score"] for entry in json.loads(submission({"v": found}))["results"]["v"]]
    assert len(set(written)) == len({segment.score for segment in found}) == 2


def test_curves_keep_their_mean_and_their_bounds():
    rng = np.random.default_rng(2)
    scores, edges = rng.random((1000, 3)).astype(np.float32), np.linspace(0, 50, 1001)
    recorder = CurveRecorder(3, max_cells=64)
    for start in range(0, 1000, 37):
        recorder.add(scores[start : start + 37], edges[start : min(start + 37, 1000) + 1])
    curves = recorder.finish("abc")
    assert len(curves.scores) <= 64
    assert (curves.edges_seconds[0], curves.edges_seconds[-1]) == (0, 50)
    assert np.all(np.diff(curves.edges_seconds) > 0)
    weights = np.diff(curves.edges_seconds)[:, None]
    np.testing.assert_allclose((curves.scores * weights).sum(axis=0) / 50, scores.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(curves.scores[0], scores[:16].mean(axis=0), rtol=1e-5)
    with pytest.raises(ValueError, match="max_cells must be even"):
        CurveRecorder(1, max_cells=3)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"edges_seconds must be \[4\]"):
        FeatureWindow(np.zeros((3, 2), np.float32), np.zeros(3), 0, (0, 3), True)
    with pytest.raises(ValueError, match=r"segments must be \[K, 2\]"):
        WindowAnswer(np.zeros((2, 2)), np.zeros((3, 1), np.float32), np.zeros((4, 1), np.float32))
    with pytest.raises(ValueError, match=r"curves must be \[T, 1\]"):
        WindowAnswer(np.zeros((2, 2)), np.zeros((2, 1), np.float32), np.zeros((4, 2), np.float32))
