"""Frames of an open file in display order with times that can be trusted, and the frame of a given time.

A clock that jumps goes on without a gap: backward by more than a second in any file, forward by more than ten seconds
in formats whose clocks may jump (MPEG streams), as FFmpeg's program does it. What does not decode is left out, counted
and said in seconds (`Damage`).
"""

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.frame import VideoFrame

from framecue.video.source import Decoding, Source, open_video, refusal
from framecue.workers import allow_cpu_seconds

_REORDER_FRAMES = 8
"""AVI stores no presentation times; FFmpeg's guesses come a few places out of order around B-frames (seen: 3)."""

_BACKWARD_SECONDS = 1.0
"""A step back by more than this is a clock that restarted (joined MPEG streams), not a glitch."""
_FORWARD_SECONDS = 10.0
"""FFmpeg's own threshold, `-dts_delta_threshold`: a shorter gap is what the sender left out."""

_PACKET_CPU_SECONDS = 0.02
_FRAME_CPU_SECONDS, _MEGAPIXEL_CPU_SECONDS = 0.05, 0.2
"""What decoding and resizing one of them may take, several times what the slowest codecs need."""


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame and when it is shown."""

    frame: VideoFrame
    ticks: int
    end_ticks: int


@dataclass(frozen=True)
class PacketPlan:
    """Sorted presentation ticks of the frames that will decode, and of the keyframes among them; and where the last
    one ends."""

    ticks: list[int]
    key_ticks: list[int]
    end_ticks: int


def timed_frames(source: Source) -> Iterator[TimedFrame]:
    """Decodes on from the current position in display order, with times that never decrease."""
    lookahead = 0 if source.has_exact_times else _REORDER_FRAMES
    clock, damage = Clock(source), source.damage
    damage.restart()
    frames: deque[VideoFrame] = deque()
    pending: list[int] = []
    latest: int | None = None

    def pop() -> TimedFrame:
        # The decoder's order is the true one, so the times are sorted, not the frames.
        nonlocal latest
        frame, ticks = frames.popleft(), heapq.heappop(pending)
        latest = ticks if latest is None else max(latest, ticks)
        end = latest + (frame.duration or source.frame_ticks)
        damage.showed(latest, end)
        return TimedFrame(frame, latest, end)

    for frame in _decoded(source):
        frames.append(frame)
        heapq.heappush(pending, clock.of(frame.pts if frame.pts is not None else frame.dts))
        if len(frames) > lookahead:
            yield pop()
    while frames:
        yield pop()


def _decoded(source: Source) -> Iterator[VideoFrame]:
    """Frames in the decoder's order; what does not decode is passed over."""
    for packet in read_packets(source):
        try:
            frames = packet.decode() if packet is not None else source.stream.codec_context.decode(None)
        except EOFError:
            return
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            source.damage.failed(error)
            continue
        for frame in frames:
            megapixels = frame.width * frame.height / 1e6
            allow_cpu_seconds(_FRAME_CPU_SECONDS + _MEGAPIXEL_CPU_SECONDS * megapixels)
            yield frame


def read_packets(source: Source) -> "Iterator[Packet[Any] | None]":
    """The stream's packets; at the last an empty one, or None, which makes the decoder give what it still holds."""
    sound = source.sound_of_promise
    packets = source.container.demux(source.stream, *sound)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            # A stream that begins in the middle: PyAV does not know it yet, and its generator has ended over it.
            packets = source.container.demux(source.stream, *sound)
            continue
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            source.damage.failed(error)
            yield None
            return
        if packet is None:
            return
        allow_cpu_seconds(_PACKET_CPU_SECONDS)
        if packet.stream in sound:
            source.damage.heard(packet)
            continue
        source.damage.passed(packet)
        yield packet


