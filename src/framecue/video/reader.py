"""Video files to RGB frames with their times, streaming and in bounded memory (PyAV; FFmpeg inside).

Times are on the player's axis: 0 is where a player starts. What decodes is used; what is missing is said in seconds in
`VideoSummary.notes`, or refused in strict mode. What is not seen: damage that FFmpeg conceals, damage outside the
frames that "uniform:N" needs, and a clean cut in a container that does not say how long it ought to be. All decoding
happens in worker processes (`video.guard`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from framecue.pictures.picture import Picture, letterbox
from framecue.types import FrameBatch
from framecue.video.decode import PacketPlan, Player, TimedFrame, no_frames, plan_packets, timed_frames
from framecue.video.frames import PictureMaker
from framecue.video.guard import guarded_call, guarded_stream
from framecue.video.sampling import FpsPicker, Sampling, uniform_indices
from framecue.video.source import Decoding, Source, open_video

Resize = Callable[[Picture], npt.NDArray[np.uint8]]
"""A picture to uint8 RGB [H, W, 3] of one size for all: `pictures.picture.ResizeCrop`. It must be picklable."""

_PIECE_BYTES = 24 * 2**20
"""What comes out of a worker at a time, so that it fits the shared memory."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        codec: FFmpeg's decoder name.
        width, height: of the first picture as it is shown: upright, in square pixels.
        rotation_degrees: clockwise turn that brings the stored picture upright: 0, 90, 180, 270.
        average_fps: None where the container does not tell.
        duration_seconds: where the last picture ends, as the header says; None where it does not say. `probe` finds it
            in the packets then.
        num_frames_from_header: None where the header does not tell. It may be off: edit lists, undecodable beginnings.
        has_audio: whether there is a sound track; it is never read.
        origin_seconds: what the container's own clock says where the player's axis starts.
        stream_index: number in the file of the stream that is read.
    """

    codec: str
    width: int
    height: int
    rotation_degrees: int
    average_fps: float | None
    duration_seconds: float | None
    num_frames_from_header: int | None
    has_audio: bool
    origin_seconds: float
    stream_index: int


@dataclass(frozen=True)
class VideoSummary:
    """What is known of a video when it has been read.

    Attributes:
        duration_seconds: where the last picture ends.
        origin_seconds: as in `VideoInfo`.
        num_clock_jumps: how often the container's clock jumped.
        notes: what a user should know, a sentence each: damage, jumps of the clock.
    """

    duration_seconds: float
    origin_seconds: float
    num_clock_jumps: int
    notes: tuple[str, ...]


class Reading:
    """Batches of a video's frames, once; `info` is there at once, `summary` when the batches have been taken."""

    def __init__(self, steps: Iterator[VideoInfo | FrameBatch | VideoSummary], chunk_frames: int) -> None:
        self._steps, self._chunk_frames = steps, chunk_frames
        self._info: VideoInfo | None = None
        self._summary: VideoSummary | None = None

    @property
    def info(self) -> VideoInfo:
        """
        Raises:
            VideoError: the file cannot be read.
        """
        if self._info is None:
            info = next(self._steps)
            assert isinstance(info, VideoInfo)
            self._info = info
        return self._info

    @property
    def is_done(self) -> bool:
        """Whether all batches have been taken."""
        return self._summary is not None

    @property
    def summary(self) -> VideoSummary:
        """
        Raises:
            RuntimeError: there are batches that have not been taken.
        """
        if self._summary is None:
            raise RuntimeError("The summary of a video is known when all its batches have been taken.")
        return self._summary

    def __iter__(self) -> Iterator[FrameBatch]:
        _ = self.info
        pieces: list[FrameBatch] = []
        for step in self._steps:
            if isinstance(step, FrameBatch):
                pieces.append(step)
                if sum(map(len, pieces)) == self._chunk_frames:
                    yield _joined(pieces)
                    pieces = []
            elif isinstance(step, VideoSummary):
                self._summary = step
        if pieces:
            yield _joined(pieces)

    def close(self) -> None:
        """Stops reading."""
        close = getattr(self._steps, "close", None)
        if close is not None:
            close()


def probe(path: str | PathLike[str], decoding: Decoding | None = None) -> VideoInfo:
    """Describes a video from its header and its first frame; where the header does not say how long it is, from all
    packets.

    Raises:
        VideoError: not a video, or not even one frame decodes.
    """
    return guarded_call(_probe, Path(path), decoding)


