"""The video files under the sources of an index, as they are now: what is looked at, what is not, and why."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from framecue.errors import DatasetError
from framecue.files import name_form
from framecue.tasks.indexing import Stamp
from framecue.types import IndexedVideo, Skipped
from framecue.video.files import DEFAULT, FolderRules, walk_videos


@dataclass(frozen=True)
class Sources:
    """Files and folders that an index is made of.

    Attributes:
        roots: absolute; all videos at or under them belong to the index.
        excluded: absolute; under a root, but taken out again. Of roots and exclusions the nearest above a path counts.
        rules: what counts below a root, where that is not the default.
    """

    roots: tuple[Path, ...] = ()
    excluded: tuple[Path, ...] = ()
    rules: Mapping[Path, FolderRules] = field(default_factory=dict)

    def holds(self, path: Path) -> bool:
        """Whether a file at this path belongs to the index, or a folder to what is looked into."""
        root = self._root_of(path)
        if root is None or any(is_under(path, out) and _depth(out) >= _depth(root) for out in self.excluded):
            return False
        return self.rules.get(root, DEFAULT).admits_all(path, root)

    def rules_of(self, path: Path) -> FolderRules:
        """Those of the nearest root."""
        root = self._root_of(path)
        return DEFAULT if root is None else self.rules.get(root, DEFAULT)

    def _root_of(self, path: Path) -> Path | None:
        return max((root for root in self.roots if is_under(path, root)), key=_depth, default=None)

    def with_added(self, sources: Iterable[Path], rules: FolderRules | None = None) -> "Sources":
        """With these and all that lies under them.

        Args:
            rules: of these and of the roots under them from now on; None = as they were.
        """
        result = self
        for source in sources:
            excluded = tuple(out for out in result.excluded if not is_under(out, source))
            result = replace(result, excluded=excluded)
            if rules is None and result.holds(source):
                continue
            kept = {root: kept for root, kept in result.rules.items() if rules is None or not is_under(root, source)}
            roots = tuple(root for root in result.roots if not is_under(root, source) or root in kept)
            if rules not in (None, DEFAULT):
                kept[source] = rules
            result = Sources((*roots, source), excluded, kept)
        return result

    def with_removed(self, sources: Iterable[Path]) -> "Sources":
        """Without these and all that lies under them."""
        result = self
        for source in sources:
            result = Sources(
                tuple(root for root in result.roots if not is_under(root, source)),
                tuple(out for out in result.excluded if not is_under(out, source)),
                {root: rules for root, rules in result.rules.items() if not is_under(root, source)},
            )
            if result.holds(source):
                result = replace(result, excluded=(*result.excluded, source))
        return result


@dataclass
class Scan:
    """What was found.

    Attributes:
        files: absolute paths and their stamps.
        skipped: what may not be read, and what is no file.
        unreadable: files and folders of which nothing can be said.
    """

    files: dict[Path, Stamp] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)

    def skip(self, path: Path, reason: str, *, is_unreadable: bool = False) -> None:
        self.skipped.append(Skipped(path, reason))
        if is_unreadable:
            self.unreadable.append(path)


def is_under(path: Path, folder: Path) -> bool:
    """Whether the path is the folder or lies in it, at any depth; by their text alone."""
    return path == folder or folder in path.parents


def spellings(sources: Iterable[Path], paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """Each source as it begins one or more of these paths, compared as `files.name_form` says; none where it does not.

    What is stored must be told in the letters that the disk has, or it would not be known again there.
    """
    forms = {source: name_form(source) for source in sources}
    depths = {len(source.parts) for source in forms}
    begins: dict[str, dict[Path, None]] = {}
    for path in paths:
        for depth in depths:
            if depth <= len(path.parts):
                begin = Path(*path.parts[:depth])
                begins.setdefault(name_form(begin), {})[begin] = None
    return {source: list(begins.get(form, ())) for source, form in forms.items()}


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

    What is passed over and where links lead is the same as in all folders (`framecue.video.files`).

    Args:
        starts: absolute; roots, or parts of them.
        sources: what belongs to the index.
    """
    found = Scan()

    def failed(error: OSError) -> None:
        found.skip(Path(error.filename), f"the folder cannot be read: {error.strerror or error}", is_unreadable=True)

    folders = [start for start in starts if start.is_dir()]
    for start in starts:
        if start not in folders:
            _add(found, start)
    for _, path in walk_videos(folders, lambda path, _: sources.holds(path), failed=failed):
        _add(found, path)
    return found


def _add(found: Scan, path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        lost = f"it is a link to {os.readlink(path)}, which is not there" if path.is_symlink() else ""
        found.skip(path, lost or f"the file cannot be looked at: {error.strerror}")
    except OSError as error:
        found.skip(path, f"the file cannot be looked at: {error.strerror or error}", is_unreadable=True)
    else:
        if stat.S_ISREG(status.st_mode):
            found.files[path] = Stamp(status.st_size, status.st_mtime_ns)
        else:
            found.skip(path, "it is no regular file, but a pipe or a device")


def _depth(path: Path) -> int:
    return len(path.parts)
