"""What of a file could not be decoded, in seconds."""

import errno
from typing import TYPE_CHECKING, Any

from av.packet import Packet

if TYPE_CHECKING:
    from framecue.video.source import Source

_WATCHED_FRAMES = 32
"""After a failure, a gap between so many frames is its doing: decoders hold frames back, and times are put in order."""
_SHORTEST_SECONDS = 0.5
"""Headers are rounded: a file that ends less than this before its promised end is whole. MP4's are exact."""
_SHORTEST_GAP_SECONDS = 0.05
_STEADY_FRAMES = 12
_SILENT_GAP_SECONDS = 1.0
"""FFmpeg's readers of Matroska, Flash and MPEG streams skip what they do not understand without a word: so long a gap
after so many evenly spaced frames is taken for that."""
_TS_PACKET_BYTES = (188, 192, 204)


class Damage:
    """Counts what fails while frames are decoded, and the gaps that this leaves; then tells it in one sentence each."""

    def __init__(self, source: "Source") -> None:
        self._source = source
        self.first_error: str | None = None
        self._failures = 0
        self._has_keyframe = self._has_shown = False
        self._gaps: dict[int, int] = {}
        self._heard_seconds = 0.0
        self._start = 0
        self._end: int | None = None
        self._watch = self._step = self._steady = 0

    def restart(self) -> None:
        """The next frames come from somewhere else in the file."""
        self._watch, self._end, self._step, self._steady = 0, None, 0, 0

    def passed(self, packet: "Packet[Any]") -> None:
        """A packet was read; the reader may have marked it as torn."""
        self._has_keyframe = self._has_keyframe or packet.is_keyframe
        if packet.is_corrupt and packet.size and self._has_keyframe:
            self._watch = _WATCHED_FRAMES

    def heard(self, packet: "Packet[Any]") -> None:
        """A packet of sound was read."""
        if packet.pts is not None and packet.time_base:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base - self._source.origin)
            self._heard_seconds = max(self._heard_seconds, end)

    def failed(self, error: Exception) -> None:
        """A packet did not decode.

        Raises:
            the error itself: where the source is not to tolerate it.
            VideoError: in strict mode.
        """
        if not self._source.tolerant:
            raise error
        reason = ffmpeg_words(error)
        self.first_error = self.first_error or reason
        self._watch = _WATCHED_FRAMES
        if not self._has_keyframe and not self._source.has_exact_times:
            return  # a recording that was joined in the middle of a group of pictures
        self._failures += 1
        if self._source.decoding.strict:
            at = f" at {self._seconds(self._end):.1f} s" if self._end is not None else ""
            self._source.note(f"it is damaged{at} (FFmpeg says {reason!r})")

    def showed(self, ticks: int, end_ticks: int) -> None:
        """A frame was given out."""
        if self._end is None and self._failures and not self._has_shown:
            start = self._source.stream.start_time
            if start is not None and ticks - start > self._source.frame_ticks / 2:
                self._gaps[start] = ticks
        self._has_shown = True
        if self._end is not None:
            gap, frame = ticks - self._end, self._source.frame_ticks
            is_silent = (
                self._source.resynchronizes
                and self._steady >= _STEADY_FRAMES
                and gap * self._source.tick_seconds > _SILENT_GAP_SECONDS
            )
            if gap > frame / 2 and (self._watch or is_silent):
                self._gaps[self._end] = ticks
            self._watch = max(0, self._watch - 1)
            step = ticks - self._start
            self._steady = self._steady + 1 if abs(step - self._step) <= 2 + frame // 20 else 0
            self._step = step
        self._start, self._end = ticks, max(end_ticks, self._end or end_ticks)

    def tell(self, end_ticks: int) -> None:
        """Called when the pictures have been read to their end; notes what is missing.

        Raises:
            VideoError: in strict mode, where something is.
        """
        source = self._source
        missing = sum(end - start for start, end in self._gaps.items()) * source.tick_seconds
        if missing >= _SHORTEST_GAP_SECONDS:
            first = self._seconds(min(self._gaps))
            why = "they do not decode" if self.first_error else "it is damaged, or its recording paused there"
            source.note(f"{float(missing):.1f} s of pictures are missing, from {first:.1f} s on: {why}")
        elif self._failures:
            pieces = "piece" if self._failures == 1 else "pieces"
            source.note(f"{self._failures} damaged {pieces} of pictures passed over")
        end, promised = self._seconds(end_ticks), source.promised_end_seconds()
        shortest = source.promised_within_seconds if source.has_exact_promise else _SHORTEST_SECONDS
        if promised is not None and promised - max(end, self._heard_seconds) > shortest:
            source.note(
                f"it ends at {end:.1f} s, {promised - end:.1f} s before the end that its header promises: it was cut"
            )
        elif source.clock_may_jump and _ends_within_packet(source):
            source.note(f"it was cut in the middle of a packet, at {end:.1f} s; how much is missing it does not say")

    def _seconds(self, ticks: int | None) -> float:
        return self._source.seconds(ticks or 0)


def ffmpeg_words(error: BaseException) -> str:
    """An error of FFmpeg's in its own words, where those say anything of the file."""
    if getattr(error, "errno", None) in (errno.EAGAIN, errno.EBUSY):  # a decoder that takes and gives nothing
        return "no pictures come out of it"
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return why[0].lower() + " ".join(why[1:].split())


def _ends_within_packet(source: "Source") -> bool:
    """Whether an MPEG transport stream's size is no whole number of packets."""
    if source.container.format.name != "mpegts":
        return False
    with open(source.path, "rb") as file:
        head = file.read(4 * max(_TS_PACKET_BYTES) + 8)
    for first in (0, 4):
        for size in _TS_PACKET_BYTES:
            if head[first::size][:4] == b"\x47" * 4:
                return source.path.stat().st_size % size != 0
    return False
