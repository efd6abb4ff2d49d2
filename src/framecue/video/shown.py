"""What a person sees from a given second on: pictures and their times, entered near it, not from the start."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from framecue.errors import UsageError, VideoError
from framecue.pictures.picture import Picture
from framecue.video.decode import TimedFrame, has_clock_jumps, no_frames, timed_frames
from framecue.video.frames import PictureMaker
from framecue.video.source import Decoding, Source, open_video

_INEXACT_SEEK_AFTER_SECONDS = 30.0
_INEXACT_MARGIN_SECONDS = 5.0
"""Containers without exact times are read from the start when that is soon done, and else entered well before."""


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """One picture of a video.

    Attributes:
        seconds: when it appears, on the player's axis.
        end_seconds: when it is meant to go, as far as the file says, else by how long frames stay on average.
    """

    picture: Picture
    seconds: float
    end_seconds: float


def frames_from(path: Path, seconds: float, decoding: Decoding | None = None) -> Iterator[ShownFrame]:
    """The frame that is on screen at `seconds`, and those after it; at least one.

    Before the first frame that is the first, beyond the end the last. Times are exact in MP4, MOV, Matroska and WebM,
    and in the first 30 s of other containers; beyond these they are what FFmpeg finds when it enters the file there. A
    file whose clock jumps is read from its start.

    Raises:
        VideoError: not a video, or nothing of it decodes, on the first step.
        UsageError: `seconds` is not a finite number.
    """
    if not math.isfinite(seconds):
        raise UsageError(f"A time in a video must be a finite number of seconds, got {seconds}.")
    given = False
    try:
        for frame in _frames_from(path, seconds, decoding, enter=True):
            given = True
            yield frame
        if given:
            return
    except VideoError:
        if given:
            raise
    # Some streams decode from the start only.
    yield from _frames_from(path, seconds, decoding, enter=False)


def _frames_from(path: Path, seconds: float, decoding: Decoding | None, *, enter: bool) -> Iterator[ShownFrame]:
    with open_video(path, decoding) as source:
        target = source.ticks(seconds)
        if enter and _enter(source, seconds):
            source.tolerant = False
            frames = timed_frames(source)
            first = next(frames, None)
            if first is None or first.ticks > target:
                return
            frames = chain([first], frames)
        else:
            frames = timed_frames(source)
        make = PictureMaker(source)
        timed: TimedFrame | None = None
        for timed in _shown_from(frames, target):
            source.tolerant = True
            yield ShownFrame(make(timed.frame), source.seconds(timed.ticks), source.seconds(timed.end_ticks))
        if timed is None:
            raise no_frames(source)


def _enter(source: Source, seconds: float) -> bool:
    """Jumps to a keyframe before that time, where this is worth it; whether it did."""
    start = source.seconds(source.stream.start_time or 0) if source.stream.start_time is not None else 0.0
    if not source.has_exact_times:
        if seconds - start < _INEXACT_SEEK_AFTER_SECONDS or has_clock_jumps(source):
            return False
        seconds -= _INEXACT_MARGIN_SECONDS
    elif seconds <= start:
        return False
    end = source.expected_end_seconds()
    if end is not None:  # beyond the end there is nothing to enter at
        seconds = min(seconds, end)
    source.container.seek(source.ticks(seconds), stream=source.stream)
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
