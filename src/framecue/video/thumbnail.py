"""One small JPEG of what a video shows at a time."""

import io
from os import PathLike
from pathlib import Path

from PIL import Image

from framecue.errors import UsageError
from framecue.pictures.picture import FitInside
from framecue.video.guard import guarded_call
from framecue.video.shown import frames_from
from framecue.video.source import Decoding

JPEG_QUALITY = 80
MAX_ASPECT = 4
"""Pictures taller than this many times the asked width are made smaller still."""


def thumbnail_jpeg(
    path: str | PathLike[str], seconds: float, *, width: int = 320, decoding: Decoding | None = None
) -> bytes:
    """The frame on screen at `seconds` as JPEG, upright and with square pixels, at most `width` wide, never enlarged.

    Args:
        seconds: on the player's axis; beyond the end gives the last frame, before the start the first.

    Raises:
        VideoError: the file cannot be read there.
        UsageError: `seconds` is no number, or `width` below 1.
    """
    if width < 1:
        raise UsageError(f"A thumbnail must be at least 1 pixel wide, got {width}.")
    return guarded_call(_thumbnail, Path(path), decoding, seconds, width)


def _thumbnail(path: Path, decoding: Decoding | None, seconds: float, width: int) -> bytes:
    shown = next(frames_from(path, seconds, decoding))
    picture = Image.fromarray(FitInside(width, MAX_ASPECT * width)(shown.picture))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return encoded.getvalue()
