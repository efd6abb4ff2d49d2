"""One picture of a video and the sizes it is shown in: square pixels, then what an image tower or a page takes."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from framecue.pictures.color import Coding, to_sdr

try:
    import cykooz_resizer
except ImportError:  # no wheel for this machine: Pillow is five times slower, and equal within a level
    cykooz_resizer = None

Interpolation = Literal["bilinear", "bicubic"]
Pixels = npt.NDArray[Any]
"""uint8 or uint16 RGB [H, W, 3]."""

Window = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    Attributes:
        pixels: uint8 RGB [H, W, 3] as it is shown; uint16 where `coding` says what the values mean.
        pixel_aspect: width of a pixel over its height.
    """

    pixels: Pixels
    pixel_aspect: float = 1.0
    coding: Coding | None = None

    @property
    def shown_size(self) -> tuple[float, float]:
        """Width and height in square pixels; no side is made shorter."""
        height, width, _ = self.pixels.shape
        return (width * max(1.0, self.pixel_aspect), height * max(1.0, 1 / self.pixel_aspect))

    def resized(self, width: int, height: int, interpolation: Interpolation = "bicubic") -> npt.NDArray[np.uint8]:
        """uint8 RGB [height, width, 3]. HDR is resized as it is coded, as SDR is, and toned after that."""
        return self.toned(resample(self.pixels, width, height, interpolation))

    def shown(self) -> npt.NDArray[np.uint8]:
        """uint8 RGB in square pixels."""
        width, height = self.shown_size
        return self.resized(max(1, round(width)), max(1, round(height)))

    def toned(self, pixels: Pixels) -> npt.NDArray[np.uint8]:
        """Pixels of this picture as SDR."""
        return pixels if self.coding is None else to_sdr(pixels, self.coding)


@dataclass(frozen=True)
class ResizeCrop:
    """What an image tower takes of a picture: a square of S pixels.

    Attributes:
        image_size: S.
        resize: "shortest_edge" keeps the aspect ratio and crops the center (CLIP); "squash" resizes both sides to S
            (SigLIP).
        shortest_edge: length of the short side after resizing, before the crop.
    """

    image_size: int
    resize: Literal["shortest_edge", "squash"]
    shortest_edge: int
    interpolation: Interpolation

    def __call__(self, picture: Picture) -> npt.NDArray[np.uint8]:
        """uint8 RGB [S, S, 3].

        Filters as Pillow does, rows before columns; the center is torchvision's (CLIP's own pipeline): an odd margin
        is rounded half to even.
        """
        if self.resize == "squash":
            return picture.resized(self.image_size, self.image_size, self.interpolation)
        width, height = picture.shown_size
        if width <= height:
            width, height = self.shortest_edge, int(self.shortest_edge * height / width)
        else:
            width, height = int(self.shortest_edge * width / height), self.shortest_edge
        columns, rows = min(self.image_size, width), min(self.image_size, height)
        window = (round((width - columns) / 2), round((height - rows) / 2), columns, rows)
        pixels = resample(picture.pixels, width, height, self.interpolation, window)
        return _padded(picture.toned(pixels), self.image_size)


@dataclass(frozen=True)
class FitInside:
    """A picture made smaller where it does not fit, never larger.

    Attributes:
        width, height: the room there is; None = as much as it takes.
        step: sides are multiples of it.
    """

    width: int | None = None
    height: int | None = None
    step: int = 1

    def size_of(self, picture: Picture) -> tuple[int, int]:
        """Width and height of the result."""
        width, height = picture.shown_size
        scale = min(1.0, (self.width or width) / width, (self.height or height) / height)
        return self._stepped(width * scale), self._stepped(height * scale)

    def __call__(self, picture: Picture) -> npt.NDArray[np.uint8]:
        """uint8 RGB [H, W, 3]."""
        return picture.resized(*self.size_of(picture))

    def _stepped(self, pixels: float) -> int:
        return max(self.step, self.step * round(pixels / self.step))


