import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from framecue.errors import UsageError
from framecue.video.sampling import (
    AUTHORS_STRIDES,
    FpsPicker,
    Sampling,
    fps_indices,
    parse_sampling,
    strided_window,
    uniform_indices,
    view_indices,
)

counts = st.integers(1, 2000)
sizes = st.integers(1, 40)


def reversed_indices(indices: np.ndarray, num_frames: int) -> np.ndarray:
    """Indices of the same frames in the reversed video, over all axes."""
    return num_frames - 1 - np.flip(indices)


# --- text form


@pytest.mark.parametrize("text", ["all", "fps:8", "fps:29.97", "fps:0.1", "uniform:16", "uniform:1"])
def test_sampling_text_round_trips(text: str) -> None:
    assert parse_sampling(text).text == text


def test_sampling_text_is_canonical() -> None:
    assert parse_sampling(" fps:8.0 ") == Sampling("fps", 8) == parse_sampling("fps:8")


@given(st.floats(1e-6, 1e6))
def test_any_rate_round_trips_without_loss(fps: float) -> None:
    assert parse_sampling(Sampling("fps", fps).text).value == fps


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all:",
        "all:3",
        "fps",
        "fps:",
        "fps:0",
        "fps:-1",
        "fps:nan",
        "fps:inf",
        "uniform:0",
        "uniform:2.5",
        "every:3",
        "ALL",
    ],
)
def test_bad_sampling_text_lists_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match=r'^Sampling .* is not known; use "all", "fps:F" .*, or "uniform:N" .*\.$'):
        parse_sampling(text)


def test_sampling_checks_its_value() -> None:
    with pytest.raises(UsageError, match=r"Sampling 'uniform' with value 2\.5 is not known"):
        Sampling("uniform", 2.5)


# --- uniform


@given(counts, sizes)
def test_uniform_is_sorted_in_range_and_of_the_size_asked(num_frames: int, n: int) -> None:
    indices = uniform_indices(num_frames, n)
    assert indices.dtype == np.int64
    assert indices.shape == (n,)
    assert (np.diff(indices) >= 0).all()
    assert indices[0] >= 0
    assert indices[-1] < num_frames


@given(counts, sizes)
def test_uniform_lies_at_the_centers_of_equal_parts(num_frames: int, n: int) -> None:
    centers = (np.arange(n) + 0.5) * num_frames / n - 0.5
    assert np.abs(uniform_indices(num_frames, n) - centers).max() <= 0.5 + 1e-9


