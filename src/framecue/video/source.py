"""A video file, open: which readers and streams are taken, where its clock begins, and what was wrong with it.

Times in here are ticks, the container's own integers; one tick is `stream.time_base` seconds. Times that leave this
room are seconds on the player's axis: 0 is where a player starts the file (`Source.seconds`).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image

from framecue.errors import VideoError
from framecue.video.damage import Damage, ffmpeg_words
from framecue.workers import memory_limit_bytes

EXACT_PTS_FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
"""Containers that store each frame's presentation time and can be entered at any keyframe."""

MAX_PICTURE_PIXELS = 2**27
"""Of one picture: 16K television has 133 million. A decoder asked for more refuses before it takes memory."""

# fmt: off
FORMATS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "asf", "asf_o", "flv", "live_flv", "mpeg",
    "mpegts", "mpegvideo", "m4v", "ogg", "mxf", "nut", "ivf", "gif", "apng", "rm", "dv", "h261", "h263", "h264", "hevc",
    "vvc", "av1", "obu", "dirac", "vc1", "vc1test", "cavsvideo", "evc", "avs2", "avs3", "mjpeg", "mjpeg_2000",
    "yuv4mpegpipe", "swf", "wtv", "gxf", "roq", "smk", "bink", "film_cpk", "nsv", "4xm", "flic", "r3d", "mv", "ea",
    "idcin", "vmd", "c93", "thp", "ingenient", "lmlm4", "filmstrip", "rpl", "xmv", "ipmovie", "nuv", "tmv",
)
# fmt: on
"""FFmpeg's readers of files that hold their own moving pictures, and of nothing else. Left out are playlists and
scripts (HLS, DASH, ffconcat, SDP, IMF), which name other files and addresses, still images, subtitles, and readers that
take anything for video. FFmpeg guesses the reader and then looks whether it is allowed, so no other one is tried."""

_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}

_CLOCK_MAY_JUMP = 0x0200  # AVFMT_TS_DISCONT
_HAS_NO_TIMES = 0x0080  # AVFMT_NOTIMESTAMPS
_NOT_THE_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_STILL_BRANDS = {"heic", "heix", "heim", "heis", "mif1", "mif2", "avif", "jpeg"}


@dataclass(frozen=True)
class Decoding:
    """How files are read, where the usual way is not wanted.

    Attributes:
        stream: number of the stream in the file, as FFmpeg counts; None = the one a player picks.
        strict: refuse a file that is damaged anywhere in what is read, instead of using what decodes.
        retry: try files again that crashed or stalled a decoder before.
    """

    stream: int | None = None
    strict: bool = False
    retry: bool = False


@dataclass
class Source:
    """An open file and its picture stream.

    Attributes:
        origin: seconds on the container's own clock at which a player starts.
        notes: what a user should know of how the file was read, a sentence each.
        tolerant: use what decodes; False = the first packet that does not decode raises.
    """

    path: Path
    container: InputContainer
    stream: VideoStream
    decoding: Decoding
    origin: Fraction
    notes: list[str] = field(default_factory=list)
    tolerant: bool = True
    _jumps: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.damage = Damage(self)

    @cached_property
    def tick_seconds(self) -> Fraction:
        return self.stream.time_base or Fraction(1)

    @cached_property
    def frame_ticks(self) -> int:
        """How long a frame is shown on average, at least 1."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return max(1, round(1 / (rate * self.tick_seconds))) if rate else 1

    @property
    def has_exact_times(self) -> bool:
        return self.container.format.name in EXACT_PTS_FORMATS

    @property
    def clock_may_jump(self) -> bool:
        """Whether the format allows a new clock in the middle of a file, as broadcasts do."""
        return bool(self.container.format.flags & _CLOCK_MAY_JUMP)

    @cached_property
    def has_times(self) -> bool:
        """Whether the format stores times at all; FFmpeg's guesses for others have holes."""
        return not self.container.format.flags & _HAS_NO_TIMES

    @property
    def has_exact_promise(self) -> bool:
        """Whether the header sums up its frames instead of rounding."""
        return self.container.format.name.startswith("mov,")

    @property
    def promised_within_seconds(self) -> Fraction:
        """How exact the promised end is where it is true: MP4 sums up its frames, others may lack one."""
        frames = Fraction(5, 2) if self.has_exact_promise else Fraction(1, 2)
        return frames * self.frame_ticks * self.tick_seconds

    @property
    def resynchronizes(self) -> bool:
        """Whether FFmpeg's reader passes over damage without an error."""
        return self.clock_may_jump or self.container.format.name in ("matroska,webm", "flv", "asf", "mxf", "nut")

    def seconds(self, ticks: int) -> float:
        """On the player's axis."""
        # Exact to the last step: one rounding, the same on every machine.
        return float(ticks * self.tick_seconds - self.origin)

    def ticks(self, seconds: float) -> int:
        """The last tick at or before a time on the player's axis; a time made of ticks gives its own one."""
        return math.floor((Fraction(seconds) + self.origin) / self.tick_seconds + Fraction(1, 1000))

    def note_jump(self, ticks: int) -> None:
        """The clock jumps where the next frame is expected at `ticks`; it goes on from there."""
        if ticks not in self._jumps:
            self._jumps.append(ticks)

    @property
    def jump_seconds(self) -> list[float]:
        """Where the container's clock was found to jump."""
        return [self.seconds(ticks) for ticks in self._jumps]

    def tell_jumps(self) -> None:
        """Notes the jumps of the clock, which are no damage."""
        if times := self.jump_seconds:
            where = ", ".join(f"{time:.1f}" for time in times[:3]) + (", ..." if len(times) > 3 else "")
            sentence = f"its clock jumps at {where} s; times go on there without a gap"
            if sentence not in self.notes:
                self.notes.append(sentence)

    def note(self, sentence: str) -> None:
        """
        Raises:
            VideoError: in strict mode.
        """
        if self.decoding.strict:
            raise refusal(self.path, sentence, "fetch it again, or leave out the strict mode to use what can be read")
        if sentence not in self.notes:
            self.notes.append(sentence)

    def promised_end_seconds(self) -> float | None:
        """Where the pictures end as the header says; None where it does not say, or FFmpeg only guesses."""
        if self.clock_may_jump or not self.has_times:
            return None
        return self.expected_end_seconds()

    def expected_end_seconds(self) -> float | None:
        """The same, also where it is an estimate: good for a progress bar."""
        stream = self.stream
        start = (stream.start_time or 0) * self.tick_seconds - self.origin
        ends = []
        if stream.duration:
            ends.append(start + stream.duration * self.tick_seconds)
        if self.container.format.name == "avi" and stream.frames and stream.average_rate:
            ends.append(start + stream.frames / stream.average_rate)  # FFmpeg shortens the duration of a cut file
        if not ends and (tagged := _tagged_duration(stream.metadata.get("DURATION", ""))):
            ends.append(tagged - self.origin)
        if not ends and self.container.duration:
            ends.append(Fraction(self.container.duration, av.time_base) - self.origin)
        return float(max(ends)) if ends and max(ends) > 0 else None

    @property
    def sound_of_promise(self) -> list[AudioStream]:
        """The sound tracks, where the header promises the end of sound and pictures together."""
        says = self.stream.duration or self.container.format.name == "avi" or self.stream.metadata.get("DURATION")
        return [] if says or self.promised_end_seconds() is None else list(self.container.streams.audio)