class Clock:
    """Gives every stamp its time: its own, else one frame after the latest; goes on where the clock jumps."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._backward = int(_BACKWARD_SECONDS / source.tick_seconds)
        self._forward = int(_FORWARD_SECONDS / source.tick_seconds) if source.clock_may_jump else None
        self._latest: int | None = None
        self._offset = 0

    def of(self, stamp: int | None) -> int:
        """Ticks of the next frame, whose stamp this is."""
        expected = 0 if self._latest is None else self._latest + self._source.frame_ticks
        ticks = expected if stamp is None or not self._source.has_times else stamp + self._offset
        if self._latest is not None and self.jumps(self._latest, ticks):
            self._source.note_jump(expected)
            self._offset += expected - ticks
            ticks = expected
        self._latest = ticks if self._latest is None else max(self._latest, ticks)
        return ticks

    def jumps(self, before: int, after: int) -> bool:
        return after < before - self._backward or (self._forward is not None and after > before + self._forward)


def plan_packets(source: Source) -> PacketPlan | None:
    """Reads the times of all frames from the packets, without decoding; None where packets do not tell them."""
    if not source.has_times:
        return None
    clock = Clock(source)
    ticks: list[int] = []
    key_ticks: list[int] = []
    latest_dts: int | None = None
    end = 0
    for packet in read_packets(source):
        # One byte: the placeholder with which Video for Windows encoders mark their delay. None: the end of the stream.
        if packet is None or packet.size <= 1:
            continue
        if packet.pts is None:
            return None
        dts = packet.dts
        if latest_dts is not None and dts is not None and (dts < latest_dts or clock.jumps(latest_dts, dts)):
            return None
        latest_dts = dts
        if packet.is_keyframe:
            key_ticks.append(packet.pts)
        if not packet.is_discard:
            ticks.append(packet.pts)
            end = max(end, packet.pts + (packet.duration or source.frame_ticks))
    if key_ticks:
        # A file cut out of a longer one may begin with frames whose references are gone; those do not decode.
        ticks = [tick for tick in ticks if tick >= key_ticks[0]]
    return PacketPlan(sorted(ticks), sorted(key_ticks), end)


class Player:
    """Shows the frame of a given time, for times that do not decrease; jumps to a keyframe where that skips work."""

    def __init__(self, source: Source, plan: PacketPlan) -> None:
        self._source = source
        self._start_ticks = plan.ticks[0]
        self._key_ticks = plan.key_ticks if source.has_exact_times else []
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
        self._source.tolerant = not jumped
        self._frames = timed_frames(self._source)
        self._shown: TimedFrame | None = None
        self._next = next(self._frames, None)

    def _jump(self, ticks: int) -> None:
        self._source.container.seek(ticks, stream=self._source.stream)
        self._read_on(jumped=True)
        if self._next is None or self._next.ticks > ticks:
            self._rewind()

    def _rewind(self) -> None:
        self._key_ticks = []
        self._source.container.seek(self._start_ticks, stream=self._source.stream)
        self._read_on(jumped=False)

    def _advance(self, ticks: int) -> TimedFrame | None:
        while self._next is not None and self._next.ticks <= ticks:
            self._shown, self._next = self._next, next(self._frames, None)
        return self._shown or self._next


def no_frames(source: Source) -> Exception:
    """What to raise where nothing decodes."""
    why = f" (FFmpeg says {source.damage.first_error!r})" if source.damage.first_error else ""
    return refusal(
        source.path,
        f"not one frame can be decoded{why}",
        "it is empty, cut short or encrypted: fetch it again or leave it out",
    )


def has_clock_jumps(source: Source) -> bool:
    """Whether times on the container's clock are not all on one axis, by the packets of the whole file.

    One answer per file and content is kept, for a page that asks for many pictures of it.
    """
    if not source.clock_may_jump:
        return False
    stat = source.path.stat()
    return _has_clock_jumps(source.path, source.stream.index, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _has_clock_jumps(path: Path, stream: int, _size: int, _mtime_ns: int) -> bool:
    with open_video(path, Decoding(stream)) as source:
        clock = Clock(source)
        latest: int | None = None
        for packet in read_packets(source):
            if packet is not None and packet.dts is not None:
                if latest is not None and clock.jumps(latest, packet.dts):
                    return True
                latest = packet.dts
    return False
