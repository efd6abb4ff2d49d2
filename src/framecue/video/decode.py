"""PyAV behind one door: open a file, decode frames with mended times, and show the frame of a given time.

Times in here are ticks, the container's own integers; one tick is `stream.time_base` seconds.
"""

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from framecue.errors import VideoError

EXACT_PTS_FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
"""Containers that store each frame's presentation time and can be entered at any keyframe."""

_REORDER_FRAMES = 8
"""AVI stores no presentation times; FFmpeg's guesses come a few places out of order around B-frames (seen: 3)."""

_RESTART_SECONDS = 1.0
"""A step back by more than this is a clock that restarted (joined MPEG streams), not a glitch."""

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame and when it is shown."""

    frame: VideoFrame
    ticks: int


@dataclass(frozen=True)
class PacketPlan:
    """Sorted presentation ticks of the frames that will decode, and of the keyframes among them."""

    ticks: list[int]
    key_ticks: list[int]


def refusal(path: Path, why: str, next_step: str) -> VideoError:
    """The one form of message for a file that cannot be read."""
    shown = str(path) if str(path).isprintable() else repr(str(path))
    return VideoError(f"{shown}: cannot be read as video: {why}; {next_step}.")


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens the file and its first video stream that is not cover art.

    Whatever PyAV raises inside the `with` block leaves it as a `VideoError` that names the file.
    """
    _require_regular_file(path)
    try:
        # An absolute path cannot be taken for an option or a URL; the whitelist keeps playlists off the network.
        options = {"protocol_whitelist": "file"}
        with av.open(str(path.absolute()), options=options, metadata_errors="ignore") as container:
            streams = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
            if not streams:
                raise refusal(path, "it has no video stream", "name a file with a picture track or leave it out")
            if streams[0].codec_context is None:
                raise refusal(path, "its codec is not known to FFmpeg", "convert it to H.264 or leave it out")
            yield container, streams[0]
    except (av.FFmpegError, UnicodeError, RuntimeError, ValueError, OSError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        why = why[0].lower() + " ".join(why[1:].split())
        step = "it is damaged, cut short or encrypted: fetch or convert it again, or leave it out"
        raise refusal(path, f"FFmpeg says {why!r}", step) from error


def timed_frames(container: InputContainer, stream: VideoStream) -> Iterator[TimedFrame]:
    """Decodes on from the current position in display order, with times that never decrease."""
    lookahead = 0 if container.format.name in EXACT_PTS_FORMATS else _REORDER_FRAMES
    clock = _Clock(stream)
    frames: deque[VideoFrame] = deque()
    pending: list[int] = []
    latest: int | None = None

    def pop() -> TimedFrame:
        # The decoder's order is the true one, so the times are sorted, not the frames.
        nonlocal latest
        ticks = heapq.heappop(pending)
        latest = ticks if latest is None else max(latest, ticks)
        return TimedFrame(frames.popleft(), latest)

    for frame in container.decode(stream):
        frames.append(frame)
        heapq.heappush(pending, clock.ticks(frame))
        if len(frames) > lookahead:
            yield pop()
    while frames:
        yield pop()


class _Clock:
    """Gives every frame a time: its own, else one frame after the latest; goes on where the clock restarts."""

    def __init__(self, stream: VideoStream) -> None:
        rate, time_base = stream.average_rate or stream.guessed_rate, stream.time_base
        self._frame_ticks = max(1, round(1 / (rate * time_base))) if rate and time_base else 1
        self._restart_ticks = int(_RESTART_SECONDS / time_base) if time_base else 1
        self._latest: int | None = None
        self._offset = 0

    def ticks(self, frame: VideoFrame) -> int:
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            ticks = 0 if self._latest is None else self._latest + self._frame_ticks
        else:
            ticks = stamp + self._offset
            if self._latest is not None and ticks < self._latest - self._restart_ticks:
                self._offset += self._latest + self._frame_ticks - ticks
                ticks = self._latest + self._frame_ticks
        self._latest = ticks if self._latest is None else max(self._latest, ticks)
        return ticks


def plan_packets(container: InputContainer, stream: VideoStream) -> PacketPlan | None:
    """Reads the times of all frames from the packets, without decoding; None where packets do not tell them."""
    ticks: list[int] = []
    key_ticks: list[int] = []
    latest_dts: int | None = None
    for packet in container.demux(stream):
        # One byte: the placeholder with which Video for Windows encoders mark their delay. None: the end of the stream.
        if packet.size <= 1:
            continue
        if packet.pts is None or (packet.dts is not None and latest_dts is not None and packet.dts < latest_dts):
            return None
        latest_dts = packet.dts
        if packet.is_keyframe:
            key_ticks.append(packet.pts)
        if not packet.is_discard:
            ticks.append(packet.pts)
    if key_ticks:
        # A file cut out of a longer one may begin with frames whose references are gone; those do not decode.
        ticks = [tick for tick in ticks if tick >= key_ticks[0]]
    return PacketPlan(sorted(ticks), sorted(key_ticks))


class Player:
    """Shows the frame of a given time, for times that do not decrease; jumps to a keyframe where that skips work."""

    def __init__(self, container: InputContainer, stream: VideoStream, plan: PacketPlan) -> None:
        self._container, self._stream = container, stream
        self._start_ticks = plan.ticks[0]
        self._key_ticks = plan.key_ticks if container.format.name in EXACT_PTS_FORMATS else []
        self._read_on(jumped=False)

    def shown_at(self, ticks: int) -> TimedFrame | None:
        """The last frame that begins at or before `ticks`, or the first of all; None if nothing decodes."""
        key = bisect_right(self._key_ticks, ticks) - 1
        try:
            if key >= 0 and self._next is not None and self._key_ticks[key] > self._next.ticks:
                self._jump(self._key_ticks[key])
            return self._advance(ticks)
        except av.FFmpegError:
            if not self._jumped:
                raise
            # Some streams decode from the start only: what follows their keyframes refers to what came before.
            self._rewind()
            return self._advance(ticks)

    def _read_on(self, *, jumped: bool) -> None:
        self._jumped = jumped
        self._frames = timed_frames(self._container, self._stream)
        self._shown: TimedFrame | None = None
        self._next = next(self._frames, None)

    def _jump(self, ticks: int) -> None:
        self._container.seek(ticks, stream=self._stream)
        self._read_on(jumped=True)
        if self._next is None or self._next.ticks > ticks:
            self._rewind()

    def _rewind(self) -> None:
        self._key_ticks = []
        self._container.seek(self._start_ticks, stream=self._stream)
        self._read_on(jumped=False)

    def _advance(self, ticks: int) -> TimedFrame | None:
        while self._next is not None and self._next.ticks <= ticks:
            self._shown, self._next = self._next, next(self._frames, None)
        return self._shown or self._next


class RgbConverter:
    """Turns decoded frames into upright uint8 RGB [H, W, 3], all of the first frame's size."""

    def __init__(self, first: VideoFrame, stream: VideoStream) -> None:
        self.size = (first.width, first.height)
        self.orientation = Orientation.of(first, stream)
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        width, height = self.size
        # One shared reformatter with one thread: a threaded scaler per frame is 8 times slower (av 18).
        rgb = self._reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        return self.orientation.apply(rgb.to_ndarray().astype(np.uint8, copy=False))


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is brought upright: transpose first, then mirror the axes."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: VideoFrame, stream: VideoStream) -> "Orientation":
        """From the display matrix [[a, b], [c, d]], (x, y) to (ax + cy, bx + dy), else from a "rotate" tag."""
        side_data = frame.side_data.get("DISPLAYMATRIX")
        if not isinstance(side_data, SideData):
            tag = {key.lower(): value for key, value in stream.metadata.items()}.get("rotate", "0")
            turns = round(float(tag) / 90) % 4 if tag.lstrip("+-").isdigit() else 0
            return cls(turns % 2 == 1, turns in (2, 3), turns in (1, 2))
        a, b, _, c, d, *_ = np.frombuffer(bytes(side_data), dtype=np.int32).astype(np.int64).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, flip_rows=b < 0, flip_columns=c < 0)
        return cls(False, flip_rows=d < 0, flip_columns=a < 0)

    @property
    def clockwise_degrees(self) -> int:
        """0, 90, 180 or 270; a mirrored picture counts as its nearest turn."""
        if self.transpose:
            return 270 if self.flip_rows else 90
        return 180 if self.flip_rows and self.flip_columns else 0

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self.transpose:
            image = image.transpose(1, 0, 2)
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def _require_regular_file(path: Path) -> None:
    try:
        is_there, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
        size = path.stat().st_size if is_file else 0
    except (OSError, ValueError) as error:
        raise refusal(path, f"the path cannot be used ({error})", "check the path") from error
    if not is_there:
        raise refusal(path, "there is no such file", "check the path")
    if is_folder:
        raise refusal(path, "it is a folder", "name the files inside it")
    if not is_file:
        raise refusal(path, "it is not a regular file", "copy it to one")
    if size == 0:
        raise refusal(path, "the file is empty", "copy or download it again")
