"""Which of many files are there, asking the file system once a folder rather than once a file."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


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
