"""One video to frame features, in memory: the plain path beside `extract`, for a file that is asked about once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from framecue.features.extract import FrameEncoder
from framecue.types import FrameFeatures
from framecue.video.reader import probe, read_frames
from framecue.video.sampling import parse_sampling

CHUNK_FRAMES = 64


def encode_video(path: Path, backbone: FrameEncoder, sampling: str) -> FrameFeatures:
    """Decode the sampled frames, encode them chunk by chunk; frames are never held longer than a chunk.

    Raises:
        VideoError: the file cannot be read.
        UsageError: the sampling is not understood.
    """

    features, times = zip(*stream_video(path, backbone, sampling), strict=True)
    return FrameFeatures(np.concatenate(features), np.concatenate(times), probe(path).duration_seconds)


def stream_video(
    path: Path, backbone: FrameEncoder, sampling: str, *, chunk_frames: int = CHUNK_FRAMES
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]]:
    """Features [T, D] and pts_seconds [T] of the sampled frames, chunk by chunk, however long the file.

    Raises:
        VideoError: the file cannot be read; damage may show after some chunks.
        UsageError: the sampling is not understood.
    """

    def resize(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return backbone.preprocessing.resize_crop(torch.from_numpy(frames)).numpy()

    for batch in read_frames(path, parse_sampling(sampling), chunk_frames=chunk_frames, transform=resize):
        features = backbone.encode_frames(torch.from_numpy(batch.frames)).float().cpu().numpy()
        yield features, batch.pts_seconds
