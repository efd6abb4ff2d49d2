"""The moment index: what was added comes back, whole commits only, filters, and plain words when something is wrong."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from framecue.search import Binding, Filter, MomentIndex, VideoVectors
from framecue.types import IndexedVideo, Maker

DIM = 16
BINDING = Binding(Maker("tiny", "a1" * 32, "{}", "fps:8"), "", "", "4s/2s", DIM)


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.standard_normal((*shape, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def make_video(seed: int, *, num_moments: int = 5, **metadata: object) -> VideoVectors:
    rng = np.random.default_rng(seed)
    starts = np.arange(num_moments) * 2.0
    video = IndexedVideo(
        video_id=hashlib.sha256(str(seed).encode()).hexdigest(),
        path=Path(f"/videos/{seed % 3}/{seed}.mp4"),
        size_bytes=seed,
        mtime_ns=seed,
        duration_seconds=2.0 * num_moments + 2,
        date=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=seed),
        metadata=metadata,
    )
    return VideoVectors(video, np.stack([starts, starts + 4], axis=1), unit(rng, num_moments), unit(rng))


def test_what_was_added_comes_back(tmp_path: Path) -> None:
    items = [make_video(seed, num_moments=seed + 1, rating=seed) for seed in range(6)]
    index = MomentIndex.create(tmp_path / "index", BINDING)
    index.add(items[:4])
    index.add(items[4:])
    for reader in (index, MomentIndex.open(tmp_path / "index")):
        assert {video.video_id: video for video in reader.videos()} == {
            item.video.video_id: item.video for item in items
        }
        for item in items:
            stored = reader.vectors(item.video.video_id)
            np.testing.assert_array_equal(stored.spans, item.spans)
            np.testing.assert_array_equal(stored.vectors, item.vectors.astype(np.float16).astype(np.float32))
            np.testing.assert_array_equal(stored.whole, item.whole.astype(np.float16).astype(np.float32))
        found = reader.search(items[5].vectors[3], top_k=3)
        assert found.hits[0][0].video == items[5].video
        assert (found.hits[0][0].start_seconds, found.hits[0][0].end_seconds) == (6.0, 10.0)
        whole = reader.search(np.stack([item.whole for item in items]), top_k=1, level="video")
        assert [hits[0].video for hits in whole.hits] == [item.video for item in items]
        found = reader.search(items[5].vectors[3], top_k=30, where=Filter(path="/videos/1"))
        assert {hit.video.path.parent.name for hit in found.hits[0]} == {"1"}
    assert index.remove([items[0].video.video_id, "unknown"]) == 1
    index.annotate({items[1].video.video_id: {"rating": 9}})
    index.optimize()
    assert reader.status().num_videos == 5
    assert reader.videos(Filter(metadata={"rating": 9}))[0].video_id == items[1].video.video_id
