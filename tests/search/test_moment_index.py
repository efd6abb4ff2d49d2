"""The moment index: what was added comes back, exact search is exact, and plain words when something is wrong."""

import math
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest
from moment_videos import BINDING, DIM, make_video, naive, unit, video_id

from framecue.errors import FramecueError, MakerMismatchError, MomentIndexError
from framecue.search import Filter, IndexSettings, MomentIndex, VideoVectors
from framecue.types import Maker


@pytest.fixture
def index(tmp_path: Path) -> MomentIndex:
    return MomentIndex.create(tmp_path / "index", BINDING)


def one_line(error: pytest.ExceptionInfo[FramecueError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 800
    return message


def assert_finds(index: MomentIndex, items: list[VideoVectors], *, seed: int = 4321, **how: Any) -> None:
    """Exactly what a naive comparison finds."""
    queries = unit(np.random.default_rng(seed), 4)
    found = index.search(queries, top_k=7, **how)
    assert found.exact
    for query, hits in zip(queries, found.hits, strict=True):
        expected = naive(items, query, 7)
        assert [(hit.video.video_id, hit.start_seconds) for hit in hits] == [row[:2] for row in expected]
        np.testing.assert_allclose([hit.similarity for hit in hits], [row[2] for row in expected], atol=1e-6)


def test_what_was_added_comes_back(index: MomentIndex) -> None:
    items = [make_video(seed, num_moments=seed + 1, rating=seed) for seed in range(6)]
    index.add(items[:4])
    index.add(items[4:])
    for reader in (index, MomentIndex.open(index.path)):
        assert {video.video_id: video for video in reader.videos()} == {
            item.video.video_id: item.video for item in items
        }
        assert [str(video.path) for video in reader.videos()] == sorted(str(item.video.path) for item in items)
        for item in items:
            stored = reader.vectors(item.video.video_id)
            assert stored.video == reader.video(item.video.video_id) == item.video
            np.testing.assert_array_equal(stored.spans, item.spans)
            np.testing.assert_array_equal(stored.vectors, item.vectors.astype(np.float16).astype(np.float32))
            np.testing.assert_array_equal(stored.whole, item.whole.astype(np.float16).astype(np.float32))


def test_search_finds_what_a_naive_comparison_finds(index: MomentIndex) -> None:
    items = [make_video(seed, num_moments=1 + seed % 4) for seed in range(30)]
    for start in range(0, 30, 6):
        index.add(items[start : start + 6])
        assert_finds(index, items[: start + 6])  # one reader, brought up to date commit by commit
    assert_finds(MomentIndex.open(index.path), items)
    assert_finds(MomentIndex.open(index.path, settings=IndexSettings(memory_bytes=0)), items)  # read for each query
    index.purge()
    assert_finds(index, items)
    assert_finds(MomentIndex.open(index.path), items)


def test_whole_videos_are_searched_by_their_own_vectors(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(8)]
    index.add(items)
    found = index.search(np.stack([item.whole for item in items]), top_k=3, level="video")
    for item, hits in zip(items, found.hits, strict=True):
        assert hits[0].video == item.video
        assert (hits[0].start_seconds, hits[0].end_seconds) == (0.0, item.video.duration_seconds)
        assert hits[0].similarity == pytest.approx(1.0, abs=1e-3)
        assert len({hit.video.video_id for hit in hits}) == 3


def test_a_video_that_is_added_again_is_replaced(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(4)]
    index.add(items)
    items[2] = make_video(2, num_moments=3, vectors_seed=99, place="yard")
    index.add([items[2]])
    assert len(index.videos()) == 4
    assert index.status().num_moments == 18
    assert_finds(index, items)
    np.testing.assert_array_equal(index.vectors(video_id(2)).spans, items[2].spans)


def test_the_same_vectors_again_change_nothing_but_the_description(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(3)]
    index.add(items)
    assert_finds(index, items)
    index.add([make_video(1, place="hall")])
    assert_finds(index, items)
    assert index.video(video_id(1)).metadata == {"place": "hall"}
    assert index.status().num_moments == 15


def test_moving_and_annotating_keep_the_vectors(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(5)]
    index.add(items)
    moved = replace(items[3].video, path=Path("/elsewhere/3.mp4"), mtime_ns=77)
    index.move({video_id(3): moved})
    index.annotate({video_id(3): {"place": "hall"}, video_id(4): {"rating": 3}})
    assert index.video(video_id(3)) == replace(moved, metadata={"place": "hall"})
    assert index.status().metadata_columns == {"place": "str", "rating": "int"}
    assert len(index.videos()) == 5
    assert_finds(index, items)
    assert_finds(MomentIndex.open(index.path), items)
    version = index.status().version
    index.annotate({video_id(4): {"rating": 3}})
    assert index.status().version == version, "nothing differs, so nothing is written"


def test_removed_videos_are_gone_and_counted(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(6)]
    index.add(items)
    assert_finds(index, items)
    assert index.remove([video_id(1), video_id(4), video_id(1), "unknown"]) == 2
    left = [item for seed, item in enumerate(items) if seed not in (1, 4)]
    assert_finds(index, left)
    assert index.remove(video_id(seed) for seed in range(6)) == 4
    assert index.search(items[0].whole, top_k=3).hits == [[]]
    assert index.status().num_videos == index.status().num_moments == 0
    index.add(items)
    assert_finds(index, items)


def test_an_empty_index_answers(index: MomentIndex) -> None:
    query = unit(np.random.default_rng(0), 2)
    for level in ("moment", "video"):
        found = index.search(query, top_k=5, level=level, where=Filter(path="/videos", metadata={"camera": 3}))
        assert (found.hits, found.num_videos, found.exact) == ([[], []], 0, True)
    assert index.search(np.zeros((0, DIM), dtype=np.float32), top_k=5).hits == []
    assert index.background().shape == (0, DIM)
    assert index.videos() == []
    assert index.remove(["a"]) == 0
    index.add([])
    index.rebuild()
    index.purge()
    status = index.status()
    assert (status.num_videos, status.total_seconds, status.neighbours, status.recall_at_10) == (0, 0.0, "exact", None)


def test_some_videos_can_be_left_out(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(5)]
    index.add(items)
    found = index.search(items[2].vectors[0], top_k=50, exclude=[video_id(2), "unknown"])
    assert found.num_videos == 4
    assert {hit.video.video_id for hit in found.hits[0]} == {video_id(seed) for seed in (0, 1, 3, 4)}


def test_the_background_is_the_same_each_time_and_spread_over_all(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(40)]
    index.add(items)
    stored = {item.video.video_id: item.vectors.astype(np.float16).astype(np.float32) for item in items}
    everything = index.background(1000)
    assert sorted(map(tuple, everything)) == sorted(tuple(row) for rows in stored.values() for row in rows)
    for count, per_video in ((20, 1), (80, 2), (70, 2)):
        some = index.background(count)
        assert some.shape == (count, DIM)
        np.testing.assert_array_equal(some, MomentIndex.open(index.path).background(count))
        owners = [next(name for name, rows in stored.items() if (rows == vector).all(axis=1).any()) for vector in some]
        assert len(set(owners)) == math.ceil(count / per_video)
    before = index.background(20)
    index.add([make_video(99)])
    after = index.background(20)
    assert sum((after == vector).all(axis=1).any() for vector in before) >= 19


def test_the_background_of_long_and_short_videos(index: MomentIndex) -> None:
    index.add([make_video(0, num_moments=300), make_video(1, num_moments=1), make_video(2, num_moments=2)])
    assert index.background(50).shape == (50, DIM)
    assert index.background(303).shape == (303, DIM)
    assert index.background(10**6).shape == (303, DIM)
    assert index.background(0).shape == (0, DIM)


def test_dates_keep_their_instant_and_paths_their_bytes(index: MomentIndex) -> None:
    item = make_video(0, num_moments=1)
    date = datetime(2024, 3, 31, 2, 30, 1, 500, tzinfo=timezone(timedelta(hours=-7)))
    path = Path(os.fsdecode(b"/videos/\xff\xfe caf\xc3\xa9 <b>.mp4"))
    index.add([replace(item, video=replace(item.video, path=path, date=date))])
    stored = index.video(video_id(0))
    assert stored.date == date
    assert stored.date.tzinfo is UTC or stored.date.utcoffset() == timedelta(0)
    assert os.fsencode(stored.path) == os.fsencode(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vectors": np.full((5, DIM), np.nan, dtype=np.float32)}, "length 1, found one of length nan"),
        ({"vectors": np.ones((5, DIM), dtype=np.float32)}, "length 1, found one of length 4"),
        ({"vectors": np.ones((5, DIM + 1), dtype=np.float32)}, r"vectors must be [5, 16]"),
        ({"whole": np.zeros(DIM, dtype=np.float32)}, "length 1, found one of length 0"),
        ({"whole": np.zeros(3, dtype=np.float32)}, "whole [16]"),
        ({"spans": np.zeros((5, 2))}, "each ending after it starts"),
        ({"spans": np.full((5, 2), np.inf)}, "finite seconds"),
        ({"spans": np.zeros((0, 2)), "vectors": np.zeros((0, DIM), dtype=np.float32)}, "K at least 1"),
    ],
)
def test_vectors_that_cannot_be_indexed_are_refused(index: MomentIndex, change: dict[str, Any], words: str) -> None:
    with pytest.raises(MomentIndexError) as error:
        index.add([make_video(0), replace(make_video(1), **change)])
    assert words in one_line(error)
    assert "/videos/1/1.mp4" in str(error.value)
    assert index.videos() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video_id": ""}, "has no video_id"),
        ({"duration_seconds": float("nan")}, "above 0 s"),
        ({"date": datetime(2024, 1, 1)}, "without a time zone"),
        ({"metadata": {"a": float("inf")}}, "column 'a' must hold text, a finite number"),
        ({"metadata": {"a": [1]}}, "column 'a' must hold text, a finite number"),
        ({"metadata": {" ": 1}}, "column name is text of 1 to 100"),
        ({"metadata": {"x" * 101: 1}}, "column name is text of 1 to 100"),
        ({"metadata": {"a": "\udcff"}}, "no valid Unicode"),
    ],
)
def test_descriptions_that_cannot_be_indexed_are_refused(
    index: MomentIndex, change: dict[str, Any], words: str
) -> None:
    item = make_video(1)
    with pytest.raises(MomentIndexError) as error:
        index.add([make_video(0), replace(item, video=replace(item.video, **change))])
    assert words in one_line(error)
    assert index.videos() == []