def duration_of(path: str | PathLike[str], decoding: Decoding | None = None) -> float:
    """Seconds at which the last picture ends.

    Raises:
        VideoError: as `probe`.
    """
    duration_seconds = probe(path, decoding).duration_seconds
    assert duration_seconds is not None, "probe finds it"
    return duration_seconds


def read_frames(
    path: str | PathLike[str],
    sampling: Sampling,
    *,
    chunk_frames: int = 64,
    resize: Resize | None = None,
    decoding: Decoding | None = None,
) -> Reading:
    """Decodes the sampled frames of a video, batch by batch; at least one frame, or an error.

    Frames are RGB as a player shows them: upright, in square pixels, HDR toned to SDR (`pictures.color`). Times are on
    the player's axis; they are mended where the container lacks or garbles them (missing times, AVI with B-frames, a
    clock that jumps) and never decrease. At most one batch is held, whatever the length of the video. Memory order is
    channels-last behind the [T, 3, H, W] shape.

    "uniform:N" gives the frames `uniform_indices` picks, repeated ones included; it finds the number of frames without
    decoding and enters the file at keyframes where that skips work.

    Args:
        chunk_frames: frames in each batch but the last.
        resize: what to make of each picture; None = its own size, which is the first picture's: pictures of another
            size are fitted into it, black around them.

    Raises:
        ValueError: `chunk_frames` is below 1.
        VideoError: the file cannot be read, or, in strict mode, is damaged; on the step that meets it.
    """
    if chunk_frames < 1:
        raise ValueError(f"chunk_frames must be at least 1, got {chunk_frames}.")
    steps = guarded_stream(_read, Path(path), decoding, sampling, chunk_frames, resize)
    return Reading(steps, chunk_frames)


def read_video(path: str | PathLike[str], sampling: Sampling, decoding: Decoding | None = None) -> FrameBatch:
    """`read_frames` in one batch. Holds every sampled frame in memory: meant for "uniform:N" and short videos.

    Raises:
        VideoError: as `read_frames`.
    """
    return _joined(list(read_frames(path, sampling, decoding=decoding)))


def _joined(batches: Sequence[FrameBatch]) -> FrameBatch:
    if len(batches) == 1:
        return batches[0]
    # Joined as [T, H, W, 3], the order they lie in.
    frames = np.concatenate([batch.frames.transpose(0, 2, 3, 1) for batch in batches]).transpose(0, 3, 1, 2)
    return FrameBatch(frames, np.concatenate([batch.pts_seconds for batch in batches]))


def _probe(path: Path, decoding: Decoding | None) -> VideoInfo:
    with open_video(path, decoding) as source:
        info = _describe(source, *_first_picture(source))
    if info.duration_seconds is not None:
        return info
    with open_video(path, decoding) as source:
        return replace(info, duration_seconds=source.seconds(_plan(source).end_ticks))


def _read(
    path: Path, decoding: Decoding | None, sampling: Sampling, chunk_frames: int, resize: Resize | None
) -> Iterator[VideoInfo | FrameBatch | VideoSummary]:
    plan: PacketPlan | None = None
    if sampling.kind == "uniform":
        with open_video(path, decoding) as source:
            plan = _plan(source)
    with open_video(path, decoding) as source:
        make = PictureMaker(source)
        gatherer: _Gatherer | None = None
        previous: TimedFrame | None = None
        selection = _Selection(source, sampling, plan)
        for timed in selection:
            if timed is not previous:
                picture = make(timed.frame)
            if gatherer is None:
                yield _describe(source, picture, make.clockwise_degrees)
                gatherer = _Gatherer(chunk_frames, resize or _FitFirst(picture))
            batch = gatherer.add(picture if timed is not previous else None, source.seconds(timed.ticks))
            previous = timed
            if batch is not None:
                yield batch
        if gatherer is None:
            raise no_frames(source)
        rest = gatherer.finish()
        if rest is not None:
            yield rest
        yield _summarize(source, selection.end_ticks)


class _Selection:
    """The sampled frames of an open file; afterwards, where its last frame ends."""

    def __init__(self, source: Source, sampling: Sampling, plan: PacketPlan | None) -> None:
        self._source, self._sampling, self._plan = source, sampling, plan
        self.end_ticks = plan.end_ticks if plan else 0

    def __iter__(self) -> Iterator[TimedFrame]:
        value = self._sampling.value or 1
        if self._plan is not None:
            ticks = self._plan.ticks
            player = Player(self._source, self._plan)
            for index in uniform_indices(len(ticks), int(value)).tolist():
                timed = player.shown_at(ticks[index])
                if timed is not None:
                    yield timed
        elif self._sampling.kind == "fps":
            yield from self._at_rate(float(value))
        else:
            yield from self._all()

    def _all(self) -> Iterator[TimedFrame]:
        for timed in timed_frames(self._source):
            self.end_ticks = max(self.end_ticks, timed.end_ticks)
            yield timed

    def _at_rate(self, fps: float) -> Iterator[TimedFrame]:
        picker = FpsPicker(fps)
        previous: TimedFrame | None = None
        for timed in self._all():
            if picker.push(self._source.seconds(timed.ticks)) and previous is not None:
                yield previous
            previous = timed
        if previous is not None and picker.finish():
            yield previous