def letterbox(picture: Picture, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The whole picture in the middle of uint8 RGB [height, width, 3], as large as it can be, black around it."""
    shown_width, shown_height = picture.shown_size
    scale = min(width / shown_width, height / shown_height)
    inner_width = min(width, max(1, round(shown_width * scale)))
    inner_height = min(height, max(1, round(shown_height * scale)))
    inside = picture.resized(inner_width, inner_height)
    if inside.shape[:2] == (height, width):
        return inside
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    canvas[top : top + inner_height, left : left + inner_width] = inside
    return canvas


def resample(
    pixels: Pixels, width: int, height: int, interpolation: Interpolation, window: Window | None = None
) -> Pixels:
    """[H, W, 3] -> [height, width, 3] of the same type, antialiased, rows before columns as CLIP's makers resized.

    Newer versions of Pillow take the cheaper order, which is another one for some sizes. The fast path differs from
    Pillow by at most one level in 0.4 % of the values (`resample_by_pillow`).

    Args:
        window: the part of the result that is wanted; None = all. Nothing else is computed.
    """
    left, top, columns, rows = window or (0, 0, width, height)
    if pixels.shape[:2] == (height, width):
        return pixels[top : top + rows, left : left + columns]
    if cykooz_resizer is None:
        return resample_by_pillow(pixels, width, height, interpolation, window)
    resizer, algorithm = _resizer(interpolation)
    kind = cykooz_resizer.PixelType.U8x3 if pixels.dtype == np.uint8 else cykooz_resizer.PixelType.U16x3
    image = cykooz_resizer.ImageData(pixels.shape[1], pixels.shape[0], kind, pixels.tobytes())
    # In one step it rounds once, where Pillow rounds twice.
    for size, box in _passes(image.width, image.height, width, height, (left, top, columns, rows)):
        target = cykooz_resizer.ImageData(*size, kind)
        options = cykooz_resizer.ResizeOptions(resize_alg=algorithm, crop_box=cykooz_resizer.CropBox(*box))
        resizer.resize(image, target, options)
        image = target
    return np.frombuffer(image.get_buffer(), dtype=pixels.dtype).reshape(rows, columns, 3)


def resample_by_pillow(
    pixels: Pixels, width: int, height: int, interpolation: Interpolation, window: Window | None = None
) -> Pixels:
    """The reference for `resample`."""
    number = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR

    def resized(plane: Image.Image) -> npt.NDArray[Any]:
        for size, (x, y, columns, rows) in _passes(*plane.size, width, height, window or (0, 0, width, height)):
            plane = plane.resize(size, number, box=(x, y, x + columns, y + rows))
        return np.asarray(plane)

    if pixels.dtype == np.uint8:
        return resized(Image.fromarray(np.ascontiguousarray(pixels)))
    planes = [
        resized(Image.fromarray(np.ascontiguousarray(pixels[..., channel], dtype=np.float32))) for channel in range(3)
    ]
    return np.clip(np.round(np.stack(planes, axis=-1)), 0, 65535).astype(np.uint16)


def _passes(
    width: int, height: int, new_width: int, new_height: int, window: Window
) -> Iterator[tuple[tuple[int, int], tuple[float, float, float, float]]]:
    """Size of what each pass makes, and the box (left, top, width, height) of its source that it is made of."""
    left, top, columns, rows = window
    if (width, columns) != (new_width, new_width):
        yield (columns, height), (left * width / new_width, 0.0, columns * width / new_width, float(height))
    if (height, rows) != (new_height, new_height):
        yield (columns, rows), (0.0, top * height / new_height, float(columns), rows * height / new_height)


def _resizer(interpolation: Interpolation) -> tuple[Any, Any]:
    """Of this thread: a resizer keeps its buffers."""
    return _resizer_of(threading.get_ident(), interpolation)


@lru_cache(maxsize=64)
def _resizer_of(_thread: int, interpolation: Interpolation) -> tuple[Any, Any]:
    kinds = {"bicubic": cykooz_resizer.FilterType.catmull_rom, "bilinear": cykooz_resizer.FilterType.bilinear}
    return cykooz_resizer.Resizer(), cykooz_resizer.ResizeAlg.convolution(kinds[interpolation])


def _padded(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Black around what is smaller."""
    vertical, horizontal = size - pixels.shape[0], size - pixels.shape[1]
    if not vertical and not horizontal:
        return pixels
    margins = ((vertical // 2, vertical - vertical // 2), (horizontal // 2, horizontal - horizontal // 2), (0, 0))
    return np.pad(pixels, margins)
