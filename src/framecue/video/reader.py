"""Video files to RGB frames with their times, streaming and in bounded memory (PyAV; FFmpeg inside).

What is strict: a file whose decoding fails anywhere in what was asked for is refused, never passed off as a shorter
video. What is not seen: damage that FFmpeg conceals, damage outside the frames that "uniform:N" needs, and a clean cut
in a container that does not say how many frames it ought to have.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from framecue.errors import VideoError
from framecue.types import FrameBatch
from framecue.video.decode import (
    PacketPlan,
    Player,
    RgbConverter,
    TimedFrame,
    open_video,
    plan_packets,
    refusal,
    timed_frames,
)
from framecue.video.sampling import FpsPicker, Sampling, uniform_indices

FrameTransform = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]
"""uint8 [T, 3, H, W] to uint8 [T, 3, H', W'], frame by frame alike (resize, crop)."""

_RAW_BYTES = 32 * 2**20
"""Frames of this many bytes are transformed at a time, so that a chunk of large frames is never held untransformed."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        codec: FFmpeg's decoder name.
        width, height: pixels of the upright picture, after rotation.
        rotation_degrees: clockwise turn that brings the stored picture upright: 0, 90, 180, 270.
        average_fps: None where the container does not tell.
        duration_seconds: from the header; where that is silent, from the packets' times.
        num_frames_from_header: None where the header does not tell. It may be off: edit lists, undecodable beginnings.
        has_audio: whether there is a sound track; it is never read.
    """

    codec: str
    width: int
    height: int
    rotation_degrees: int
    average_fps: float | None
    duration_seconds: float
    num_frames_from_header: int | None
    has_audio: bool


def probe(path: str | PathLike[str]) -> VideoInfo:
    """Describes a video from its header and its first frame.

    Raises:
        VideoError: not a video, or not even one frame decodes.
    """
    path = Path(path)
    with open_video(path) as (container, stream):
        first = next(timed_frames(container, stream), None)
        if first is None:
            raise _no_frames(path)
        converter = RgbConverter(first.frame, stream)
        height, width, _ = converter(first.frame).shape
        info = VideoInfo(
            codec=stream.codec_context.name,
            width=width,
            height=height,
            rotation_degrees=converter.orientation.clockwise_degrees,
            average_fps=float(stream.average_rate) if stream.average_rate else None,
            duration_seconds=_duration_from_header(container, stream),
            num_frames_from_header=stream.frames or None,
            has_audio=bool(container.streams.audio),
        )
    if info.duration_seconds > 0:
        return info
    return VideoInfo(**{**vars(info), "duration_seconds": _duration_from_packets(path)})


def read_frames(
    path: str | PathLike[str],
    sampling: Sampling,
    *,
    chunk_frames: int = 64,
    transform: FrameTransform | None = None,
) -> Iterator[FrameBatch]:
    """Decodes the sampled frames of a video, batch by batch; at least one frame, or an error.

    Frames are upright RGB at the first frame's size. Times are the container's PTS and need not begin at 0; they are
    mended where the container lacks or garbles them (missing PTS, AVI with B-frames) and never decrease. At most one
    batch is held, whatever the length of the video. Memory order is channels-last behind the [T, 3, H, W] shape, as
    torch resizes fastest.

    "uniform:N" gives the frames `uniform_indices` picks, repeated ones included; it finds the number of frames without
    decoding and enters the file at keyframes where that skips work.

    Args:
        chunk_frames: frames in each batch but the last.
        transform: applied to the frames before they are gathered into a batch, to a few at a time.

    Raises:
        VideoError: on the first step that meets damage, which may come after some batches were given out.
    """
    if chunk_frames < 1:
        raise ValueError(f"chunk_frames must be at least 1, got {chunk_frames}.")
    path = Path(path)
    gatherer = _Gatherer(chunk_frames, transform)
    for image, pts_seconds in _sampled_images(path, sampling):
        batch = gatherer.add(image, pts_seconds)
        if batch is not None:
            yield batch
    rest = gatherer.finish()
    if rest is not None:
        yield rest


def read_video(path: str | PathLike[str], sampling: Sampling) -> FrameBatch:
    """`read_frames` in one batch. Holds every sampled frame in memory: meant for "uniform:N" and short videos.

    Raises:
        VideoError: as `read_frames`.
    """
    batches = list(read_frames(path, sampling))
    if len(batches) == 1:
        return batches[0]
    # Joined as [T, H, W, 3], the order they lie in.
    frames = np.concatenate([batch.frames.transpose(0, 2, 3, 1) for batch in batches]).transpose(0, 3, 1, 2)
    return FrameBatch(frames, np.concatenate([batch.pts_seconds for batch in batches]))


def _sampled_images(path: Path, sampling: Sampling) -> Iterator[tuple[npt.NDArray[np.uint8], float]]:
    """RGB [H, W, 3] and time in seconds of each sampled frame."""
    plan = _plan_uniform(path, int(sampling.value or 1)) if sampling.kind == "uniform" else None
    with open_video(path) as (container, stream):
        converter: RgbConverter | None = None
        previous: TimedFrame | None = None
        for timed in _select(container, stream, sampling, plan):
            if converter is None:
                converter = RgbConverter(timed.frame, stream)
            if timed is not previous:
                image = converter(timed.frame)
            previous = timed
            yield image, _seconds(timed.ticks, stream)
        if converter is None:
            raise _no_frames(path)


def _select(
    container: InputContainer, stream: VideoStream, sampling: Sampling, plan: tuple[PacketPlan, list[int]] | None
) -> Iterator[TimedFrame]:
    if plan is not None:
        packets, targets = plan
        player = Player(container, stream, packets)
        yield from (timed for timed in map(player.shown_at, targets) if timed is not None)
    elif sampling.kind == "fps":
        yield from _at_rate(timed_frames(container, stream), float(sampling.value or 1), stream)
    else:
        yield from timed_frames(container, stream)


def _at_rate(frames: Iterator[TimedFrame], fps: float, stream: VideoStream) -> Iterator[TimedFrame]:
    picker = FpsPicker(fps)
    previous: TimedFrame | None = None
    for timed in frames:
        if picker.push(_seconds(timed.ticks, stream)) and previous is not None:
            yield previous
        previous = timed
    if previous is not None and picker.finish():
        yield previous


def _plan_uniform(path: Path, n: int) -> tuple[PacketPlan, list[int]]:
    """The file's frame times and the n of them to show."""
    with open_video(path) as (container, stream):
        plan = plan_packets(container, stream)
    if plan is None:
        with open_video(path) as (container, stream):
            plan = PacketPlan([timed.ticks for timed in timed_frames(container, stream)], [])
    if not plan.ticks:
        raise _no_frames(path)
    return plan, [plan.ticks[i] for i in uniform_indices(len(plan.ticks), n).tolist()]


