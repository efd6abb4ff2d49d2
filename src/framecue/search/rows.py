"""The rows of a moment index: the Arrow schema with the binding in it, and the way there.

A video is one row that says what it is and holds its whole-video vector, and one row for each of its moments. Rows that
belong together share `key`, which names the video's vectors by their content: it stays when a file moves or its
metadata change, and is another one when the vectors are. Moment rows leave the columns that describe a video empty.
"""

import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framecue.errors import MomentIndexError
from framecue.features.identity import path_text
from framecue.search.binding import Binding, binding_to_json
from framecue.types import IndexedVideo, MetadataValue

FORMAT_VERSION = "2"
FORMAT_KEY, BINDING_KEY, TABLE_KEY = b"framecue.search.format", b"framecue.search.binding", b"framecue.search.table"

_UNIT_TOLERANCE = 0.01
_MAX_NAME_LENGTH = 100


@dataclass(frozen=True, eq=False)
class VideoVectors:
    """One video as an index takes it.

    Attributes:
        spans: float64 [K, 2], start and end of each moment in seconds.
        vectors: float32 [K, D], of unit length, one per moment.
        whole: float32 [D], of unit length, for the whole video.
    """

    video: IndexedVideo
    spans: npt.NDArray[np.float64]
    vectors: npt.NDArray[np.float32]
    whole: npt.NDArray[np.float32]


