"""The rows of a feature store: its Arrow schema with the maker in it, and the way there and back."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framecue.errors import StoreError
from framecue.features.identity import FileStamp
from framecue.features.store_errors import store_error
from framecue.types import FrameFeatures, Maker

FORMAT_VERSION = "2"
IDENTITY_COLUMNS = ["content_hash", "path", "size_bytes", "mtime_ns"]
FEATURE_COLUMNS = ["content_hash", "pts_seconds", "duration_seconds", "origin_seconds", "notes", "frame_features"]

_FORMAT_KEY, _MAKER_KEY = b"framecue.features.format", b"framecue.features.maker"


@dataclass(frozen=True, eq=False)
class StoredVideo:
    """One row: the features of one video, and which file they came from.

    Attributes:
        stamp: the file as it was when it was read.
        frame_features: [T, D], float16 or float32 as the store's maker says.
        pts_seconds: float64 [T].
        origin_seconds, notes: as in `FrameFeatures`.
    """

    content_hash: str
    stamp: FileStamp
    frame_features: npt.NDArray[Any]
    pts_seconds: npt.NDArray[np.float64]
    duration_seconds: float
    origin_seconds: float = 0.0
    notes: Sequence[str] = ()


def table_schema(maker: Maker) -> Any:
    fields = [
        ("content_hash", pa.string()),
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("num_frames", pa.int64()),
        ("embed_dim", pa.int64()),
        ("duration_seconds", pa.float64()),
        ("origin_seconds", pa.float64()),
        ("notes", pa.list_(pa.string())),
        ("pts_seconds", pa.large_list(pa.float64())),
        ("frame_features", pa.large_list(pa.float32() if maker.dtype == "float32" else pa.float16())),
    ]
    metadata = {_FORMAT_KEY: FORMAT_VERSION.encode(), _MAKER_KEY: json.dumps(asdict(maker)).encode()}
    return pa.schema(fields, metadata=metadata)


def read_maker(path: Path, metadata: dict[bytes, bytes]) -> Maker:
    version = metadata.get(_FORMAT_KEY, b"").decode()
    if not version:
        raise StoreError(f"{path} is a Lance table, but not one of frame features; name another folder.")
    if version != FORMAT_VERSION:
        raise StoreError(
            f"Feature store {path} has format {version}, this framecue reads {FORMAT_VERSION}; "
            "use the framecue that wrote it, or extract into another folder."
        )
    try:
        return Maker(**json.loads(metadata[_MAKER_KEY]))
    except (KeyError, TypeError, ValueError) as error:
        raise store_error(path, "opened", f"its maker cannot be read ({error})") from error


def to_table(videos: Sequence[StoredVideo], schema: Any) -> Any:
    columns = {
        "content_hash": [video.content_hash for video in videos],
        "path": [video.stamp.path_text for video in videos],
        "size_bytes": [video.stamp.size_bytes for video in videos],
        "mtime_ns": [video.stamp.mtime_ns for video in videos],
        "num_frames": [len(video.frame_features) for video in videos],
        "embed_dim": [video.frame_features.shape[1] for video in videos],
        "duration_seconds": [video.duration_seconds for video in videos],
        "origin_seconds": [video.origin_seconds for video in videos],
        "notes": [list(video.notes) for video in videos],
        "pts_seconds": _lists([video.pts_seconds for video in videos]),
        "frame_features": _lists([video.frame_features.reshape(-1) for video in videos]),
    }
    return pa.table(columns, schema=schema)


def _lists(values: Sequence[npt.NDArray[Any]]) -> Any:
    offsets = np.cumsum([0, *(len(value) for value in values)], dtype=np.int64)
    # One very long video is committed alone: spare its copy.
    return pa.LargeListArray.from_arrays(offsets, values[0] if len(values) == 1 else np.concatenate(values))


def to_features(batch: Any) -> Iterator[tuple[str, FrameFeatures]]:
    columns = {name: batch.column(name) for name in FEATURE_COLUMNS}
    for row in range(batch.num_rows):
        pts_seconds = columns["pts_seconds"][row].values.to_numpy()
        flat = columns["frame_features"][row].values.to_numpy()
        features = flat.astype(np.float32).reshape(len(pts_seconds), -1)
        duration, origin, notes = (
            columns[name][row].as_py() for name in ("duration_seconds", "origin_seconds", "notes")
        )
        found = FrameFeatures(features, pts_seconds.copy(), duration, origin, tuple(notes))
        yield columns["content_hash"][row].as_py(), found
