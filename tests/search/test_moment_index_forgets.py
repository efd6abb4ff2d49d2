"""An index stays as small as what it holds, and what is purged is nowhere on disk: read with Lance itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pytest
from lance.file import LanceFileReader
from moment_videos import BINDING, make_video, video_id

from framecue.errors import MomentIndexError
from framecue.search import IndexSettings, MomentIndex, VideoVectors
from framecue.search import moment_index as index_module
from framecue.search import table as table_module
from framecue.search.rows import content_key
from framecue.search.table import TableView, folder_bytes

SMALL = IndexSettings(exact_below=50)


@pytest.fixture
def index(tmp_path: Path) -> MomentIndex:
    return MomentIndex.create(tmp_path / "index", BINDING, settings=SMALL)


def manifests(index: MomentIndex) -> list[Path]:
    return sorted((index.path / "moments.lance" / "_versions").glob("*.manifest"))


def files(index: MomentIndex) -> list[Path]:
    return [path for path in index.path.rglob("*") if path.is_file()]


def stored_rows(index: MomentIndex) -> Iterator[dict[str, Any]]:
    """All rows of all data files, those that are marked as deleted too, whether or not a version names the file."""
    for file in (index.path / "moments.lance" / "data").glob("*.lance"):
        yield from LanceFileReader(str(file)).read_all().to_table().to_pylist()


def raw_bytes(index: MomentIndex) -> bytes:
    return b"\0".join(path.read_bytes() for path in files(index))


def assert_forgotten(index: MomentIndex, items: list[VideoVectors]) -> None:
    keys = {content_key(item) for item in items}
    uri = str(index.path / "moments.lance")
    for version in lance.dataset(uri).versions():
        assert keys.isdisjoint(lance.dataset(uri, version=version["version"]).to_table().column("key").to_pylist())
    assert keys.isdisjoint(row["key"] for row in stored_rows(index))
    raw = raw_bytes(index)
    for item in items:
        for secret in (item.video.video_id, str(item.video.path), *map(str, item.video.metadata.values())):
            assert secret.encode() not in raw
        assert all(vector.astype(np.float16).tobytes() not in raw for vector in (*item.vectors, item.whole))
    for file in index.path.glob("neighbours/*.npz"):
        assert keys.isdisjoint(np.load(file)["keys"].tolist())


@pytest.mark.parametrize("at_once", [1, 8])
def test_rewrites_of_one_video_leave_no_more_than_a_fresh_index(
    index: MomentIndex, tmp_path: Path, at_once: int
) -> None:
    """Alone in its commits, and beside others that stay."""
    for step in range(20):
        with index.writing():
            index.add([make_video(100 * step + k) for k in range(at_once)] if step == 0 else [make_video(100 * step)])
            if step:
                index.remove([video_id(100 * (step - 1))])
        assert len(manifests(index)) <= 33
    fresh = MomentIndex.create(tmp_path / "fresh", BINDING)
    fresh.add([index.vectors(video.video_id) for video in index.videos()])
    assert folder_bytes(index.path) <= 3 * folder_bytes(fresh.path)
    assert len(manifests(index)) <= 6
    assert len(files(index)) <= 20


def test_many_versions_of_a_large_table_are_dropped_too(index: MomentIndex) -> None:
    """What commits add is little beside what is there: versions count by themselves."""
    index.add([make_video(0, num_moments=3000)])
    for step in range(40):
        index.annotate({video_id(0): {"step": step}})
    assert len(manifests(index)) <= table_module._MAX_VERSIONS + 1
    assert index.video(video_id(0)).metadata == {"step": 39}


def test_the_cost_of_a_rewrite_is_bounded(index: MomentIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large table is not rewritten for a small change to it."""
    index.add([make_video(seed, num_moments=50) for seed in range(40)])
    rewritten = []
    compact = table_module.MomentTable._compact
    monkeypatch.setattr(
        table_module.MomentTable, "_compact", lambda *a, **how: (rewritten.append(1), compact(*a, **how))
    )
    for step in range(12):
        index.add([make_video(1000, vectors_seed=step)])
    assert rewritten == []


