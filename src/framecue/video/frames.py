"""Decoded frames as pictures: upright, in RGB with the right matrix and range, with what HDR values mean beside them.

matrix      as tagged; untagged BT.709 for pictures of 1280 columns or more than 576 rows, else BT.601 (as mpv)
range       as tagged; untagged is limited in YUV, full in RGB and in the "yuvj" formats
alpha       on black
depth       8 bits for SDR of BT.709 or BT.601, 16 for all that `pictures.color` brings to it
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from framecue.pictures.color import Coding, Primaries, Transfer
from framecue.pictures.picture import Picture, Pixels
from framecue.video.source import Source

DECODING = "shown-1"
"""Names how the pixels of files come about, here and in `pictures`: another one where a change moves stored numbers."""

# FFmpeg's numbers (ITU-T H.273).
_UNSPECIFIED = 2
_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg", 8: "linear"}
_PRIMARIES: dict[int, Primaries] = {9: "bt2020", 11: "p3", 12: "p3"}

_PLAIN_FORMATS = frozenset(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p"))
"""Of 8 bits, and exact by swscale's fast path, which is what all earlier numbers were made with."""
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_EXACT_DEEP = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
"""Of 16 bits: with bilinear chroma, swscale (FFmpeg 8.1) garbles full-range 4:2:0 of 10 bits."""
_LIMITED_CODECS = ("h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9")
"""What they code without saying its range is limited, gray pictures too."""
_HD_WIDTH, _SD_HEIGHT = 1280, 576
_NEARLY_SQUARE = 0.01
"""What encoders make of rounded sides, such as 427 columns for 426.7, is no other shape."""
_LARGEST_ASPECT = 8
"""A pixel wider or higher than this many times its other side is a damaged header."""


class PictureMaker:
    """Turns the frames of one stream into pictures."""

    def __init__(self, source: Source) -> None:
        self._stream = source.stream
        self._reformatter = VideoReformatter()
        self._orientation: Orientation | None = None
        self._first_context_aspect = source.stream.codec_context.sample_aspect_ratio

    def __call__(self, frame: VideoFrame) -> Picture:
        if self._orientation is None:
            self._orientation = Orientation.of(frame, self._stream)
        coding = _coding(frame)
        has_alpha = _has_alpha(frame)
        rgb = self._convert(
            frame, ("rgba64le" if coding else "rgba") if has_alpha else "rgb48le" if coding else "rgb24"
        )
        pixels = _on_black(rgb) if has_alpha else rgb
        aspect = self._pixel_aspect()
        return Picture(self._orientation.apply(pixels), 1 / aspect if self._orientation.transpose else aspect, coding)

    @property
    def clockwise_degrees(self) -> int:
        """Of the frames so far; see `Orientation`."""
        return self._orientation.clockwise_degrees if self._orientation else 0

    def _convert(self, frame: VideoFrame, name: str) -> Pixels:
        flags = _EXACT_DEEP if name in ("rgb48le", "rgba64le") else _EXACT
        is_plain = frame.format.name in _PLAIN_FORMATS and flags == _EXACT
        # One shared reformatter with one thread: a threaded scaler per frame is 8 times slower (av 18).
        converted = self._reformatter.reformat(
            frame,
            format=name,
            src_colorspace=_matrix(frame),
            interpolation=None if is_plain or frame.format.is_rgb else flags,
            threads=1,
        )
        array = converted.to_ndarray()
        pixels = array.view(np.uint16) if array.dtype.itemsize == 2 else array.astype(np.uint8, copy=False)
        return _full_range(pixels) if self._is_limited_gray(frame) else pixels

    def _is_limited_gray(self, frame: VideoFrame) -> bool:
        """Whether swscale, which takes every gray picture for one of full range, was wrong about this one."""
        if not frame.format.name.startswith(("gray", "ya")) or frame.color_range == ColorRange.JPEG:
            return False
        return frame.color_range == ColorRange.MPEG or self._stream.codec_context.name in _LIMITED_CODECS

    def _pixel_aspect(self) -> float:
        """Width of a stored pixel over its height: the container's, until the codec changes its own."""
        own = self._stream.codec_context.sample_aspect_ratio
        aspect = own if own != self._first_context_aspect else self._stream.sample_aspect_ratio
        value = float(aspect or Fraction(1))
        if abs(value - 1) < _NEARLY_SQUARE:
            return 1.0
        return value if 1 / _LARGEST_ASPECT <= value <= _LARGEST_ASPECT else 1.0


def _full_range(pixels: Pixels) -> Pixels:
    """Gray from 16 to 235, of 8 bits or shifted to 16, over the whole range."""
    most = np.iinfo(pixels.dtype).max
    unit = (most + 1) // 256
    gray = pixels.astype(np.float32)
    gray[..., :3] = (gray[..., :3] - 16 * unit) * (most / (219 * unit))
    return np.clip(np.round(gray), 0, most).astype(pixels.dtype)


def _matrix(frame: VideoFrame) -> Colorspace | None:
    """None where the frame says it."""
    if frame.format.is_rgb or frame.colorspace not in (_UNSPECIFIED, None):
        return None
    is_hd = frame.width >= _HD_WIDTH or frame.height > _SD_HEIGHT
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601


def _coding(frame: VideoFrame) -> Coding | None:
    """How the values differ from SDR of BT.709; None where they do not."""
    transfer = _TRANSFERS.get(int(frame.color_trc), "gamma")
    primaries = _PRIMARIES.get(int(frame.color_primaries), "bt2020" if transfer in ("pq", "hlg") else "bt709")
    if transfer == "gamma" and primaries == "bt709":
        return None
    return Coding(transfer, primaries, _white_code(frame))


def _white_code(frame: VideoFrame) -> int:
    """What swscale makes of white at 16 bits: it shifts YUV there, and repeats the bits of RGB."""
    if frame.format.is_rgb or frame.format.name.startswith(("gray", "ya")):
        return 2**16 - 1
    if frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"):
        bits = frame.format.components[0].bits
        return (2**bits - 1) << (16 - bits)
    return 255 << 8


def _has_alpha(frame: VideoFrame) -> bool:
    name = frame.format.name
    return name.startswith(("yuva", "rgba", "argb", "bgra", "abgr", "gbrap", "ya", "pal8", "ayuv", "vuya"))


def _on_black(pixels: Pixels) -> Pixels:
    """RGBA [H, W, 4] with straight alpha -> RGB [H, W, 3]."""
    most = np.iinfo(pixels.dtype).max
    if (pixels[..., 3] == most).all():
        return np.ascontiguousarray(pixels[..., :3])
    scaled = pixels[..., :3].astype(np.uint32) * pixels[..., 3:]
    return ((scaled + most // 2) // most).astype(pixels.dtype)


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

    def apply(self, image: Pixels) -> Pixels:
        if self.transpose:
            image = image.transpose(1, 0, 2)
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
