"""One small JPEG of what a video shows at a time."""

import io
from os import PathLike
from pathlib import Path

from PIL import Image

from framecue.errors import UsageError
from framecue.video.shown import frames_from

JPEG_QUALITY = 80
MAX_ASPECT = 4
"""Pictures taller than this many times the asked width are made smaller still."""


def thumbnail_jpeg(path: str | PathLike[str], seconds: float, *, width: int = 320) -> bytes:
    """The frame on screen at `seconds` as JPEG, upright and with square pixels, at most `width` wide, never enlarged.

    Args:
        seconds: by the container's times; beyond the end gives the last frame, before the start the first.

    Raises:
        VideoError: the file cannot be read there.
        UsageError: `seconds` is no number, or `width` below 1.
    """
    if width < 1:
        raise UsageError(f"A thumbnail must be at least 1 pixel wide, got {width}.")
    shown = next(frames_from(Path(path), seconds))
    picture = Image.fromarray(shown.image)
    if shown.pixel_aspect != 1:
        picture = picture.resize((max(1, round(picture.width * shown.pixel_aspect)), picture.height))
    picture.thumbnail((width, MAX_ASPECT * width), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return encoded.getvalue()
