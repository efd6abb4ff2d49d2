"""One video to frame features, in memory: the plain path beside `extract`, for a file that is asked about once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from framecue.features.extract import FrameEncoder
from framecue.types import FrameFeatures
from framecue.video.reader import VideoInfo, VideoSummary, read_frames
from framecue.video.sampling import parse_sampling
from framecue.video.source import Decoding

CHUNK_FRAMES = 64

Times = npt.NDArray[np.float64]
SecondsDone = Callable[[float, float | None], None]
"""Called with the seconds of a video that are done, and its length where that is known."""


def encode_video(path: Path, backbone: FrameEncoder, sampling: str, decoding: Decoding | None = None) -> FrameFeatures:
    """Decode the sampled frames, encode them chunk by chunk; frames are never held longer than a chunk.

    Raises:
        VideoError: the file cannot be read.
        UsageError: the sampling is not understood.
    """
    stream = FeatureStream(path, backbone, sampling, decoding=decoding)
    features, times = zip(*stream, strict=True)
    summary = stream.summary
    return FrameFeatures(
        np.concatenate(features), np.concatenate(times), summary.duration_seconds, summary.origin_seconds, summary.notes
    )


class FeatureStream:
    """Features [T, D] and pts_seconds [T] of a video's sampled frames, chunk by chunk, however long the file; once.

    Raises:
        VideoError: while it goes by: the file cannot be read.
        UsageError: the sampling is not understood.
    """

    def __init__(
        self,
        path: Path,
        backbone: FrameEncoder,
        sampling: str,
        *,
        chunk_frames: int = CHUNK_FRAMES,
        decoding: Decoding | None = None,
    ) -> None:
        self._backbone = backbone
        self._reading = read_frames(
            path,
            parse_sampling(sampling),
            chunk_frames=chunk_frames,
            resize=backbone.preprocessing.resize_crop,
            decoding=decoding,
        )

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], Times]]:
        for batch in self._reading:
            yield self._backbone.encode_frames(torch.from_numpy(batch.frames)).float().cpu().numpy(), batch.pts_seconds

    def reported(self, on_progress: SecondsDone | None) -> Iterator[tuple[npt.NDArray[np.float32], Times]]:
        """The same; `on_progress` is told of each chunk and of the end."""
        for chunk in self:
            yield chunk
            if on_progress is not None:
                length = self.info.duration_seconds
                on_progress(min(float(chunk[1][-1]), length or np.inf), length)
        if on_progress is not None:
            on_progress(self.end_seconds(), self.end_seconds())

    @property
    def info(self) -> VideoInfo:
        """What the file says of itself."""
        return self._reading.info

    @property
    def summary(self) -> VideoSummary:
        """What is known when all has gone by."""
        return self._reading.summary

    def end_seconds(self) -> float:
        """Where the last picture ends; known when all has gone by."""
        return self._reading.summary.duration_seconds
