"""Tools that make small videos of every kind: tracks, containers, patches of known colors, numbered frames.

The corpus itself lies in `footage_clock`, `footage_color`, `footage_damage`; what is wanted of it in
footage_expected.json, which write_footage_expected.py makes.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

Color = tuple[float, float, float]

COLORS: tuple[Color, ...] = (
    (200, 200, 200), (220, 30, 30), (70, 180, 80), (40, 60, 220),
    (220, 170, 140), (200, 190, 40), (60, 60, 60), (60, 170, 190),
)  # fmt: skip
"""Of the patches, row by row, sRGB levels; all below the level where highlights of HDR are compressed."""
COLUMNS = 4
STRIP = 1 / 6
"""Height of the strip above the patches that shows the frame's number, 8 bits, the highest on the left."""


@dataclass(frozen=True)
class Footage:
    """One video of the corpus, and what of it follows from the way it is made.

    Attributes:
        name: file name.
        make: writes it.
        kind: clock, stream, color, aspect, size or damage.
        size: width and height as shown; None = it is refused.
        pictures: frame number -> (x, y, color) of points in the picture, x and y in [0, 1).
        within: levels by which a color may be off.
        frame_seconds: how long the last frame is shown.
        times, numbers: the wanted ones where they are not FFmpeg's.
        why: how such values were had.
        refused: part of the message of a file that is not read.
        missing_seconds: how much pictures a damaged file lacks; 0 = it is damaged and does not say how much.
        stream: the wanted stream where it is not FFmpeg's.
        rotation_degrees: clockwise.
        jumps: of the clock.
    """

    name: str
    make: Callable[[Path], None]
    kind: str
    size: tuple[int, int] | None = (64, 48)
    pictures: dict[int, list[tuple[float, float, Color]]] = field(default_factory=dict)
    within: int = 3
    frame_seconds: float = 0.04
    times: list[float] | None = None
    numbers: list[int] = field(default_factory=list)
    why: str = ""
    refused: str = ""
    missing_seconds: float | None = None
    stream: int | None = None
    rotation_degrees: int = 0
    jumps: int = 0


# --- pictures


