"""Which of many files are there, asking the file system once a folder rather than once a file."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from framecue.datasets.naming import class_key
from framecue.video.files import has_video_extension


def real_paths(paths: Iterable[Path]) -> dict[Path, str]:
    """The files among `paths`, each with the file behind all links; what is no file, or not there, is left out."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in set(paths):
        by_folder[path.parent].append(path)
    found: dict[Path, str] = {}
    for folder, files in by_folder.items():
        plain = _plain_files(folder)
        real_folder = os.path.realpath(folder) if plain else ""
        for path in files:
            if path.name in plain:
                found[path] = os.path.join(real_folder, path.name)
            elif os.path.isfile(path):  # a link, or a name that a file system of another case or encoding knows
                found[path] = os.path.realpath(path)
    return found


def _plain_files(folder: Path) -> set[str]:
    """Names of the files of a folder, links not counted; empty where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    except (OSError, ValueError):
        return set()


class NearNames:
    """Finds what was probably meant by a name that is not there: other case, other separators, another ending."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, Path]] = {}

    def find(self, path: Path) -> Path | None:
        """The entry that `path` nearly names, in its folder or in one that nearly has that folder's name."""
        folder = path.parent
        if not folder.is_dir():
            near = self._entries(folder.parent).get(class_key(folder.name))
            if near is None or not near.is_dir():
                return None
            folder = near
        entries = self._entries(folder)
        return entries.get(class_key(path.name)) or entries.get(class_key(path.stem))

    def _entries(self, folder: Path) -> dict[str, Path]:
        if folder not in self._folders:
            try:
                entries = sorted(folder.iterdir())
            except (OSError, ValueError):
                entries = []
            self._folders[folder] = {
                **{class_key(path.stem): path for path in entries if has_video_extension(path)},
                **{class_key(path.name): path for path in entries},
            }
        return self._folders[folder]
