"""Which files of a folder are taken for videos: endings, what is passed over, and where links lead."""

import fnmatch
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from framecue.errors import UsageError
from framecue.files import name_form

# fmt: off
VIDEO_EXTENSIONS = frozenset((
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc", ".ivf", ".m1v", ".m2ts",
    ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm",
    ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
"""File endings, in lower case, that are taken for videos in a folder. A file named outright may have any ending."""

PICTURE_EXTENSIONS = frozenset((
    ".apng", ".avif", ".bmp", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".jxl", ".png", ".tif", ".tiff", ".webp",
))
"""File endings, in lower case, of stills and animated pictures, which are not read. A .gif is taken for a video."""

_NOBODY_MEANS = frozenset((
    "@eadir", "#recycle", "#snapshot", "@tmp",  # Synology: previews, what was deleted, former states
    "@recycle", "@recently-snapshot",  # QNAP
    "$recycle.bin", "system volume information", "lost+found", "__macosx", "network trash folder",
))
"""Names, in lower case, of folders that systems make for themselves beside people's files."""
# fmt: on

INDEX_TABLE = "moments.lance"
"""A folder that holds one of this name is a moment index; the videos in it are parts of others, cut for watching."""


@dataclass(frozen=True)
class FolderRules:
    """What counts below a folder that is named.

    Hidden files and folders, and folders that systems make for themselves, are passed over. `exclude` are patterns of
    more of that, and `include` of what is to be taken all the same. A pattern (`*`, `?`, `[...]`) without "/" is one
    of a name, at any depth; with "/" it is one of the path below the named folder, in which `**` stands for any
    folders, or of the absolute path where it begins with "/". A folder that is passed over is not looked into.

    Raises:
        UsageError: a pattern is empty.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(pattern.strip("/").strip() for pattern in (*self.exclude, *self.include)):
            raise UsageError("A pattern of files to exclude or include is empty; write one, as '*draft*', or leave it.")

    def admits(self, path: Path, root: Path) -> bool:
        """Whether the file or folder at `path` counts, if the one that it lies in does."""
        if _matches(self.include, path, root):
            return True
        name = path.name
        return not (name.startswith(".") or name.lower() in _NOBODY_MEANS or _matches(self.exclude, path, root))

    def admits_all(self, path: Path, root: Path) -> bool:
        """Whether `path` counts, and all folders between `root` and it; `root` itself does."""
        depth = len(root.parts)
        between = [path, *path.parents][: len(path.parts) - depth]
        return all(self.admits(part, root) for part in between)

    def excludes_named(self, path: Path) -> bool:
        """Whether a file or folder that is named outright is left out; nothing is by default."""
        root = path.parent
        return _matches(self.exclude, path, root) and not _matches(self.include, path, root)


DEFAULT, EVERYTHING = FolderRules(), FolderRules(include=("*",))


def has_video_extension(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_EXTENSIONS


def has_picture_extension(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_EXTENSIONS


def find_videos(
    folder: Path,
    rules: FolderRules = DEFAULT,
    *,
    each_link: bool = False,
    takes: Callable[[Path], bool] = has_video_extension,
) -> list[Path]:
    """Files with a video ending at any depth, sorted.

    Links are followed, to files and to folders, wherever they lead; a file to which several paths lead is there once,
    under its own path where that lies in the folder.

    Args:
        each_link: a link to a file is there beside it, for those who look files up by their names.
        takes: other files than videos, by their names.
    """
    return sorted(path for _, path in walk_videos([folder], rules.admits, each_link=each_link, takes=takes))


def walk_videos(
    folders: Iterable[Path],
    counts: Callable[[Path, Path], bool],
    *,
    each_link: bool = False,
    takes: Callable[[Path], bool] = has_video_extension,
    failed: Callable[[OSError], None] | None = None,
) -> Iterator[tuple[Path, Path]]:
    """Each of `folders` with the videos in it, as `find_videos` finds them; no file and no folder is there twice.

    Args:
        counts: whether a path below one of the folders, the second, counts, if the folder that it lies in does.
        failed: told of folders that cannot be read.
    """
    entered: dict[str, tuple[Path, Path]] = {}  # real path to the named folder and the path under which it is met
    links: list[tuple[Path, Path]] = []
    # All real folders come first, so that a file is met under its own path before it is under a link's.
    pending = deque((folder, folder) for folder in folders)
    while pending:
        root, start = pending.popleft()
        for current, subfolders, files in os.walk(start, onerror=failed):
            here, real = Path(current), os.path.realpath(current)
            if real in entered or INDEX_TABLE in subfolders:
                subfolders.clear()
                continue
            entered[real] = root, here
            inside = [here / name for name in sorted(subfolders) if counts(here / name, root)]
            subfolders[:] = [path.name for path in inside if not path.is_symlink()]
            pending += [(root, path) for path in inside if path.is_symlink()]
            for path in (here / name for name in files):
                if takes(path) and counts(path, root):
                    if path.is_symlink():
                        links.append((root, path))
                    else:
                        yield root, path
    met: set[Path] = set()
    for root, link in sorted(links):
        file = Path(os.path.realpath(link))
        if each_link or not (file in met or _is_met(file, entered, counts, takes)):
            met.add(file)
            yield root, link


def _is_met(
    real: Path,
    entered: Mapping[str, tuple[Path, Path]],
    counts: Callable[[Path, Path], bool],
    takes: Callable[[Path], bool],
) -> bool:
    """Whether the walk comes upon a file under its own path. One that is not there is told of under its link's."""
    if str(real.parent) not in entered or not takes(real) or not real.exists():
        return False
    root, folder = entered[str(real.parent)]
    return counts(folder / real.name, root)


def one_each(paths: Sequence[Path]) -> list[Path]:
    """Of several paths to one file the first."""
    return (
        list(paths)
        if len(paths) < 2
        else list({os.path.realpath(path): path for path in reversed(paths)}.values())[::-1]
    )


def _matches(patterns: tuple[str, ...], path: Path, root: Path) -> bool:
    return any(_match(pattern, path, root) for pattern in patterns)


def _match(pattern: str, path: Path, root: Path) -> bool:
    parts = Path(os.path.abspath(path)).parts[1:] if pattern.startswith("/") else path.relative_to(root).parts
    return _match_parts(_pattern_parts(pattern), tuple(map(name_form, parts)))


@lru_cache(maxsize=1024)
def _pattern_parts(pattern: str) -> tuple[str, ...]:
    parts = tuple(part for part in name_form(pattern).split("/") if part not in ("", "."))
    return parts if "/" in pattern.rstrip("/") else ("**", *parts)


def _match_parts(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not pattern or not parts:
        return not parts and set(pattern) <= {"**"}
    if pattern[0] == "**":
        return any(_match_parts(pattern[1:], parts[start:]) for start in range(len(parts) + 1))
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _match_parts(pattern[1:], parts[1:])