def test_one_content_twice_in_a_call_is_refused(index: MomentIndex) -> None:
    with pytest.raises(MomentIndexError, match="given twice"):
        index.add([make_video(0), make_video(0)])


@pytest.mark.parametrize(
    ("queries", "top_k", "words"),
    [
        (np.ones(DIM + 1), 1, "holds vectors of 16 numbers, the queries are [1, 17]"),
        (np.ones(DIM), 1, "Queries: vectors must be of length 1"),
        (np.full(DIM, np.nan), 1, "Queries: vectors must be of length 1"),
        (np.eye(DIM)[0], 0, "top_k is 0; ask for at least 1"),
    ],
)
def test_queries_that_cannot_be_asked_are_refused(
    index: MomentIndex, queries: np.ndarray, top_k: int, words: str
) -> None:
    index.add([make_video(0)])
    with pytest.raises(MomentIndexError) as error:
        index.search(queries, top_k=top_k)
    assert words in one_line(error)


def test_an_unknown_video_is_said_so(index: MomentIndex) -> None:
    index.add([make_video(0)])
    for ask in (
        index.video,
        index.vectors,
        lambda name: index.annotate({video_id(0): {"a": 1}, name: {}}),
        lambda name: index.move({name: replace(make_video(1).video, video_id=name)}),
    ):
        with pytest.raises(MomentIndexError, match="has no video 'nobody'") as error:
            ask("nobody")
        one_line(error)
    assert index.video(video_id(0)).metadata == {}