def refusal(path: Path, why: str, next_step: str) -> VideoError:
    """The one form of message for a file that cannot be read."""
    shown = str(path) if str(path).isprintable() else repr(str(path))
    return VideoError(f"{shown}: cannot be read as video: {why}; {next_step}.")


@contextmanager
def open_video(path: Path, decoding: Decoding | None = None) -> Iterator[Source]:
    """Opens the file and the stream that a player shows: the default-flagged one, then the one with most pixels.

    Whatever PyAV raises inside the `with` block leaves it as a `VideoError` that names the file.
    """
    _require_regular_file(path)
    decoding = decoding or Decoding()
    try:
        with _open(path) as container:
            stream = _choose_stream(path, container, decoding.stream)
            stream.codec_context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
            yield Source(path, container, stream, decoding, _origin(container, stream))
    except (av.FFmpegError, UnicodeError, RuntimeError, ValueError, OSError, MemoryError) as error:
        raise _told(path, error) from error


def _open(path: Path) -> InputContainer:
    # An absolute path cannot be taken for an option or a URL.
    try:
        return av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="ignore")
    except av.ArgumentError as error:  # what FFmpeg says of a reader that is not on the list
        raise _other_kind(path) from error


def _choose_stream(path: Path, container: InputContainer, wanted: int | None) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & _NOT_THE_PICTURE]
    if wanted is not None:
        streams = [stream for stream in container.streams.video if stream.index == wanted]
        if not streams:
            there = ", ".join(str(stream.index) for stream in container.streams.video) or "none"
            raise refusal(path, f"it has no video stream {wanted}", f"choose one of its video streams: {there}")
    brand = container.metadata.get("major_brand", "").strip().lower()
    if brand in _STILL_BRANDS:
        raise _still_image(path)
    if not streams:
        raise refusal(path, "it has no video stream", "name a file with a picture track or leave it out")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise refusal(path, "its codec is not known to FFmpeg", "convert it to H.264 or leave it out")
    best = max(known, key=lambda one: (bool(one.disposition & Disposition.default), one.width * one.height, -one.index))
    if best.width * best.height > MAX_PICTURE_PIXELS:
        raise refusal(
            path,
            f"its pictures of {best.width} x {best.height} have more than {MAX_PICTURE_PIXELS // 10**6} million pixels",
            "make them smaller",
        )
    return best


def _origin(container: InputContainer, stream: VideoStream) -> Fraction:
    """Where the first of picture and sound begins, as FFmpeg's program and players take it."""
    starts = [
        one.start_time * one.time_base
        for one in (stream, *container.streams.audio)
        if one.start_time is not None and one.time_base
    ]
    return min(starts, default=Fraction(0))


def _tagged_duration(text: str) -> Fraction | None:
    """Matroska's "00:01:30.500000000"."""
    try:
        hours, minutes, seconds = text.split(":")
        return (int(hours) * 60 + int(minutes)) * 60 + Fraction(seconds)
    except ValueError:
        return None


def _told(path: Path, error: BaseException) -> VideoError:
    if isinstance(error, MemoryError):
        limit = memory_limit_bytes()
        amount = "more memory than there is" if limit is None else f"more than {limit / 2**30:.0f} GiB of memory"
        return refusal(path, f"its pictures take {amount}", "make them smaller")
    why = ffmpeg_words(error)
    step = "it is damaged, cut short or encrypted: fetch or convert it again, or leave it out"
    return refusal(path, f"FFmpeg says {why!r}", step)


def _other_kind(path: Path) -> VideoError:
    try:
        with Image.open(path) as image:
            if image.format:
                return _still_image(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass
    return refusal(
        path,
        "its content is a playlist, subtitles, sound alone or another kind that is not taken, whatever its name",
        "name the video files themselves",
    )


def _still_image(path: Path) -> VideoError:
    return refusal(path, "it is a still image", "search by it with `framecue search --image`, or leave it out")


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
