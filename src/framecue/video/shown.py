"""What a person sees from a given second on: upright frames and their times, entered near it, not from the start."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from framecue.errors import UsageError, VideoError
from framecue.video.decode import EXACT_PTS_FORMATS, RgbConverter, TimedFrame, open_video, refusal, timed_frames

_INEXACT_SEEK_AFTER_SECONDS = 30.0
_INEXACT_MARGIN_SECONDS = 5.0
"""Containers without exact times are read from the start when that is soon done, and else entered well before."""


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """One picture of a video.

    Attributes:
        image: uint8 RGB [H, W, 3], upright.
        seconds: when it appears, by the container's own times, as in `video.reader`.
        duration_seconds: how long it is meant to stay, as far as the file says, else as long as frames do on average.
        pixel_aspect: width of a pixel over its height; 1 in nearly all files.
    """

    image: npt.NDArray[np.uint8]
    seconds: float
    duration_seconds: float
    pixel_aspect: float


def frames_from(path: Path, seconds: float) -> Iterator[ShownFrame]:
    """The frame that is on screen at `seconds`, and those after it; at least one.

    Before the first frame that is the first, beyond the end the last. Times are exact in MP4, MOV, Matroska and WebM,
    and in the first 30 s of other containers; beyond these they are what FFmpeg finds when it enters the file there.

    Raises:
        VideoError: not a video, or damaged where it is read, on the step that meets it.
        UsageError: `seconds` is not a finite number.
    """
    if not math.isfinite(seconds):
        raise UsageError(f"A time in a video must be a finite number of seconds, got {seconds}.")
    given = False
    try:
        for frame in _frames_from(path, seconds, enter=True):
            given = True
            yield frame
        if given:
            return
    except VideoError:
        if given:
            raise
    # Some streams decode from the start only.
    yield from _frames_from(path, seconds, enter=False)


def _frames_from(path: Path, seconds: float, *, enter: bool) -> Iterator[ShownFrame]:
    with open_video(path) as (container, stream):
        unit = float(stream.time_base or 1)
        target = math.floor(seconds / unit + 1e-3)  # a time made of ticks finds its own frame
        frames = timed_frames(container, stream)
        if enter and _enter(container, stream, seconds, unit):
            first = next(frames, None)
            if first is None or first.ticks > target:
                return
            frames = chain([first], frames)
        converter: RgbConverter | None = None
        for timed in _shown_from(frames, target):
            converter = converter or RgbConverter(timed.frame, stream)
            aspect = float(stream.sample_aspect_ratio or 1)
            if converter.orientation.transpose:
                aspect = 1 / aspect
            duration = timed.frame.duration * unit if timed.frame.duration else 1 / float(stream.average_rate or 25)
            yield ShownFrame(converter(timed.frame), timed.ticks * unit, duration, aspect)
        if converter is None:
            raise refusal(path, "not one frame can be decoded", "fetch it again or leave it out")


def _enter(container: InputContainer, stream: VideoStream, seconds: float, unit: float) -> bool:
    """Jumps to a keyframe before that time, where this is worth it; whether it did."""
    start = float((stream.start_time or 0) * unit)
    if container.format.name not in EXACT_PTS_FORMATS:
        if seconds - start < _INEXACT_SEEK_AFTER_SECONDS:
            return False
        seconds -= _INEXACT_MARGIN_SECONDS
    elif seconds <= start:
        return False
    if stream.duration:  # beyond the end there is nothing to enter at
        seconds = min(seconds, start + stream.duration * unit)
    container.seek(math.floor(seconds / unit + 1e-3), stream=stream)
    return True


def _shown_from(frames: Iterator[TimedFrame], target: int) -> Iterator[TimedFrame]:
    """Leaves out what has gone when `target` comes."""
    shown: TimedFrame | None = None
    for timed in frames:
        if timed.ticks > target:
            yield from (one for one in (shown, timed) if one is not None)
            break
        shown = timed
    else:
        yield from (one for one in (shown,) if one is not None)
    yield from frames