def test_an_index_of_another_model_is_refused(index: MomentIndex) -> None:
    assert MomentIndex.open(index.path, binding=replace(BINDING, adapter_id="named otherwise")).binding == BINDING
    other = replace(
        BINDING,
        text_cleaning="as-written",
        adapter_id="mine",
        adapter_hash="ff" * 32,
        windows="2s/1s",
        maker=Maker("b", "c", "{}", "all"),
    )
    with pytest.raises(MakerMismatchError) as error:
        MomentIndex.open(index.path, binding=other)
    message = one_line(error)
    for part in (
        "weights_hash",
        "sampling",
        "text_cleaning",
        "adapter_hash",
        "windows is '4s/2s' there, '2s/1s' here",
        "another index",
    ):
        assert part in message
    assert "preprocessing" not in message


def test_folders_that_are_no_index(tmp_path: Path, index: MomentIndex) -> None:
    with pytest.raises(MomentIndexError, match="There is no moment index in"):
        MomentIndex.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    for action in (lambda path: MomentIndex.open(path), lambda path: MomentIndex.create(path, BINDING)):
        with pytest.raises(MomentIndexError, match="is a file, not a moment index"):
            action(tmp_path / "file")
    with pytest.raises(MomentIndexError, match="is there already"):
        MomentIndex.create(index.path, BINDING)
    lance.write_dataset(pa.table({"a": [1]}), str(tmp_path / "foreign" / "moments.lance"))
    with pytest.raises(MomentIndexError, match="but none of moments") as error:
        MomentIndex.open(tmp_path / "foreign")
    one_line(error)