@given(counts, sizes)
def test_uniform_obeys_the_reversal_law(num_frames: int, n: int) -> None:
    indices = uniform_indices(num_frames, n)
    difference = indices - reversed_indices(indices, num_frames)
    if n % 2 and num_frames % 2 == 0:
        assert difference[n // 2] == 1
        difference[n // 2] = 0
    assert not difference.any()


@given(sizes, sizes)
def test_uniform_takes_distinct_frames_when_there_are_enough(n: int, more: int) -> None:
    assert len(set(uniform_indices(n + more - 1, n).tolist())) == n


def test_uniform_repeats_frames_of_short_videos() -> None:
    assert uniform_indices(2, 4).tolist() == [0, 0, 1, 1]
    assert uniform_indices(5, 5).tolist() == [0, 1, 2, 3, 4]


def test_counts_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_frames must be at least 1, got 0\."):
        uniform_indices(0, 4)
    with pytest.raises(ValueError, match=r"num_views must be at least 1, got 0\."):
        view_indices(10, num_views=0)


# --- fps


def picked_in_stream(pts: np.ndarray, fps: float) -> list[int]:
    picker = FpsPicker(fps)
    kept = [i - 1 for i, seconds in enumerate(pts.tolist()) if picker.push(seconds)]
    return kept + ([len(pts) - 1] if picker.finish() else [])


timestamps = st.tuples(st.floats(-10, 1e5), st.lists(st.floats(0, 3), max_size=60)).map(
    lambda drawn: drawn[0] + np.cumsum([0.0, *drawn[1]])
)


@given(timestamps, st.floats(0.1, 120))
def test_fps_stream_equals_the_pure_function(pts: np.ndarray, fps: float) -> None:
    assert picked_in_stream(pts, fps) == fps_indices(pts, fps).tolist()


@given(timestamps, st.floats(0.1, 120))
def test_fps_keeps_the_first_frame_and_no_frame_twice(pts: np.ndarray, fps: float) -> None:
    indices = fps_indices(pts, fps)
    assert (np.diff(indices) > 0).all()
    assert pts[indices[0]] - pts[0] < 2e-3


@given(st.lists(st.integers(4, 3000), max_size=60), st.integers(1, 60))
def test_fps_takes_the_frames_shown_at_the_grid_times(gaps_ms: list[int], fps: int) -> None:
    pts = np.cumsum([0, *gaps_ms]) / 1000
    grid = np.arange(int(pts[-1] * fps) + 1) / fps
    grid = grid[grid <= pts[-1] + 1e-9]
    shown = np.searchsorted(pts, grid + 1.5e-3, side="right") - 1
    extra = {len(pts) - 1}  # a grid time within the tolerance before the last frame falls outside this naive grid
    assert set(shown.tolist()) <= set(fps_indices(pts, fps).tolist()) <= set(shown.tolist()) | extra


@pytest.mark.parametrize("rate", [24, 25, 30, 30000 / 1001, 50, 60])
@pytest.mark.parametrize("decimals", [3, 4, 9])
def test_fps_at_the_native_rate_keeps_every_frame_though_the_container_rounds(rate: float, decimals: int) -> None:
    pts = np.round(0.033 + np.arange(3000) / rate, decimals)
    assert len(fps_indices(pts, rate)) == 3000
    assert len(fps_indices(pts, rate * 2)) == 3000
    assert fps_indices(pts, rate / 2).tolist() == list(range(0, 3000, 2))


def test_fps_of_a_variable_rate_follows_time_not_count() -> None:
    pts = np.array([0.0, 0.1, 0.2, 0.3, 5.0, 5.1])
    assert fps_indices(pts, 1).tolist() == [0, 3, 4]


def test_fps_of_nothing_is_nothing() -> None:
    assert fps_indices([], 8).tolist() == []
    assert FpsPicker(8).finish() is False


# --- training windows


@given(counts, sizes, st.integers(0, 2**32 - 1))
def test_strided_window_is_one_stride_in_range(num_frames: int, window: int, seed: int) -> None:
    indices = strided_window(num_frames, window=window, rng=np.random.default_rng(seed))
    assert indices.dtype == np.int64
    assert indices.shape == (window,)
    assert indices[0] >= 0
    assert indices[-1] < num_frames
    if num_frames >= window > 1:
        (stride,) = set(np.diff(indices).tolist())
        assert stride in AUTHORS_STRIDES
    assert (indices == strided_window(num_frames, window=window, rng=np.random.default_rng(seed))).all()


def test_strided_window_draws_every_start_and_every_stride() -> None:
    rng = np.random.default_rng(0)
    drawn = {tuple(strided_window(64, rng=rng)[:2].tolist()) for _ in range(20_000)}
    assert drawn == {(start, start + stride) for stride in (1, 2, 3, 4) for start in range(64 - 15 * stride)}


def test_strided_window_can_start_at_the_last_valid_window() -> None:
    rng = np.random.default_rng(0)
    assert {int(strided_window(17, rng=rng)[0]) for _ in range(100)} == {0, 1}


def test_strided_window_draws_strides_as_often_as_listed() -> None:
    rng = np.random.default_rng(0)
    strides = [int(np.diff(strided_window(200, rng=rng))[0]) for _ in range(6000)]
    assert np.allclose(np.bincount(strides, minlength=5)[1:] / 6000, [1 / 6, 1 / 6, 3 / 6, 1 / 6], atol=0.02)


def test_strided_window_of_a_short_video_repeats_the_last_frame() -> None:
    assert strided_window(3, window=6, rng=np.random.default_rng(0)).tolist() == [0, 1, 2, 2, 2, 2]


# --- evaluation views


@given(counts, sizes, st.integers(1, 9), st.sampled_from([None, 1, 2, 5]))
def test_views_are_sorted_in_range_and_of_the_size_asked(
    n: int, window: int, num_views: int, stride: int | None
) -> None:
    views = view_indices(n, window=window, num_views=num_views, stride=stride)
    assert views.dtype == np.int64
    assert views.shape == (num_views, window)
    assert (np.diff(views, axis=1) >= 0).all()
    assert (np.diff(views, axis=0) >= 0).all()
    assert views.min() >= 0
    assert views.max() < n


@given(counts, st.integers(1, 20).map(lambda half: 2 * half), st.integers(1, 9), st.sampled_from([None, 1, 2, 5]))
def test_views_obey_the_reversal_law(n: int, window: int, num_views: int, stride: int | None) -> None:
    assume(n >= window)
    views = view_indices(n, window=window, num_views=num_views, stride=stride)
    difference = views - reversed_indices(views, n)
    if num_views % 2:
        middle = difference[num_views // 2]
        assert (np.abs(middle) <= 1).all()
        assert len(set(middle.tolist())) == 1
        difference[num_views // 2] = 0
    assert not difference.any()


@given(st.integers(61, 2000))
def test_five_views_reach_from_the_first_frame_to_the_last(n: int) -> None:
    views = view_indices(n, num_views=5)
    assert (np.diff(views, axis=1) == 4).all()
    assert views[0, 0] == 0
    assert views[-1, -1] == n - 1
    assert np.ptp(np.diff(views[:, 0])) <= 1


def test_views_shrink_their_stride_with_the_video() -> None:
    assert [int(view_indices(n, num_views=5)[0, 1]) for n in (61, 60, 46, 45, 31, 30, 16)] == [4, 3, 3, 2, 2, 1, 1]
    assert (view_indices(16, num_views=5) == np.arange(16)).all()


@given(st.integers(1, 15), st.integers(1, 5))
def test_short_videos_look_the_same_in_training_and_evaluation(n: int, num_views: int) -> None:
    trained = strided_window(n, rng=np.random.default_rng(0))
    assert (view_indices(n, num_views=num_views) == trained).all()


def test_one_view_spans_the_whole_video_unless_a_stride_is_given() -> None:
    assert (view_indices(160, num_views=1) == uniform_indices(160, 16)).all()
    assert view_indices(20, num_views=1, window=4, stride=2).tolist() == [[7, 9, 11, 13]]