def table_schema(binding: Binding) -> Any:
    fields = [
        ("key", pa.int64()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("vector", pa.list_(pa.float16(), binding.embed_dim)),
        ("video_id", pa.string()),
        ("path", pa.string()),
        ("path_bytes", pa.binary()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("duration_seconds", pa.float64()),
        ("date", pa.timestamp("us", tz="UTC")),
        ("metadata", pa.string()),
        ("num_moments", pa.int64()),
        ("origin_seconds", pa.float64()),
        ("stream_index", pa.int64()),
        ("notes", pa.string()),
    ]
    metadata = {
        FORMAT_KEY: FORMAT_VERSION.encode(),
        BINDING_KEY: binding_to_json(binding).encode(),
        TABLE_KEY: uuid.uuid4().hex.encode(),
    }
    return pa.schema(fields, metadata=metadata)


VIDEO_COLUMNS = ["key", "video_id", "path", "path_bytes", "size_bytes", "mtime_ns"]
VIDEO_COLUMNS += ["duration_seconds", "date", "metadata", "num_moments", "origin_seconds", "stream_index", "notes"]


def content_key(item: VideoVectors) -> int:
    """A 63-bit name of the vectors as they are stored."""
    digest = hashlib.blake2b(item.video.video_id.encode(), digest_size=8)
    for array in (item.spans.astype(np.float64), _half(item.vectors), _half(item.whole)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return int.from_bytes(digest.digest(), "big") >> 1


def to_table(items: Sequence[VideoVectors], schema: Any) -> Any:
    """Video rows, then their moment rows."""
    keys = [content_key(item) for item in items]
    counts = [len(item.spans) for item in items]
    videos = video_rows([item.video for item in items], keys, counts, np.stack([item.whole for item in items]), schema)
    spans = np.concatenate([item.spans for item in items])
    columns = {
        "key": np.repeat(np.array(keys, dtype=np.int64), counts),
        "start_seconds": spans[:, 0],
        "end_seconds": spans[:, 1],
        "vector": _vectors(np.concatenate([item.vectors for item in items])),
    }
    return pa.concat_tables([videos, _with_nulls(columns, len(spans), schema)])


def video_rows(
    videos: Sequence[IndexedVideo], keys: Sequence[int], counts: Sequence[int], whole: npt.NDArray[Any], schema: Any
) -> Any:
    """The rows that say what the videos are. `whole`: [V, D]."""
    texts = [path_text(video.path) for video in videos]
    raw = [os.fsencode(os.path.abspath(video.path)) for video in videos]
    columns = {
        "key": np.array(keys, dtype=np.int64),
        "vector": _vectors(whole),
        "video_id": [video.video_id for video in videos],
        "path": texts,
        # Only where the text does not lead back to the file.
        "path_bytes": [None if text.encode() == name else name for text, name in zip(texts, raw, strict=True)],
        "size_bytes": [video.size_bytes for video in videos],
        "mtime_ns": [video.mtime_ns for video in videos],
        "duration_seconds": [video.duration_seconds for video in videos],
        "date": pa.array([video.date.astimezone(UTC) for video in videos], pa.timestamp("us", tz="UTC")),
        "metadata": [json.dumps(dict(video.metadata), ensure_ascii=False) for video in videos],
        "num_moments": list(counts),
        "origin_seconds": [video.origin_seconds for video in videos],
        "stream_index": [video.stream_index for video in videos],
        "notes": [json.dumps(list(video.notes), ensure_ascii=False) for video in videos],
    }
    return _with_nulls(columns, len(videos), schema)


def check_items(items: Sequence[VideoVectors], embed_dim: int) -> None:
    """
    Raises:
        MomentIndexError: a vector, span or description that an index cannot hold, or a video that is there twice.
    """
    seen: set[str] = set()
    for item in items:
        check_video(item.video)
        if item.video.video_id in seen:
            raise MomentIndexError(f"Video {item.video.path} is given twice in one call; give each content once.")
        seen.add(item.video.video_id)
        count = len(item.spans)
        if item.spans.shape != (count, 2) or count < 1:
            raise _wrong(item, f"spans must be [K, 2] with K at least 1, got {list(item.spans.shape)}")
        if not (np.isfinite(item.spans).all() and (item.spans[:, 0] >= 0).all() and (np.diff(item.spans) > 0).all()):
            raise _wrong(item, "spans must be finite seconds from 0 on, each ending after it starts")
        if item.vectors.shape != (count, embed_dim) or item.whole.shape != (embed_dim,):
            found = f"vectors {list(item.vectors.shape)} and whole {list(item.whole.shape)}"
            raise _wrong(item, f"vectors must be [{count}, {embed_dim}] and whole [{embed_dim}], got {found}")
        check_unit(np.vstack([item.vectors, item.whole]), f"Video {item.video.path}")


def check_unit(vectors: npt.NDArray[Any], what: str) -> None:
    lengths = np.linalg.norm(np.asarray(vectors, dtype=np.float64), axis=-1)
    # NaN compares as false, so it is refused here too.
    if not (np.abs(lengths - 1) <= _UNIT_TOLERANCE).all():
        worst = lengths[~(np.abs(lengths - 1) <= _UNIT_TOLERANCE)][0]
        raise MomentIndexError(
            f"{what}: vectors must be of length 1, found one of length {worst:.3g}; divide each by its length first."
        )


def check_video(video: IndexedVideo) -> None:
    if not video.video_id or not isinstance(video.video_id, str):
        raise MomentIndexError(f"Video {video.path} has no video_id; give the SHA-256 of its bytes.")
    if not (math.isfinite(video.duration_seconds) and video.duration_seconds > 0):
        raise MomentIndexError(f"Video {video.path} is {video.duration_seconds} s long; a duration is above 0 s.")
    if video.date.tzinfo is None:
        raise MomentIndexError(f"Video {video.path} has the date {video.date} without a time zone; give it one.")
    check_metadata(video.metadata, f"video {video.path}")


def check_metadata(metadata: Mapping[str, MetadataValue], what: str) -> None:
    for name, value in metadata.items():
        if not isinstance(name, str) or not name.strip() or len(name) > _MAX_NAME_LENGTH:
            raise MomentIndexError(
                f"Metadata of {what}: a column name is text of 1 to {_MAX_NAME_LENGTH} characters, got {name!r:.60}."
            )
        if not isinstance(value, str | int | float | bool) or (isinstance(value, float) and not math.isfinite(value)):
            raise MomentIndexError(
                f"Metadata of {what}: column {name!r} must hold text, a finite number, or true or false, "
                f"got {value!r:.60}."
            )
        for text in (name, value):
            if isinstance(text, str) and text.encode("utf-8", "replace").decode() != text:
                raise MomentIndexError(f"Metadata of {what}: column {name!r:.60} holds text that is no valid Unicode.")


def _wrong(item: VideoVectors, problem: str) -> MomentIndexError:
    return MomentIndexError(f"Video {item.video.path} cannot be indexed: {problem}.")


def _half(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    return np.ascontiguousarray(vectors, dtype=np.float16)


def _vectors(vectors: npt.NDArray[Any]) -> Any:
    return pa.FixedSizeListArray.from_arrays(_half(vectors).reshape(-1), vectors.shape[1])


def _with_nulls(columns: dict[str, Any], num_rows: int, schema: Any) -> Any:
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(num_rows, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def stored_path(text: str, raw: bytes | None) -> Path:
    return Path(text if raw is None else os.fsdecode(raw))


def is_among(keys: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the keys are among the others, which increase."""
    if not len(others):
        return np.zeros(len(keys), dtype=bool)
    return others[np.minimum(np.searchsorted(others, keys), len(others) - 1)] == keys