def _plan(source: Source) -> PacketPlan:
    """The file's frame times; by decoding it where its packets do not tell them.

    Raises:
        VideoError: it has none.
    """
    plan = plan_packets(source)
    if plan is None:
        with open_video(source.path, source.decoding) as again:
            timed = [(one.ticks, one.end_ticks) for one in timed_frames(again)]
        plan = PacketPlan([ticks for ticks, _ in timed], [], max((end for _, end in timed), default=0))
    if not plan.ticks:
        raise no_frames(source)
    return plan


def _first_picture(source: Source) -> tuple[Picture, int]:
    """The first picture, and how it was turned."""
    make = PictureMaker(source)
    first = next(timed_frames(source), None)
    if first is None:
        raise no_frames(source)
    return make(first.frame), make.clockwise_degrees


def _describe(source: Source, picture: Picture, clockwise_degrees: int) -> VideoInfo:
    width, height = picture.shown_size
    stream = source.stream
    return VideoInfo(
        codec=stream.codec_context.name,
        width=max(1, round(width)),
        height=max(1, round(height)),
        rotation_degrees=clockwise_degrees,
        average_fps=float(stream.average_rate) if stream.average_rate else None,
        duration_seconds=source.promised_end_seconds(),
        num_frames_from_header=stream.frames or None,
        has_audio=bool(source.container.streams.audio),
        origin_seconds=float(source.origin),
        stream_index=stream.index,
    )


def _summarize(source: Source, end_ticks: int) -> VideoSummary:
    source.damage.tell(end_ticks)
    source.tell_jumps()
    end, promised = source.seconds(end_ticks), source.promised_end_seconds()
    # The header's figure is the finer one as long as it is true.
    is_true = promised is not None and abs(promised - end) < source.promised_within_seconds
    duration = promised if promised is not None and is_true else end
    return VideoSummary(duration, float(source.origin), len(source.jump_seconds), tuple(source.notes))


class _FitFirst:
    """Pictures as they are shown, all at the first one's size."""

    def __init__(self, first: Picture) -> None:
        width, height = first.shown_size
        self._size = (max(1, round(width)), max(1, round(height)))

    def __call__(self, picture: Picture) -> npt.NDArray[np.uint8]:
        return letterbox(picture, *self._size)


class _Gatherer:
    """Collects resized pictures into pieces: batches of `chunk_frames`, or several for one where it is large."""

    def __init__(self, chunk_frames: int, resize: Resize) -> None:
        self._chunk_frames, self._resize = chunk_frames, resize
        self._left_in_chunk = chunk_frames
        self._frames: npt.NDArray[np.uint8] | None = None
        self._pts_seconds: list[float] = []
        self._latest: npt.NDArray[np.uint8] | None = None

    def add(self, picture: Picture | None, pts_seconds: float) -> FrameBatch | None:
        """Takes a picture, None for the one before again; gives a piece when that completes one."""
        if picture is not None or self._latest is None:
            assert picture is not None
            self._latest = self._resize(picture)
        if self._frames is None:
            most = min(self._left_in_chunk, max(1, _PIECE_BYTES // self._latest.nbytes))
            self._frames = np.empty((most, *self._latest.shape), dtype=np.uint8)
        self._frames[len(self._pts_seconds)] = self._latest
        self._pts_seconds.append(pts_seconds)
        return self.finish() if len(self._pts_seconds) == len(self._frames) else None

    def finish(self) -> FrameBatch | None:
        """The piece gathered so far, or None if there is nothing in it."""
        if self._frames is None:
            return None
        frames = self._frames[: len(self._pts_seconds)].transpose(0, 3, 1, 2)
        piece = FrameBatch(frames, np.asarray(self._pts_seconds, dtype=np.float64))
        self._left_in_chunk = self._left_in_chunk - len(piece) or self._chunk_frames
        self._frames, self._pts_seconds = None, []
        return piece
