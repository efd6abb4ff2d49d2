"""A part of a video as an MP4 file of its own that any browser plays: H.264, no sound."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from os import PathLike
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from framecue.errors import UsageError, VideoError
from framecue.files import atomic_path
from framecue.pictures.picture import FitInside, letterbox
from framecue.video.guard import guarded_call
from framecue.video.shown import ShownFrame, frames_from
from framecue.video.source import Decoding

TICKS_PER_SECOND = 90_000
CRF = 21
_BT709 = 1  # FFmpeg's number of these primaries and this transfer, as of the matrix below


@dataclass(frozen=True)
class Cut:
    """What was written to `path`.

    Attributes:
        start_seconds, end_seconds: the part of the video that it shows.
    """

    path: Path
    start_seconds: float
    end_seconds: float
    num_frames: int


def cut_video(
    path: str | PathLike[str],
    out: str | PathLike[str],
    start_seconds: float,
    end_seconds: float,
    *,
    max_height: int | None = None,
    decoding: Decoding | None = None,
) -> Cut:
    """Encode `[start_seconds, end_seconds)` of a video anew; the first frame is the one on screen at the start.

    Each frame is shown as long as in the video, at a variable frame rate too, and the last one no longer than until
    `end_seconds`. Pictures are upright with square pixels and even sides,
    SDR, and all of the first one's size; yuv420p, the file's index at its front. Sound
    is left out. One frame is held at a time, and `out` appears only when it is complete.

    Args:
        out: MP4 file to write, whatever its ending; one that exists is replaced.
        start_seconds: on the player's axis; before the first frame means from it on.
        end_seconds: beyond the end of the video gives what there is.
        max_height: higher pictures are made smaller.

    Raises:
        VideoError: the video cannot be read, has nothing in that part, or `out` cannot be written.
        UsageError: the times are no span, or `max_height` is below 2.
    """
    path, out = Path(path), Path(out)
    if not (math.isfinite(start_seconds) and math.isfinite(end_seconds) and start_seconds < end_seconds):
        raise UsageError(f"A cut must end after it starts, got {start_seconds} to {end_seconds} seconds.")
    if max_height is not None and max_height < 2:
        raise UsageError(f"max_height must be at least 2 pixels, got {max_height}.")
    return guarded_call(_cut, path, decoding, out, start_seconds, end_seconds, max_height)


def _cut(
    path: Path, decoding: Decoding | None, out: Path, start_seconds: float, end_seconds: float, max_height: int | None
) -> Cut:
    pieces = _pieces(frames_from(path, start_seconds, decoding), start_seconds, end_seconds)
    first = next(pieces, None)
    if first is None:
        raise VideoError(
            f"{path}: it shows nothing from {start_seconds:g} to {end_seconds:g} s; choose times inside the video."
        )
    try:
        with atomic_path(out) as partial:
            num_frames, end = _encode(partial, chain([first], pieces), max_height)
    except (OSError, av.FFmpegError) as error:
        raise VideoError(f"{out}: cannot be written as video: {error}.") from error
    return Cut(out, first.start_seconds, end, num_frames)


@dataclass(frozen=True)
class _Piece:
    """A frame and when it appears and goes."""

    frame: ShownFrame
    start_seconds: float
    end_seconds: float


def _pieces(frames: Iterator[ShownFrame], start_seconds: float, end_seconds: float) -> Iterator[_Piece]:
    """What is seen of the frames in that part; of frames of one time, the last."""
    shown = next(frames)
    for frame in frames:
        if shown.seconds >= end_seconds:
            return
        if frame.seconds > shown.seconds:
            yield _Piece(shown, max(shown.seconds, start_seconds), min(frame.seconds, end_seconds))
        shown = frame
    start, end = max(shown.seconds, start_seconds), min(shown.end_seconds, end_seconds)
    if start < end:
        yield _Piece(shown, start, end)


def _encode(path: Path, pieces: Iterator[_Piece], max_height: int | None) -> tuple[int, float]:
    """Number of frames written, and where the last one ends."""
    reformatter = VideoReformatter()
    first = next(pieces)
    width, height = FitInside(height=max_height, step=2).size_of(first.frame.picture)
    durations: deque[int] = deque()
    with av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "faststart"}) as container:
        # Without B-frames packets come in the order of the frames, and the file begins at 0.
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": str(CRF), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1  # callers cut many at a time
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS_PER_SECOND)
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries = context.color_trc = _BT709

        def write(picture: VideoFrame | None) -> None:
            for packet in stream.encode(picture):
                packet.duration = durations.popleft()
                container.mux(packet)

        count = 0
        for piece in chain([first], pieces):
            start, end = (_ticks(time - first.start_seconds) for time in (piece.start_seconds, piece.end_seconds))
            if start == end:
                continue
            picture = reformatter.reformat(
                VideoFrame.from_ndarray(letterbox(piece.frame.picture, width, height), format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            picture.pts, picture.time_base = start, context.time_base
            durations.append(end - start)
            write(picture)
            count, last = count + 1, piece.end_seconds
        write(None)
    return count, last


def _ticks(seconds: float) -> int:
    return round(seconds * TICKS_PER_SECOND)