class _Gatherer:
    """Collects images into batches of `chunk_frames`, transforming them a few at a time."""

    def __init__(self, chunk_frames: int, transform: FrameTransform | None) -> None:
        self._chunk_frames, self._transform = chunk_frames, transform
        self._raw: npt.NDArray[np.uint8] | None = None
        self._num_raw = 0
        self._pieces: list[npt.NDArray[np.uint8]] = []
        self._pts_seconds: list[float] = []

    def add(self, image: npt.NDArray[np.uint8], pts_seconds: float) -> FrameBatch | None:
        """Takes an image [H, W, 3]; gives a batch when that completes one."""
        if self._raw is None:
            room = self._chunk_frames - len(self._pts_seconds)
            if self._transform is not None:
                room = min(room, max(1, _RAW_BYTES // image.nbytes))
            self._raw = np.empty((room, *image.shape), dtype=np.uint8)
        self._raw[self._num_raw] = image
        self._num_raw += 1
        self._pts_seconds.append(pts_seconds)
        if self._num_raw == len(self._raw):
            self._close_piece()
        return self.finish() if len(self._pts_seconds) == self._chunk_frames else None

    def finish(self) -> FrameBatch | None:
        """The batch gathered so far, or None if there is nothing in it."""
        self._close_piece()
        if not self._pieces:
            return None
        frames = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        batch = FrameBatch(frames, np.asarray(self._pts_seconds, dtype=np.float64))
        self._pieces, self._pts_seconds = [], []
        return batch

    def _close_piece(self) -> None:
        if self._raw is None:
            return
        frames = self._raw[: self._num_raw].transpose(0, 3, 1, 2)
        self._pieces.append(frames if self._transform is None else self._transform(frames))
        self._raw, self._num_raw = None, 0


def _seconds(ticks: int, stream: VideoStream) -> float:
    # Integers to the last step: one rounding, the same on every machine.
    return ticks * stream.time_base.numerator / stream.time_base.denominator if stream.time_base else float(ticks)


def _duration_from_header(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration:
        return _seconds(stream.duration, stream)
    return container.duration / av.time_base if container.duration else 0.0


def _duration_from_packets(path: Path) -> float:
    with open_video(path) as (container, stream):
        spans = [(p.pts, p.pts + (p.duration or 0)) for p in container.demux(stream) if p.pts is not None]
        return _seconds(max(end for _, end in spans) - min(start for start, _ in spans), stream) if spans else 0.0


def _no_frames(path: Path) -> VideoError:
    return refusal(
        path, "not one frame can be decoded", "it is empty, cut short or encrypted: fetch it again or leave it out"
    )
