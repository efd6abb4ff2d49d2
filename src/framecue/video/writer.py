"""Writes frames as H.264 MP4 files: the way out that mirrors `video.reader`."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from framecue.errors import VideoError
from framecue.files import atomic_path


def write_video(
    path: Path | str,
    frames: npt.NDArray[np.uint8] | Iterable[npt.NDArray[np.uint8]],
    fps: float,
    *,
    crf: int = 18,
    intra_only: bool = False,
) -> None:
    """Encode `frames` as yuv420p H.264 in MP4. The file appears under its name only when it is complete.

    Args:
        path: where to write; missing folders are made.
        frames: uint8 RGB [T, H, W, 3] or [T, 3, H, W], T >= 1, H and W even; or an iterable of such images, of which
            one is held at a time, however many there are.
        fps: frames per second; frame i is shown at i / fps seconds.
        crf: quality, 0 (lossless) to 51 (worst); as a constant quantizer where `intra_only`.
        intra_only: make every frame a keyframe at one quantizer, so that a frame decodes to the same pixels wherever
            in the file it stands. Larger files, but a video written backwards is exactly its own reversal.

    Raises:
        VideoError: the frames are of another kind, or the file cannot be written.
    """
    path = Path(path)
    images = iter(_as_channels_last(path, frames)) if isinstance(frames, np.ndarray) else _each(path, frames)
    first = next(images, None)
    if first is None:
        raise VideoError(f"{path}: frames to write must be at least one image, got none.")
    try:
        with atomic_path(path) as partial:
            _encode(partial, chain([first], images), first.shape[:2], fps, crf, intra_only)
    except (OSError, av.FFmpegError) as error:
        raise VideoError(f"{path}: cannot be written as video: {error}.") from error


def _as_channels_last(path: Path, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    found = f"{frames.dtype} {list(frames.shape)}"
    if frames.ndim == 4 and frames.shape[-1] != 3 and frames.shape[1] == 3:
        frames = frames.transpose(0, 2, 3, 1)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise VideoError(
            f"{path}: frames to write must be uint8 [T, H, W, 3] or [T, 3, H, W] with T >= 1, got {found}."
        )
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise VideoError(f"{path}: yuv420p needs even height and width, got {found}; crop or pad by one pixel.")
    return np.ascontiguousarray(frames)


def _each(path: Path, images: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.uint8]]:
    """The images one by one, checked to be of one kind and size."""
    size: tuple[int, ...] | None = None
    for index, image in enumerate(images):
        image = _as_channels_last(path, np.asarray(image)[None])[0]
        size = size or image.shape
        if image.shape != size:
            raise VideoError(
                f"{path}: frames to write must be of one size: the first is {list(size)}, frame {index} is "
                f"{list(image.shape)}; resize them first."
            )
        yield image


def _encode(
    path: Path,
    images: Iterable[npt.NDArray[np.uint8]],
    size: tuple[int, ...],
    fps: float,
    crf: int,
    intra_only: bool,
) -> None:
    rate = Fraction(fps).limit_denominator(1001)
    quality = {"qp": str(crf), "g": "1"} if intra_only else {"crf": str(crf)}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", **quality})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # callers run many files in parallel
        stream.codec_context.time_base = 1 / rate
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