def test_a_folder_with_other_files_can_hold_an_index(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "roots.json").write_text("[]")
    MomentIndex.create(tmp_path, BINDING).add([make_video(0)])
    assert len(MomentIndex.open(tmp_path).videos()) == 1
    assert (tmp_path / "roots.json").read_text() == "[]"


@pytest.mark.parametrize("damage", ["truncated data", "no data", "garbled manifest", "empty manifest"])
def test_a_damaged_table_is_said_so(index: MomentIndex, damage: str) -> None:
    index.add([make_video(seed) for seed in range(5)])
    manifests = sorted((index.path / "moments.lance" / "_versions").glob("*.manifest"))
    for file in (index.path / "moments.lance" / "data").iterdir() if "data" in damage else manifests:
        if damage == "no data":
            file.unlink()
        else:
            content = file.read_bytes()
            file.write_bytes({"t": content[: len(content) // 2], "g": os.urandom(len(content)), "e": b""}[damage[0]])
    with pytest.raises(MomentIndexError) as error:
        MomentIndex.open(index.path).search(make_video(0).whole, top_k=1)
    assert "add the videos again" in one_line(error)


def test_an_index_that_vanishes_or_is_replaced_is_said_so(index: MomentIndex) -> None:
    index.add([make_video(0)])
    index.search(make_video(0).whole, top_k=1)
    shutil.rmtree(index.path)
    with pytest.raises(MomentIndexError) as error:
        index.videos()
    one_line(error)
    other = MomentIndex.create(index.path, BINDING)
    other.add([make_video(1)])
    other.add([make_video(2)])
    with pytest.raises(MomentIndexError, match="replaced by another one"):
        index.videos()


def test_an_older_copy_that_is_put_back_is_read_afresh(tmp_path: Path, index: MomentIndex) -> None:
    index.add([make_video(0), make_video(1)])
    shutil.copytree(index.path, tmp_path / "copy")
    index.add([make_video(2)])
    assert len(index.videos()) == 3
    shutil.rmtree(index.path)
    shutil.copytree(tmp_path / "copy", index.path)
    assert len(index.videos()) == 2
    index.add([make_video(3)])
    assert {video.video_id for video in index.videos()} == {video_id(seed) for seed in (0, 1, 3)}
    assert_finds(index, [make_video(seed) for seed in (0, 1, 3)])


def test_many_small_commits_are_tidied_up(index: MomentIndex) -> None:
    items = [make_video(seed, num_moments=2) for seed in range(80)]
    with index.writing():
        for item in items:
            index.add([item])
            assert index.search(item.vectors[1], top_k=1).hits[0][0].video == item.video
    assert_finds(index, items)
    pieces = lance.dataset(str(index.path / "moments.lance")).get_fragments()
    assert len(pieces) <= 40
    index.purge()
    assert len(lance.dataset(str(index.path / "moments.lance")).get_fragments()) == 1
    assert_finds(index, items)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_can_be_searched(index: MomentIndex) -> None:
    index.add([make_video(0)])
    index.path.chmod(0o555)
    try:
        assert MomentIndex.open(index.path).search(make_video(0).whole, top_k=1).hits[0]
        with pytest.raises(MomentIndexError, match="cannot be written"):
            index.remove([video_id(0)])
    finally:
        index.path.chmod(0o755)
