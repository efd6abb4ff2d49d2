"""The FAISS structure: as good as it says, never a ghost, nothing lost, made anew when stale, lost or damaged."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from moment_videos import BINDING, DIM, make_video, naive, unit, video_id

from framecue.errors import MomentIndexError
from framecue.search import Filter, IndexSettings, MomentIndex, VideoVectors
from framecue.search import neighbours as neighbours_module
from framecue.search.neighbours import cells_for

SMALL = IndexSettings(exact_below=200, recall_target=0.97)


def make_index(
    folder: Path, num_videos: int = 400, settings: IndexSettings = SMALL
) -> tuple[MomentIndex, list[VideoVectors]]:
    items = [make_video(seed, place="hall" if seed % 2 else "yard") for seed in range(num_videos)]
    index = MomentIndex.create(folder, BINDING, settings=settings)
    index.add(items)
    return index, items


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> tuple[MomentIndex, list[VideoVectors]]:
    return make_index(tmp_path_factory.mktemp("neighbours") / "index")


def recall(index: MomentIndex, items: list[VideoVectors], queries: np.ndarray, top_k: int = 10, **how: object) -> float:
    found = index.search(queries, top_k=top_k, **how)  # type: ignore[arg-type]
    shares = []
    for query, hits in zip(queries, found.hits, strict=True):
        truth = {row[:2] for row in naive(items, query, top_k)}
        shares.append(len(truth & {(hit.video.video_id, hit.start_seconds) for hit in hits}) / len(truth))
    return float(np.mean(shares))


def test_recall_is_what_the_status_says(standing: tuple[MomentIndex, list[VideoVectors]]) -> None:
    index, items = standing
    status = index.status()
    assert status.neighbours == "approximate"
    assert status.recall_at_10 is not None
    assert status.recall_at_10 >= 0.97
    rng = np.random.default_rng(77005)
    stored = np.stack([items[i].vectors[0] for i in rng.integers(0, len(items), 60)])
    noisy = stored + 2 * unit(rng, 60)
    queries = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    assert not index.search(queries, top_k=10).exact
    assert recall(index, items, queries) >= 0.93
    assert recall(index, items, queries, top_k=50) >= 0.93


def test_exact_search_through_the_structure_is_exact(standing: tuple[MomentIndex, list[VideoVectors]]) -> None:
    index, items = standing
    queries = unit(np.random.default_rng(77006), 20)
    found = index.search(queries, top_k=10, exact=True)
    assert found.exact
    for query, hits in zip(queries, found.hits, strict=True):
        expected = naive(items, query, 10)
        assert [(hit.video.video_id, hit.start_seconds) for hit in hits] == [row[:2] for row in expected]
        np.testing.assert_allclose([hit.similarity for hit in hits], [row[2] for row in expected], atol=1e-6)


def test_approximate_search_compares_a_part_only(standing: tuple[MomentIndex, list[VideoVectors]]) -> None:
    stamp = json.loads((standing[0].path / "neighbours" / "current.json").read_text())
    assert 1 <= stamp["num_probes"] < stamp["num_cells"]
    assert stamp["num_rows"] == 2000


def test_filters_with_approximate_search(standing: tuple[MomentIndex, list[VideoVectors]]) -> None:
    index, items = standing
    queries = unit(np.random.default_rng(77007), 40)
    halls = [item for item in items if item.video.metadata["place"] == "hall"]
    where = Filter(metadata={"place": "hall"})
    found = index.search(queries, top_k=10, where=where)
    assert (found.exact, found.num_videos) == (False, 200)
    assert {hit.video.metadata["place"] for hits in found.hits for hit in hits} == {"hall"}
    assert recall(index, halls, queries, where=where) >= 0.93
    few = Filter(path="/videos/0", metadata={"place": "hall"}, max_duration_seconds=100, after=items[300].video.date)
    found = index.search(queries, top_k=1000, where=few)
    assert found.exact, "few rows are compared one by one"
    assert all(len(hits) == found.num_videos * 5 for hits in found.hits)


def test_asking_for_more_hits_than_the_cells_hold_gives_all(standing: tuple[MomentIndex, list[VideoVectors]]) -> None:
    index, _ = standing
    found = index.search(unit(np.random.default_rng(77008), 1), top_k=10**6)
    assert len(found.hits[0]) == 2000


def test_what_is_newer_is_found_and_what_is_gone_is_not(tmp_path: Path) -> None:
    index, items = make_index(tmp_path / "index")
    made_of = json.loads((index.path / "neighbours" / "current.json").read_text())["version"]
    reader = MomentIndex.open(index.path, settings=SMALL)
    new = [make_video(1000 + seed) for seed in range(10)]
    index.add(new)
    index.remove(item.video.video_id for item in items[:10])
    replaced = make_video(20, vectors_seed=5000)
    index.add([replaced])
    assert json.loads((index.path / "neighbours" / "current.json").read_text())["version"] == made_of
    for asker in (index, reader, MomentIndex.open(index.path, settings=SMALL)):
        for item in [*new, replaced]:
            found = asker.search(item.vectors[2], top_k=1)
            assert not found.exact
            assert (found.hits[0][0].video, found.hits[0][0].start_seconds) == (item.video, 4.0)
        gone = {item.video.video_id for item in items[:10]}
        for item in items[:10]:
            assert gone.isdisjoint(hit.video.video_id for hit in asker.search(item.vectors[2], top_k=50).hits[0])
        assert asker.search(items[20].vectors[2], top_k=1).hits[0][0].similarity < 0.99, "its old vectors are a ghost"


def test_it_is_made_anew_when_a_tenth_is_stale_and_dropped_when_few_are_left(tmp_path: Path) -> None:
    index, items = make_index(tmp_path / "index")
    stamp = index.path / "neighbours" / "current.json"
    before = stamp.read_text()
    index.add([make_video(1000 + seed) for seed in range(30)])
    assert stamp.read_text() == before
    index.remove(item.video.video_id for item in items[:30])
    assert stamp.read_text() != before
    assert json.loads(stamp.read_text())["num_rows"] == 2000
    assert len(list((index.path / "neighbours").iterdir())) == 3
    index.remove(item.video.video_id for item in items[30:])
    assert index.status().neighbours == "exact"
    index.remove(video_id(1000 + seed) for seed in range(15))
    assert not stamp.exists()
    assert list((index.path / "neighbours").iterdir()) == []
    assert len(index.search(items[0].whole, top_k=1000).hits[0]) == 75


@pytest.mark.parametrize(
    "damage", ["lost", "truncated", "garbled head", "rows lost", "rows garbled", "stamp", "format", "table"]
)
def test_a_damaged_structure_is_not_used_and_the_next_writer_makes_another(tmp_path: Path, damage: str) -> None:
    index, items = make_index(tmp_path / "index")
    folder = index.path / "neighbours"
    stamp = folder / "current.json"
    cells, rows = next(folder.glob("*.faiss")), next(folder.glob("*.npz"))
    content = bytearray(cells.read_bytes())
    match damage:
        case "lost":
            cells.unlink()
        case "truncated":
            cells.write_bytes(content[: len(content) // 2])
        case "garbled head":
            cells.write_bytes(os.urandom(4096) + content[4096:])
        case "rows lost":
            rows.unlink()
        case "rows garbled":
            rows.write_bytes(rows.read_bytes()[:1000])
        case "stamp":
            stamp.write_text('{"name": "../../etc/passwd"}')
        case "format":
            stamp.write_text(stamp.read_text().replace('"format": 1', '"format": 99'))
        case "table":
            stamp.write_text(stamp.read_text().replace('"table_id": "', '"table_id": "0'))
    reader = MomentIndex.open(index.path, settings=SMALL)
    assert reader.status().neighbours == "stale"
    found = reader.search(items[7].vectors[3], top_k=1)
    assert found.exact
    assert found.hits[0][0].video == items[7].video
    with reader.writing():
        pass
    assert reader.status().neighbours == "approximate"
    assert not reader.search(items[7].vectors[3], top_k=1).exact
    assert len(list(folder.iterdir())) == 3, "nothing of the old one is left"


def test_it_grows_during_long_writing(tmp_path: Path) -> None:
    index = MomentIndex.create(tmp_path / "index", BINDING, settings=SMALL)
    sizes = []
    with index.writing():
        for first in range(0, 400, 20):
            index.add([make_video(seed) for seed in range(first, first + 20)])
            stamp = index.path / "neighbours" / "current.json"
            sizes.append(json.loads(stamp.read_text())["num_rows"] if stamp.exists() else 0)
    assert sorted(set(sizes)) == [0, 200, 500, 1100], "made anew each time it has doubled"
    assert index.status().neighbours == "approximate"
    assert json.loads(stamp.read_text())["num_rows"] == 2000


def test_a_full_disk_keeps_the_videos_and_the_old_structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, items = make_index(tmp_path / "index")
    before = sorted(file.name for file in (index.path / "neighbours").iterdir())

    def full(*_: object) -> None:
        (index.path / "neighbours" / "half.faiss").write_bytes(b"half")
        raise RuntimeError("write error: No space left on device (os error 28)")

    monkeypatch.setattr(neighbours_module.faiss, "write_index", full)
    with pytest.raises(MomentIndexError, match=r"cannot be made: the disk is full; all videos are kept") as error:
        index.add([make_video(1000 + seed) for seed in range(100)])
    assert "\n" not in str(error.value)
    assert sorted(file.name for file in (index.path / "neighbours").iterdir()) == before
    assert index.status().num_videos == 500
    assert index.status().neighbours == "stale"
    assert index.search(make_video(1050).vectors[0], top_k=1).hits[0][0].video.video_id == video_id(1050)
    assert index.search(items[3].vectors[0], top_k=1).hits[0][0].video == items[3].video


@pytest.mark.parametrize(("num_rows", "cells"), [(0, 1), (10, 1), (2000, 50), (1_000_000, 2048), (10**11, 65536)])
def test_number_of_cells(num_rows: int, cells: int) -> None:
    assert cells_for(num_rows) == cells


class AgainstADictionary(RuleBasedStateMachine):
    """Random adding, replacing, removing and rebuilding; the writer and a long-lived reader see the dictionary."""

    @initialize(folder=st.builds(lambda: None))
    def start(self, folder: None) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        settings = IndexSettings(exact_below=60, memory_bytes=2000 * DIM)
        self.index = MomentIndex.create(Path(self.folder.name) / "index", BINDING, settings=settings)
        self.reader = MomentIndex.open(self.index.path, settings=settings)
        self.model: dict[int, VideoVectors] = {}
        self.drawn = 0

    @rule(seeds=st.sets(st.integers(0, 40), min_size=1, max_size=12))
    def add(self, seeds: set[int]) -> None:
        self.drawn += 1
        items = {
            seed: make_video(seed, vectors_seed=1000 * (self.drawn % 3) + seed, num_moments=1 + seed % 5)
            for seed in seeds
        }
        self.index.add(list(items.values()))
        self.model |= items

    @rule(seeds=st.sets(st.integers(0, 40), max_size=12))
    def remove(self, seeds: set[int]) -> None:
        there = seeds & self.model.keys()
        assert self.index.remove(video_id(seed) for seed in seeds) == len(there)
        for seed in there:
            del self.model[seed]

    @rule(seed=st.integers(0, 40))
    def annotate(self, seed: int) -> None:
        if seed in self.model:
            self.index.annotate({video_id(seed): {"seed": seed}})

    @rule()
    def rebuild(self) -> None:
        self.index.rebuild()

    @rule()
    def purge(self) -> None:
        self.index.purge()

    @rule(seed=st.integers(0, 40))
    def ask(self, seed: int) -> None:
        """By a vector that is, was, or never was there: it is found first, or no video of that number at all."""
        for asker in (self.index, self.reader):
            for drawn in range(3):
                probe = make_video(seed, vectors_seed=1000 * drawn + seed, num_moments=1 + seed % 5)
                hits = asker.search(probe.vectors[0], top_k=5).hits[0]
                ids = {hit.video.video_id for hit in hits}
                assert ids <= {video_id(number) for number in self.model}
                stored = self.model.get(seed)
                if stored is not None and np.array_equal(stored.vectors, probe.vectors):
                    assert hits[0].video.video_id == video_id(seed)
                    assert hits[0].similarity > 0.999
                elif seed in self.model:
                    assert all(hit.similarity < 0.999 for hit in hits)

    @invariant()
    def both_are_the_dictionary(self) -> None:
        if not hasattr(self, "model"):
            return
        items = list(self.model.values())
        query = unit(np.random.default_rng(77009), 1)[0]
        for asker in (self.index, self.reader):
            assert {video.video_id for video in asker.videos()} == {item.video.video_id for item in items}
            hits = asker.search(query, top_k=8, exact=True).hits[0]
            assert [(hit.video.video_id, hit.start_seconds) for hit in hits] == [
                row[:2] for row in naive(items, query, 8)
            ]
            assert asker.status().num_moments == sum(len(item.spans) for item in items)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


AgainstADictionary.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestAgainstADictionary = AgainstADictionary.TestCase
