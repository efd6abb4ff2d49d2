"""From an id in a request to a file that may be served. No path ever comes from a request."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from framecue.errors import VideoError
from framecue.features.identity import path_text
from framecue.service.refusals import RefusedError, shown
from framecue.service.schemas import ListedVideo, MomentAnswer, VideoAnswer
from framecue.types import IndexedVideo, Moment
from framecue.video.containers import OTHER_MEDIA_TYPE, media_type

CHANGED = 409
"""HTTP's status of a conflict: the file and the index do not agree."""


@dataclass(frozen=True)
class ServedFile:
    """An indexed video's file, as it was indexed.

    Attributes:
        path: behind all links.
    """

    path: Path
    status: os.stat_result

    @property
    def key(self) -> tuple[str, int, int]:
        """Another one whenever the content may be."""
        return str(self.path), self.status.st_mtime_ns, self.status.st_size

    @property
    def media_type(self) -> str:
        return _media_type(*self.key)


def find_file(video: IndexedVideo, roots: Iterable[Path]) -> ServedFile:
    """The file of a video, its links resolved now, if it lies under the indexed folders.

    A folder that was added stands for what lies under it, behind the folder's own links. A file that was added stands
    for itself; where it is a link, only as long as what it leads to is what was indexed.

    Raises:
        RefusedError: 403, its real path leads out of what was added; 409, its size or time is another than when it was
            indexed, so that moments of it would be wrong ones; 410, it is gone.
    """
    name = shown(video.path.name)
    real = Path(os.path.realpath(video.path))
    try:
        status = real.stat()
    except (FileNotFoundError, NotADirectoryError):
        status = None
    except OSError as error:
        raise RefusedError(403, f"{name}: the server may not read it ({error.strerror}); check its rights.") from error
    changed = status is None or (status.st_size, status.st_mtime_ns) != (video.size_bytes, video.mtime_ns)
    if not any(_covers(root, real, changed=changed) for root in roots):
        raise RefusedError(
            403, f"{name}: it is a link that leads out of the indexed folders; add the folder it leads to as well."
        )
    if status is None or not stat.S_ISREG(status.st_mode):
        raise RefusedError(410, f"{name}: the file is gone since it was indexed; run `framecue index refresh`.")
    if changed:
        raise RefusedError(CHANGED, f"{name}: the file changed since it was indexed; run `framecue index refresh`.")
    return ServedFile(real, status)


def _covers(root: Path, real: Path, *, changed: bool) -> bool:
    real_root = Path(os.path.realpath(root))
    if real != real_root:
        return real.is_relative_to(real_root)
    return not changed or not root.is_symlink()


@lru_cache(maxsize=4096)
def _media_type(path: str, mtime_ns: int, size_bytes: int) -> str:
    try:
        return media_type(path)
    except VideoError:
        return OTHER_MEDIA_TYPE


def thumbnail_url(video: IndexedVideo, seconds: float) -> str:
    return f"/thumbnails/{video.video_id}.jpg?t={seconds:.3f}"


def _facts(video: IndexedVideo) -> dict[str, Any]:
    """The fields of `schemas.Video`."""
    return {
        "video_id": video.video_id,
        "name": os.fsencode(video.path.name).decode("utf-8", "backslashreplace"),
        "path": path_text(video.path),
        "duration_seconds": video.duration_seconds,
        "origin_seconds": video.origin_seconds,
        "notes": list(video.notes),
        "date": video.date.isoformat(),
        "metadata": dict(video.metadata),
        "video_url": f"/media/{video.video_id}",
    }


def listed(video: IndexedVideo) -> ListedVideo:
    """With its first picture."""
    return ListedVideo(**_facts(video), thumbnail_url=thumbnail_url(video, 0.0))


def moment_answer(moment: Moment, *, is_match: bool) -> MomentAnswer:
    """With the picture of its middle, where a short action most likely is."""
    middle = (moment.start_seconds + moment.end_seconds) / 2
    return MomentAnswer(
        **_facts(moment.video),
        thumbnail_url=thumbnail_url(moment.video, middle),
        start_seconds=moment.start_seconds,
        end_seconds=moment.end_seconds,
        score=moment.score,
        similarity=moment.similarity,
        is_match=is_match,
    )


def video_answer(video: IndexedVideo, roots: Iterable[Path]) -> VideoAnswer:
    """What there is to say of a video, also where its file is gone."""
    file, refused = None, 0
    try:
        file = find_file(video, roots)
    except RefusedError as error:
        refused = error.status
    return VideoAnswer(
        **_facts(video),
        playable=file is not None and file.media_type != OTHER_MEDIA_TYPE,
        missing=file is None and refused != CHANGED,
        changed=refused == CHANGED,
    )
