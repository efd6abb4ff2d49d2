"""The moments of a search as files: parts cut out of their videos, and pictures."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from framecue.errors import UsageError, VideoError
from framecue.files import why_not_written, write_bytes
from framecue.tasks.scanning import is_as_indexed
from framecue.types import Moment, Skipped
from framecue.video.cut import cut_video
from framecue.video.source import Decoding
from framecue.video.thumbnail import thumbnail_jpeg

MAX_NAME_BYTES = 150
"""File systems take 255, with what stands around it."""


@dataclass(frozen=True)
class Exports:
    """Files of each moment, None where none was asked for or it could not be written; and the reasons."""

    clips: Sequence[Path | None]
    thumbnails: Sequence[Path | None]
    skipped: Sequence[Skipped]


def check_folder(folder: Path | None) -> None:
    """To be asked before a search.

    Raises:
        UsageError: it is a file.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} must be a folder for the moments' files, found a file; name another.")


def export(moments: Sequence[Moment], *, clips: Path | None, thumbnails: Path | None) -> Exports:
    """Write what is asked for; None = not asked for. A file of an earlier search that has the same name is replaced."""
    skipped: list[Skipped] = []

    def each(folder: Path | None, ending: str, write: Callable[[Moment, Path], object]) -> list[Path | None]:
        written: list[Path | None] = []
        for rank, moment in enumerate(moments, start=1):
            out = None if folder is None else folder / f"{safe_name(rank, moment)}{ending}"
            if out is None:
                written.append(None)
                continue
            try:
                write(moment, out)
                written.append(out)
            except VideoError as error:
                skipped.append(Skipped.because(moment.video.path, error))
                written.append(None)
            except OSError as error:
                skipped.append(Skipped(Path(error.filename or out), f"cannot be written: {why_not_written(error)}"))
                written.append(None)
        return written

    cut, pictures = each(clips, ".mp4", _cut), each(thumbnails, ".jpg", _picture)
    return Exports(cut, pictures, tuple(dict.fromkeys(skipped)))


def safe_name(rank: int, moment: Moment) -> str:
    """ "01_kitchen_64.0-68.5s": of letters, digits, "_", "-" and "." alone, whatever the video is called."""
    stem = re.sub(r"[^\w.-]+", "_", moment.video.path.stem.encode("utf-8", "replace").decode()).strip("._-")
    name = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "video"
    return f"{rank:02}_{name}_{moment.start_seconds:.1f}-{moment.end_seconds:.1f}s"


def _cut(moment: Moment, out: Path) -> None:
    _check_unchanged(moment)
    cut_video(
        moment.video.path,
        out,
        moment.start_seconds,
        moment.end_seconds,
        decoding=Decoding(moment.video.stream_index),
    )


def _picture(moment: Moment, out: Path) -> None:
    _check_unchanged(moment)
    middle = (moment.start_seconds + moment.end_seconds) / 2
    write_bytes(out, thumbnail_jpeg(moment.video.path, middle, decoding=Decoding(moment.video.stream_index)))


def _check_unchanged(moment: Moment) -> None:
    """
    Raises:
        VideoError: its times are those of another content of the file.
    """
    path = moment.video.path
    if path.exists() and not is_as_indexed(moment.video):
        raise VideoError(f"{path}: the file changed since it was indexed; run: framecue index refresh")