def points(colors: Sequence[Color] = COLORS, strip: float = STRIP) -> list[tuple[float, float, Color]]:
    """Where the middle of each patch is in the whole picture."""
    rows = -(-len(colors) // COLUMNS)
    return [
        ((i % COLUMNS + 0.5) / COLUMNS, strip + (i // COLUMNS + 0.5) / rows * (1 - strip), color)
        for i, color in enumerate(colors)
    ]


def patches(width: int, height: int, colors: Sequence[Sequence[float]] = COLORS, strip: float = 0.0) -> np.ndarray:
    """float64 [height, width, channels of `colors`]."""
    rows = -(-len(colors) // COLUMNS)
    top = round(strip * height)
    row = np.minimum((np.arange(height - top) * rows) // (height - top), rows - 1)
    column = np.arange(width) * COLUMNS // width
    picture = np.zeros((height, width, len(colors[0])))
    picture[top:] = np.asarray(colors, float)[np.minimum(row[:, None] * COLUMNS + column, len(colors) - 1)]
    return picture


def numbered(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """uint8 RGB [height, width, 3]: the patches under the number."""
    picture = patches(width, height, strip=STRIP)
    bits = [(number >> bit) & 1 for bit in range(7, -1, -1)]
    picture[: round(STRIP * height)] = 235 * np.repeat(bits, -(-width // 8))[None, :width, None]
    return picture.astype(np.uint8)


def number_of(picture: np.ndarray) -> int:
    """Of a shown picture [height, width, 3] or [height, width]."""
    height, width = picture.shape[:2]
    row = picture.reshape(height, width, -1)[round(STRIP * height / 2)].mean(axis=-1)
    return sum(int(row[int((i + 0.5) * width / 8)] > 117) << (7 - i) for i in range(8))


# --- tracks and containers


@dataclass
class Track:
    """One stream to write.

    Attributes:
        frames: RGB pictures or ready frames; None = frames numbered from `first`, `count` of them.
        ticks: presentation times in units of `time_base`; None = one after the other.
        sample_aspect: width of a pixel over its height.
        tags: attributes of the codec context: color_range, colorspace, color_primaries, color_trc.
    """

    codec: str = "libx264"
    count: int = 50
    size: tuple[int, int] = (64, 48)
    rate: int = 25
    pix_fmt: str = "yuv420p"
    frames: Iterable[np.ndarray | av.VideoFrame] | None = None
    first: int = 0
    ticks: Sequence[int] | None = None
    start: int = 0
    options: dict[str, str] = field(default_factory=dict)
    sample_aspect: Fraction | None = None
    tags: dict[str, int] = field(default_factory=dict)
    disposition: int | None = None

    def add(self, container: Any) -> Any:
        options = {"preset": "ultrafast", "g": "12"} if self.codec in ("libx264", "libx265") else {"g": "12"}
        if self.codec == "libx264":
            options["crf"] = "4"
        if self.codec == "libx265":
            options["x265-params"] = "log-level=none:lossless=1"
        if self.codec in ("mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "wmv2", "flv", "h263", "msmpeg4"):
            options |= {"qmin": "2", "qmax": "2"}
        if self.codec in ("libvpx", "libvpx-vp9"):
            options |= {"deadline": "realtime", "cpu-used": "8", "crf": "4", "b": "2M"}
        self.stream = container.add_stream(self.codec, rate=self.rate, options=options | self.options)
        self.stream.width, self.stream.height, self.stream.pix_fmt = *self.size, self.pix_fmt
        context = self.stream.codec_context
        if self.ticks is not None or self.start:
            context.time_base = Fraction(1, self.rate)
        if self.sample_aspect:
            context.sample_aspect_ratio = self.sample_aspect
        for name, value in self.tags.items():
            setattr(context, name, value)
        if self.disposition is not None:
            self.stream.disposition = Disposition(self.disposition)
        return self.stream

    def packets(self) -> Iterable[Any]:
        frames = self.frames
        if frames is None:
            frames = (numbered((self.first + i) % 256, *self.size) for i in range(self.count))
        for index, given in enumerate(frames):
            frame = given
            if not isinstance(frame, av.VideoFrame):
                frame = av.VideoFrame.from_ndarray(frame, format="rgb24")
            frame.pts = self.start + (self.ticks[index] if self.ticks is not None else index)
            frame.time_base = Fraction(1, self.rate)
            yield from self.stream.encode(frame)
        yield from self.stream.encode()


@dataclass
class Sound:
    """A track of silence."""

    codec: str = "aac"
    seconds: float = 2.0
    start_seconds: float = 0.0
    rate: int = 16000

    def add(self, container: Any) -> Any:
        self.stream = container.add_stream(self.codec, rate=self.rate)
        self.stream.layout = "mono"
        return self.stream

    def packets(self) -> Iterable[Any]:
        formats = {"pcm_s16le": "s16", "mp2": "s16", "aac": "fltp", "libmp3lame": "fltp", "libopus": "flt"}
        kind = formats[self.codec]
        size = self.stream.codec_context.frame_size or 1024
        for index in range(int(self.seconds * self.rate / size)):
            samples = np.zeros((1, size), dtype=np.float32 if kind.startswith("flt") else np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format=kind, layout="mono")
            frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
            frame.pts = round(self.start_seconds * self.rate) + index * size
            yield from self.stream.encode(frame)
        yield from self.stream.encode()


def write(path: Path, *tracks: Track | Sound, format: str | None = None, **options: str) -> None:
    """Encodes tracks into a container."""
    with av.open(str(path), "w", format=format, options=options) as container:
        for track in tracks:
            track.add(container)
        packets = [packet for track in tracks for packet in track.packets()]
        for packet in sorted(packets, key=lambda one: (one.dts or 0) * one.time_base):
            container.mux(packet)


def joined(*parts: Callable[[Path], None]) -> Callable[[Path], None]:
    """Files of one kind, end to end."""

    def make(path: Path) -> None:
        data = []
        for number, part in enumerate(parts):
            piece = path.with_name(f"part{number}-{path.name}")
            part(piece)
            data.append(piece.read_bytes())
            piece.unlink()
        path.write_bytes(b"".join(data))

    return make


# --- patches of bytes


def turn_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Writes a display matrix into the first track of an MP4 file."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    data[start : start + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def find_box(data: bytes | bytearray, *names: bytes) -> list[int]:
    """Offsets of nested boxes of an MP4 file, the first of each name."""
    inside = {b"stsd": 8, b"hvc1": 78, b"hev1": 78, b"avc1": 78}
    start, end, offsets = 0, len(data), []
    for name in names:
        while start < end:
            size = int.from_bytes(data[start : start + 4], "big")
            if data[start + 4 : start + 8] == name:
                break
            start += max(8, size)
        else:
            raise ValueError(f"No box {name!r}.")
        offsets.append(start)
        start, end = start + 8 + inside.get(name, 0), start + size
    return offsets


def insert_into_boxes(path: Path, box: bytes, *names: bytes) -> None:
    """Puts a box at the end of the last of nested boxes; what holds offsets must lie before them."""
    data = bytearray(path.read_bytes())
    offsets = find_box(data, *names)
    last = offsets[-1]
    end = last + int.from_bytes(data[last : last + 4], "big")
    for offset in offsets:
        size = int.from_bytes(data[offset : offset + 4], "big") + len(box)
        data[offset : offset + 4] = size.to_bytes(4, "big")
    data[end:end] = box
    path.write_bytes(data)
