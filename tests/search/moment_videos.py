"""Drawn videos for tests of the moment index."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from framecue.search import Binding, VideoVectors
from framecue.types import IndexedVideo, Maker, MetadataValue

DIM = 16
BINDING = Binding(Maker("tiny", "a1" * 32, "{}", "fps:8"), "openai-clip", "", "", "4s/2s", DIM)


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.standard_normal((*shape, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def make_video(
    seed: int, *, num_moments: int = 5, vectors_seed: int | None = None, **metadata: MetadataValue
) -> VideoVectors:
    rng = np.random.default_rng(seed if vectors_seed is None else vectors_seed)
    starts = np.arange(num_moments) * 2.0
    video = IndexedVideo(
        video_id=video_id(seed),
        path=Path(f"/videos/{seed % 3}/{seed}.mp4"),
        size_bytes=seed,
        mtime_ns=seed,
        duration_seconds=2.0 * num_moments + 2,
        date=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=seed),
        metadata=metadata,
    )
    return VideoVectors(video, np.stack([starts, starts + 4], axis=1), unit(rng, num_moments), unit(rng))


def video_id(seed: int) -> str:
    return hashlib.sha256(str(seed).encode()).hexdigest()


def naive(items: list[VideoVectors], query: np.ndarray, top_k: int) -> list[tuple[str, float, float]]:
    """What a search must find: (video_id, start, similarity), best first, of vectors rounded to float16."""
    rows = [
        (item.video.video_id, float(span[0]), float(query @ vector.astype(np.float16).astype(np.float32)))
        for item in items
        for span, vector in zip(item.spans, item.vectors, strict=True)
    ]
    return sorted(rows, key=lambda row: -row[2])[:top_k]
