"""What an index must do to match the files that are there: pure bookkeeping, no file is touched."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from framecue.types import IndexedVideo

Verdict = Literal["new", "copy", "moved", "touched"]
"""What a file turns out to be once its content is known: to be encoded; one that is indexed under another path as well;
one that was indexed under a path where it no longer is; one that is where it was, with another time."""


@dataclass(frozen=True)
class Stamp:
    """A file with the same path and stamp as before is taken to be unchanged."""

    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class KnownCopy:
    """A file that had the content of an indexed video when it was last read."""

    stamp: Stamp
    video_id: str


class Plan:
    """Compares files with indexed videos, first by path and stamp, then, as contents become known, by content.

    Args:
        indexed: what the index holds.
        files: those that are to be in it.
        copies: files known to have the content of an indexed video.
        is_elsewhere: whether a video's file, which is not among `files`, is still there as it was indexed, or may be.

    Attributes:
        unchanged: ids of videos whose file is where it was, as it was.
        pending: files whose content must be read; those that are indexed already come first, so that a touched file is
            not taken for a move to a copy of it.
        copies: files that have the content of a video that is indexed under another path.
        moved: id -> the video under its new path, or with its file's new time.
    """

    def __init__(
        self,
        indexed: Iterable[IndexedVideo],
        files: Mapping[Path, Stamp],
        copies: Mapping[Path, KnownCopy] | None = None,
        is_elsewhere: Callable[[IndexedVideo], bool] = lambda video: False,
    ) -> None:
        self._indexed = {video.video_id: video for video in indexed}
        self._files, self._is_elsewhere = files, is_elsewhere
        self._sure: set[str] = set()  # ids of which a file is known to be there
        self._claimed: dict[str, Path] = {}  # contents that are new
        self._there: dict[Path, str] = {}  # what each file was found to hold
        self.copies: dict[Path, KnownCopy] = {}
        self.moved: dict[str, IndexedVideo] = {}
        for video in self._indexed.values():
            if files.get(video.path) == Stamp(video.size_bytes, video.mtime_ns):
                self._sure.add(video.video_id)
                self._there[video.path] = video.video_id
        self.unchanged = sorted(self._sure)
        known = {path: copy for path, copy in (copies or {}).items() if files.get(path) == copy.stamp}
        for path, copy in known.items():
            if path not in self._there and copy.video_id in self._indexed:
                self.settle(path, copy.video_id)
        self._owners = {video.path: video for video in self._indexed.values()}
        to_read = (path for path in files if path not in self._there)
        self.pending = sorted(to_read, key=lambda path: path not in self._owners)

    @property
    def num_moved(self) -> int:
        """Videos that were found under another path."""
        return sum(video.path != self._indexed[video.video_id].path for video in self.moved.values())

    def settle(self, path: Path, video_id: str, stamp: Stamp | None = None) -> Verdict:
        """Takes the content of one of the files, and says what that makes of it.

        Args:
            stamp: of the file when it was read; None = as it was listed.
        """
        stamp = stamp or self._files[path]
        self._there[path] = video_id
        video = self._indexed.get(video_id)
        if video is None:
            if self._claimed.setdefault(video_id, path) == path:
                return "new"
        elif video.path == path or not self._is_sure(video):
            self._sure.add(video_id)
            self.moved[video_id] = replace(
                self.moved.get(video_id, video), path=path, size_bytes=stamp.size_bytes, mtime_ns=stamp.mtime_ns
            )
            return "touched" if video.path == path else "moved"
        self.copies[path] = KnownCopy(stamp, video_id)
        return "copy"

    def give_up(self, video_id: str) -> list[Path]:
        """A new content cannot be indexed after all: the files that were found to have it too; later ones are tried."""
        self._claimed.pop(video_id, None)
        same = [path for path, copy in self.copies.items() if copy.video_id == video_id]
        for path in same:
            del self.copies[path]
        return same

    def replaced(self) -> list[str]:
        """Ids of videos whose file holds something else now, and which no other file holds."""
        return [
            video.video_id
            for video in self._indexed.values()
            if video.video_id not in self._sure
            and video.path in self._files
            and self._there.get(video.path, video.video_id) != video.video_id
        ]

    def gone(self) -> list[str]:
        """Ids of videos whose file is no longer there."""
        return [
            video.video_id
            for video in self._indexed.values()
            if video.video_id not in self._sure and video.path not in self._files and not self._is_elsewhere(video)
        ]

    def content_of(self, path: Path) -> str | None:
        """The id of what a file was found to hold; None where that is not known."""
        return self._there.get(path)

    def video_before(self, path: Path) -> IndexedVideo | None:
        """What was indexed under this path."""
        return self._owners.get(path)

    def _is_sure(self, video: IndexedVideo) -> bool:
        if video.video_id in self._sure:
            return True
        return video.path not in self._files and self._is_elsewhere(video)
