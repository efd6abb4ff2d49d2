"""Windows become moments: disjoint, in order, the same whatever their order, and as if the whole index were merged."""

import hashlib
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.errors import MomentIndexError, UsageError
from framecue.search import Binding, Filter, MomentIndex, VideoVectors
from framecue.tasks.matching import MatchRule
from framecue.tasks.searching import NEARLY_AS_GOOD, Span, find_moments, merge_hits
from framecue.types import IndexedVideo, Maker

DIM = 8
BINDING = Binding(Maker("tiny", "a1" * 32, "{}", "fps:4"), "openai-clip", "", "", "4s/2s", DIM)
RULE = MatchRule(slope=10.0, center=0.5)

windows = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda halves: halves / 2),
        st.integers(1, 12).map(lambda halves: halves / 2),
        st.integers(-10, 10).map(lambda tenths: tenths / 10),
    ),
    max_size=25,
)


def arrays(drawn):
    spans = np.array([(start, start + length) for start, length, _ in drawn]).reshape(-1, 2)
    return spans, np.array([similarity for *_, similarity in drawn])


@given(windows, st.floats(0, 2))
@settings(max_examples=300, deadline=None)
def test_moments_are_disjoint_in_order_and_leave_no_window_out(drawn, margin):
    spans, similarities = arrays(drawn)
    moments = merge_hits(spans, similarities, margin=margin)
    by_time = sorted(moments, key=lambda moment: moment.start_seconds)
    assert all(one.end_seconds <= other.start_seconds for one, other in pairwise(by_time))
    assert [moment.similarity for moment in moments] == sorted((m.similarity for m in moments), reverse=True)
    for (start, end), similarity in zip(spans, similarities, strict=True):
        meets = [m for m in moments if m.start_seconds < end and start < m.end_seconds]
        assert meets, "a window lies in a moment or is suppressed by one"
        assert max(m.similarity for m in meets) >= similarity
    for moment in moments:
        assert any(
            moment.start_seconds <= start and end <= moment.end_seconds and similarity == moment.similarity
            for (start, end), similarity in zip(spans, similarities, strict=True)
        ), "its score is that of its best window"
        assert moment.start_seconds in spans[:, 0]
        assert moment.end_seconds in spans[:, 1]


