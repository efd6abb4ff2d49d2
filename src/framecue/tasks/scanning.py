"""The video files under the sources of an index, as they are now: what is looked at, what is not, and why."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from framecue.errors import DatasetError
from framecue.search.table import TABLE_FOLDER
from framecue.tasks.indexing import Stamp
from framecue.types import IndexedVideo, Skipped
from framecue.video.files import has_video_extension


@dataclass(frozen=True)
class Sources:
    """Files and folders that an index is made of.

    Attributes:
        roots: absolute; all videos at or under them belong to the index.
        excluded: absolute; under a root, but taken out again. Of roots and exclusions the nearest above a path counts.
    """

    roots: tuple[Path, ...] = ()
    excluded: tuple[Path, ...] = ()

    def holds(self, path: Path) -> bool:
        """Whether a file at this path belongs to the index."""
        depth = max((len(root.parts) for root in self.roots if is_under(path, root)), default=0)
        return depth > max((len(out.parts) for out in self.excluded if is_under(path, out)), default=0)

    def with_added(self, sources: Iterable[Path]) -> "Sources":
        """With these and all that lies under them."""
        roots, excluded = list(self.roots), list(self.excluded)
        for source in sources:
            excluded = [out for out in excluded if not is_under(out, source)]
            if not Sources(tuple(roots), tuple(excluded)).holds(source):
                roots = [root for root in roots if not is_under(root, source)] + [source]
        return Sources(tuple(roots), tuple(excluded))

    def with_removed(self, sources: Iterable[Path]) -> "Sources":
        """Without these and all that lies under them."""
        roots, excluded = list(self.roots), list(self.excluded)
        for source in sources:
            roots = [root for root in roots if not is_under(root, source)]
            excluded = [out for out in excluded if not is_under(out, source)]
            if Sources(tuple(roots), tuple(excluded)).holds(source):
                excluded.append(source)
        return Sources(tuple(roots), tuple(excluded))


@dataclass
class Scan:
    """What was found.

    Attributes:
        files: absolute paths and their stamps.
        skipped: links that lead out of the roots, and what may not be read.
        unreadable: files and folders of which nothing can be said.
    """

    files: dict[Path, Stamp] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def is_under(path: Path, folder: Path) -> bool:
    """Whether the path is the folder or lies in it, at any depth; by their text alone."""
    return path == folder or folder in path.parents


def absolute(sources: Iterable[str | Path]) -> list[Path]:
    """Absolute paths, links as they are; each once.

    Raises:
        DatasetError: a text that cannot be a path.
    """
    found: dict[Path, None] = {}
    for source in sources:
        text = os.fspath(source)
        if not text or "\0" in text:
            raise DatasetError(f"Source {text!r:.80} cannot be a path; check it.")
        found[Path(os.path.abspath(text))] = None
    return list(found)


def is_as_indexed(video: IndexedVideo) -> bool:
    """Whether its file is where it was indexed, with the same size and time."""
    try:
        status = video.path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (video.size_bytes, video.mtime_ns)


def scan(starts: Sequence[Path], sources: Sources) -> Scan:
    """Videos at and under `starts`: files as they are named, whatever their ending, and the videos of folders.

    Hidden files and folders are passed over, as everywhere, and so are indexes. Links are followed only where they
    lead to something under a root, since what is indexed may be shown to others.

    Args:
        starts: absolute; roots, or parts of them.
        sources: what belongs to the index.
    """
    real_roots = [os.path.realpath(root) for root in sources.roots]
    walker = _Walker(sources, real_roots)
    for start in starts:
        if start.is_dir():
            walker.walk(start)
        else:
            walker.add(start)
    return walker.found


class _Walker:
    def __init__(self, sources: Sources, real_roots: Sequence[str]) -> None:
        self._sources, self._real_roots = sources, real_roots
        self._visited: set[str] = set()
        self.found = Scan()

    def walk(self, start: Path) -> None:
        """All real folders first, so that a file is found under its own path before it is under a link's."""
        linked: list[Path] = []
        if not self._enter(start):
            return
        for current, subfolders, files in os.walk(start, onerror=self._failed):
            folder = Path(current)
            if TABLE_FOLDER in subfolders:  # an index; the videos in it are cut for watching
                subfolders.clear()
                continue
            kept = []
            for name in sorted(subfolders):
                path = folder / name
                if name.startswith(".") or not self._is_wanted(path):
                    continue
                if path.is_symlink():
                    linked.append(path)
                elif self._enter(path):
                    kept.append(name)
            subfolders[:] = kept
            for name in sorted(files):
                path = folder / name
                if not name.startswith(".") and has_video_extension(path) and self._is_wanted(path):
                    self.add(path)
        for path in linked:
            if self._leads_inside(path) and os.path.realpath(path) not in self._visited:
                self.walk(path)

    def add(self, path: Path) -> None:
        if path in self.found.files or (path.is_symlink() and not self._leads_inside(path)):
            return
        try:
            status = path.stat()
        except OSError as error:
            self.found.skipped.append(Skipped(path, f"the file cannot be looked at: {error.strerror or error}"))
            if not isinstance(error, FileNotFoundError):
                self.found.unreadable.append(path)
            return
        self.found.files[path] = Stamp(status.st_size, status.st_mtime_ns)

    def _is_wanted(self, path: Path) -> bool:
        """Excluded files and folders are not looked into; what is a root in one is started from by itself."""
        return self._sources.holds(path)

    def _enter(self, folder: Path) -> bool:
        real = os.path.realpath(folder)
        is_new = real not in self._visited
        self._visited.add(real)
        return is_new

    def _leads_inside(self, link: Path) -> bool:
        real = os.path.realpath(link)
        if any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in self._real_roots):
            return True
        where = real if os.path.exists(real) else f"{real}, which is not there"
        self.found.skipped.append(
            Skipped(link, f"it is a link to {where}, outside of what is indexed; add that itself, or copy it here")
        )
        return False

    def _failed(self, error: OSError) -> None:
        path = Path(error.filename)
        self.found.skipped.append(Skipped(path, f"the folder cannot be read: {error.strerror or error}"))
        self.found.unreadable.append(path)