def test_what_is_purged_is_in_no_file(index: MomentIndex) -> None:
    items = [make_video(seed, num_moments=10, place=f"secret place {seed}") for seed in range(12)]
    index.add(items)
    going = items[3:5]
    assert any(row["key"] == content_key(going[0]) for row in stored_rows(index))
    raw = raw_bytes(index)
    assert going[0].video.video_id.encode() in raw
    assert going[0].vectors[4].astype(np.float16).tobytes() in raw
    assert list(index.path.glob("neighbours/*.faiss"))
    index.remove(item.video.video_id for item in going)
    assert any(row["key"] == content_key(going[0]) for row in stored_rows(index)), "it is only marked as deleted"
    index.purge()
    assert_forgotten(index, going)
    assert len(manifests(index)) == 1
    assert len(index.videos()) == 10
    for item in items[5:]:
        assert index.search(item.vectors[0], top_k=1).hits[0][0].video == item.video


def test_a_former_path_is_in_no_file_after_a_purge(index: MomentIndex) -> None:
    items = [make_video(seed) for seed in range(12)]
    index.add(items)
    index.move({video_id(2): replace(items[2].video, path=Path("/elsewhere/2.mp4"))})
    index.purge()
    assert str(items[2].video.path).encode() not in raw_bytes(index)
    assert index.video(video_id(2)).path == Path("/elsewhere/2.mp4")


def test_one_deleted_row_among_many_is_purged(index: MomentIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of full size, of which hardly anything is deleted, are otherwise left as they are."""
    monkeypatch.setattr(table_module, "_ROWS_PER_FRAGMENT", 64)
    items = [make_video(0, num_moments=1), make_video(1, num_moments=200)]
    index.add(items)
    index.remove([video_id(0)])
    index.purge()
    assert_forgotten(index, items[:1])
    assert len(index.vectors(video_id(1)).vectors) == 200


def test_everything_removed_leaves_nothing(index: MomentIndex) -> None:
    items = [make_video(seed, num_moments=10) for seed in range(12)]
    index.add(items)
    index.remove(item.video.video_id for item in items)
    index.purge()
    assert_forgotten(index, items)
    assert not list(index.path.glob("neighbours/*"))
    assert index.videos() == []
    index.add(items[:1])
    assert index.search(items[0].whole, top_k=1, level="video").hits[0][0].video == items[0].video


def test_neighbours_that_cannot_be_made_anew_are_dropped(index: MomentIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [make_video(seed, num_moments=10) for seed in range(12)]
    index.add(items)

    def full(*_args: object, **_how: object) -> None:
        raise MomentIndexError("the disk is full")

    index.remove([video_id(0)])
    monkeypatch.setattr(index_module, "build", full)
    with pytest.raises(MomentIndexError, match="the disk is full"):
        index.purge()
    assert_forgotten(index, items[:1])


@pytest.mark.parametrize("memory_bytes", [0, 2**30])
def test_a_version_that_vanishes_while_it_is_read_is_no_error(
    index: MomentIndex, monkeypatch: pytest.MonkeyPatch, memory_bytes: int
) -> None:
    """The writer purges just before a reader asks for its vectors, at each of its first reads."""
    items = [make_video(seed) for seed in range(8)]
    index.add(items)
    reader = MomentIndex.open(index.path, settings=IndexSettings(memory_bytes=memory_bytes))
    reader.videos()
    batches, left = TableView.batches, [3]

    def purged_meanwhile(view: TableView, *args: Any) -> Any:
        if view is not index._reader._snapshot.view and left[0]:
            left[0] -= 1
            index.remove([video_id(left[0])])
            index.purge()
        return batches(view, *args)

    monkeypatch.setattr(TableView, "batches", purged_meanwhile)
    assert reader.search(items[7].vectors[0], top_k=1).hits[0][0].video == items[7].video
    assert reader.vectors(video_id(6)).video == items[6].video
    assert reader.background().shape == (25, 16)
    assert {video.video_id for video in reader.videos()} == {video_id(seed) for seed in range(3, 8)}
    assert left == [0]


def test_the_parts_of_a_version_that_vanishes_while_it_is_opened_are_read_of_the_next(
    index: MomentIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add([make_video(seed) for seed in range(8)])
    reader = MomentIndex.open(index.path)
    read, left = table_module._read_fragment, [2]

    def purged_meanwhile(*args: Any) -> Any:
        if left[0]:
            left[0] -= 1
            with monkeypatch.context() as as_it_was:
                as_it_was.setattr(table_module, "_read_fragment", read)
                index.remove([video_id(left[0])])
                index.purge()
        return read(*args)

    monkeypatch.setattr(table_module, "_read_fragment", purged_meanwhile)
    assert len(reader.videos()) == 6
    assert left == [0]