@given(windows, st.floats(0, 2), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_the_order_of_the_windows_does_not_matter(drawn, margin, random):
    shuffled = list(drawn)
    random.shuffle(shuffled)
    assert merge_hits(*arrays(shuffled), margin=margin) == merge_hits(*arrays(drawn), margin=margin)


@given(windows, st.floats(0, 2), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_the_most_that_are_wanted_are_the_first_of_all(drawn, margin, most):
    assert merge_hits(*arrays(drawn), margin=margin, most=most) == merge_hits(*arrays(drawn), margin=margin)[:most]


def test_only_windows_nearly_as_good_as_the_best_are_merged():
    spans = np.array([[0, 4], [2, 6], [4, 8], [6, 10], [8, 12], [10, 14]])
    similarities = np.array([0.1, 0.55, 0.6, 0.58, 0.2, 0.1])
    assert merge_hits(spans, similarities, margin=0.1) == [Span(2, 10, 0.6), Span(10, 14, 0.1)]
    assert merge_hits(spans, similarities, margin=0.0)[0] == Span(4, 8, 0.6)
    assert merge_hits(spans, similarities, margin=1.0) == [Span(0, 14, 0.6)]


def test_windows_that_only_touch_are_one_moment_and_a_gap_parts_two():
    assert merge_hits([[0, 2], [2, 4]], [0.5, 0.5], margin=0.1) == [Span(0, 4, 0.5)]
    assert len(merge_hits([[0, 2], [2.5, 4]], [0.5, 0.5], margin=0.1)) == 2


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def make_video(name, vectors, **metadata):
    starts = np.arange(len(vectors)) * 2.0
    video = IndexedVideo(
        hashlib.sha256(name.encode()).hexdigest(), Path(f"/videos/{name}.mp4"), 1, 1, 2.0 * len(vectors) + 2,
        datetime(2024, 1, 1, tzinfo=UTC), metadata,
    )  # fmt: skip
    return VideoVectors(video, np.stack([starts, starts + 4], axis=1), unit(vectors), unit(vectors[0]))


@pytest.fixture(scope="module")
def items():
    rng = np.random.default_rng(0)
    walks = [np.cumsum(rng.normal(size=(rng.integers(1, 40), DIM)), axis=0) for _ in range(30)]
    return [make_video(f"v{number:02}", walk, part=number % 3) for number, walk in enumerate(walks)]


@pytest.fixture(scope="module")
def index(items, tmp_path_factory):
    index = MomentIndex.create(tmp_path_factory.mktemp("index") / "index", BINDING)
    index.add(items)
    return index


@pytest.fixture(scope="module")
def query():
    return unit(np.random.default_rng(5).normal(size=(1, DIM)))


def everything(index, queries, keep=lambda video: True):
    """All moments of the index, merged video by video: what the search must be the beginning of."""
    found = []
    for video in filter(keep, index.videos()):
        stored = index.vectors(video.video_id)
        values = (stored.vectors.astype(float) @ queries.astype(float).T).max(axis=1)
        for span in merge_hits(stored.spans, values, margin=NEARLY_AS_GOOD / RULE.slope):
            found.append((-span.similarity, str(video.path), span.start_seconds, span.end_seconds))
    return sorted(found)


def listed(result):
    return [(-m.similarity, str(m.video.path), m.start_seconds, m.end_seconds) for m in result.moments]


def find(index, queries, **options):
    return find_moments(index, queries, words="a query", rule=RULE, **options)


@pytest.mark.parametrize("top_k", [1, 2, 7, 20, 60, 500])
def test_the_best_moments_of_the_whole_index_whatever_is_asked_for(index, query, top_k):
    result = find(index, query, top_k=top_k)
    assert listed(result) == everything(index, query)[:top_k]
    assert (result.query, result.num_videos, result.exact, result.min_score) == ("a query", 30, True, 0.5)
    assert [m.score for m in result.moments] == pytest.approx(
        RULE.score([m.similarity for m in result.moments], index.status().num_moments)
    )


def test_several_vectors_ask_for_the_nearest_to_any(index):
    queries = unit(np.random.default_rng(6).normal(size=(3, DIM)))
    assert listed(find(index, queries, top_k=12)) == everything(index, queries)[:12]


def test_filters_and_left_out_videos(index, items, query):
    left_out = [item.video.video_id for item in items[:6]]
    result = find(index, query, top_k=100, where=Filter(metadata={"part": 1}), exclude=left_out)
    expected = everything(index, query, lambda video: video.metadata["part"] == 1 and video.video_id not in left_out)
    assert listed(result) == expected[:100]
    assert result.num_videos == 8


def test_single_windows(index, query):
    result = find(index, query, top_k=25, merge=False)
    hits = index.search(query, top_k=25).hits[0]
    assert [(m.video.path, m.start_seconds) for m in result.moments] == [
        (hit.video.path, hit.start_seconds) for hit in hits
    ]


def test_a_long_video_that_answers_everywhere_leaves_room_for_others(tmp_path, query):
    index = MomentIndex.create(tmp_path / "index", BINDING)
    alike = np.repeat(query, 600, axis=0)
    rng = np.random.default_rng(1)
    others = [make_video(f"other{number}", rng.normal(size=(3, DIM))) for number in range(4)]
    index.add([make_video("long", alike), *others])
    result = find(index, query, top_k=5)
    assert listed(result) == everything(index, query)[:5]
    assert (result.moments[0].start_seconds, result.moments[0].end_seconds) == (0.0, 1202.0)
    assert len({m.video.video_id for m in result.moments}) > 1


def test_ties_are_in_the_order_of_paths_and_times(tmp_path, query):
    index = MomentIndex.create(tmp_path / "index", BINDING)
    apart = np.concatenate([query, -query, -query, query])
    index.add([make_video(name, apart) for name in ("c", "a", "b")])
    result = find(index, query, top_k=6)
    order = [(m.video.path.stem, m.start_seconds) for m in result.moments]
    assert order == [("a", 0.0), ("a", 6.0), ("b", 0.0), ("b", 6.0), ("c", 0.0), ("c", 6.0)]


def test_an_empty_index_and_one_video(tmp_path, query):
    index = MomentIndex.create(tmp_path / "index", BINDING)
    result = find(index, query)
    assert (list(result.moments), result.num_videos, result.nothing_matches) == ([], 0, True)
    index.add([make_video("only", query)])
    assert not find(index, query).nothing_matches
    assert find(index, -query).nothing_matches
    assert find(index, -query, min_score=0.0).nothing_matches is False


def test_nothing_matches_is_said_only_where_sentences_about_other_things_are_as_near(tmp_path, query):
    index = MomentIndex.create(tmp_path / "index", BINDING)
    assert find(index, query).verdict == "nothing"
    index.add([make_video("only", query)])
    best = find(index, query).moments[0].score
    assert find(index, query, min_score=0.0).verdict == "match"
    assert find(index, query, min_score=1.0, absent_below=best).verdict == "unsure"
    assert find(index, query, min_score=1.0, absent_below=min(1.0, best + 1e-9)).verdict == "nothing"


def test_a_video_removed_while_it_is_searched_is_left_out(tmp_path, items, query):
    index = MomentIndex.create(tmp_path / "index", BINDING)
    index.add(items[:4])
    search, gone = index.search, items[2].video.video_id

    def search_then_lose(*arguments, **options):
        found = search(*arguments, **options)
        MomentIndex.open(tmp_path / "index").remove([gone])
        return found

    index.search = search_then_lose
    result = find(index, query, top_k=50)
    assert gone not in {m.video.video_id for m in result.moments}
    assert {m.video.video_id for m in result.moments} == {item.video.video_id for item in items[:4]} - {gone}


@pytest.mark.parametrize("options", [{"top_k": 0}, {"min_score": 1.5}, {"min_score": float("nan")}])
def test_numbers_that_mean_nothing_are_refused(index, query, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        find(index, query, **options)


def test_queries_of_another_model_are_refused(index):
    with pytest.raises(MomentIndexError, match="8 numbers"):
        find(index, unit(np.ones((1, 5))))
