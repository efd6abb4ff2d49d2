"""Times, grids, overlaps."""

import numpy as np
import pytest

import framecue.segments
from framecue.segments import frame_edges, soft_nms, temporal_iou, to_grid, to_seconds


def test_edges_lie_half_way_between_frames_and_inside_the_video() -> None:
    assert frame_edges(np.array([0.0, 1.0, 2.0]), 2.4).tolist() == [0.0, 0.5, 1.5, 2.4]
    assert frame_edges(np.array([0.0, 1.0, 2.0]), 9.0).tolist() == [0.0, 0.5, 1.5, 2.5]
    assert frame_edges(np.array([0.0, 1.0, 2.0]), 1.5).tolist() == [0.0, 0.5, 1.5, 2.0]


def test_edges_of_a_video_that_does_not_begin_at_zero_and_of_a_single_frame() -> None:
    assert frame_edges(np.array([10.0, 12.0])).tolist() == [9.0, 11.0, 13.0]
    assert frame_edges(np.array([0.0]), 3.0).tolist() == [0.0, 3.0]
    assert frame_edges(np.array([1.5]), 3.0).tolist() == [0.0, 3.0]
    assert frame_edges(np.array([2.0])).tolist() == [2.0, 2.0]


def test_grid_and_seconds_are_each_others_inverse_at_a_variable_frame_rate() -> None:
    edges = frame_edges(np.array([0.0, 0.1, 0.5, 2.0, 2.1]))
    places = np.array([[0.0, 0.25], [1.5, 4.75]])
    np.testing.assert_allclose(to_grid(to_seconds(places, edges), edges), places)
    assert to_seconds(np.array([-3.0, 99.0]), edges).tolist() == [edges[0], edges[-1]]


def test_overlap() -> None:
    segments = np.array([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0], [5.0, 5.0]])
    overlap = temporal_iou(segments, segments)
    assert overlap[0].tolist() == pytest.approx([1, 1 / 3, 0, 0])
    assert overlap[3, 3] == 0
    np.testing.assert_array_equal(overlap, overlap.T)


def test_soft_nms_lowers_what_overlaps_a_better_one_and_leaves_the_rest() -> None:
    segments = np.array([[0.0, 10.0], [0.0, 9.0], [20.0, 30.0]])
    kept, scores = soft_nms(segments, np.array([0.9, 0.8, 0.5]), sigma=0.5)
    assert kept.tolist() == [0, 2, 1]
    assert scores.tolist() == pytest.approx([0.9, 0.5, 0.8 * np.exp(-0.81 / 0.5)])
    assert soft_nms(segments, np.array([0.9, 0.8, 0.5]), sigma=0.5, min_score=0.3)[0].tolist() == [0, 2]
    assert soft_nms(segments, np.array([0.9, 0.8, 0.5]), sigma=0.5, max_segments=1)[0].tolist() == [0]
    assert len(soft_nms(np.zeros((0, 2)), np.zeros(0), sigma=0.5)[0]) == 0


def test_soft_nms_takes_the_first_of_equal_scores() -> None:
    segments = np.array([[40.0, 50.0], [0.0, 10.0], [20.0, 30.0], [0.0, 10.0]])
    kept, scores = soft_nms(segments, np.full(4, 0.5), sigma=0.5)
    assert kept.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(scores, [0.5, 0.5, 0.5, 0.5 * np.exp(-2)])


def test_soft_nms_does_not_depend_on_how_the_overlaps_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 50, 300)
    segments = np.stack([start, start + rng.uniform(0.1, 20, 300)], axis=1)
    scores = rng.integers(1, 20, 300) / 20  # many are equal
    at_once = soft_nms(segments, scores, sigma=0.5, min_score=0.01, max_segments=200)
    monkeypatch.setattr(framecue.segments, "_MATRIX_SEGMENTS", 10)
    row_by_row = soft_nms(segments, scores, sigma=0.5, min_score=0.01, max_segments=200)
    np.testing.assert_array_equal(at_once[0], row_by_row[0])
    np.testing.assert_array_equal(at_once[1], row_by_row[1])
