"""One video to frame features, in memory: the plain path beside `extract`, for a file that is asked about once."""

from pathlib import Path

import numpy as np
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

    def resize(frames: np.ndarray) -> np.ndarray:
        return backbone.preprocessing.resize_crop(torch.from_numpy(frames)).numpy()

    features, times = [], []
    for batch in read_frames(path, parse_sampling(sampling), chunk_frames=CHUNK_FRAMES, transform=resize):
        features.append(backbone.encode_frames(torch.from_numpy(batch.frames)).cpu().numpy())
        times.append(batch.pts_seconds)
    return FrameFeatures(np.concatenate(features), np.concatenate(times), probe(path).duration_seconds)
