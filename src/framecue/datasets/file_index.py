"""Video files below a folder, found by name: the folder is walked once, however many videos a list names."""

import re
from collections.abc import Iterable
from pathlib import Path

from framecue.datasets.naming import class_key, part_name
from framecue.files import name_form
from framecue.video.files import find_videos

_TIMES = re.compile(r"(.+)_(\d+)_(\d+)")


class FileIndex:
    """Videos by their name without its ending, compared as `files.name_form` says.

    Kinetics' times count as numbers, however many zeros they begin with.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Path | list[Path]] = {}
        for path in find_videos(folder, each_link=True):
            stem = name_form(path.stem)
            for name in {stem, _normal(stem)}:
                known = self._files.get(name)
                if known is None:
                    self._files[name] = path
                elif isinstance(known, list):
                    known.append(path)
                else:
                    self._files[name] = [known, path]

    def find(self, stem: str, *, label: str | None = None, part: str | None = None) -> Path | None:
        """The video of this name. Of several, the one with most of its folders named as `label` and `part`."""
        found = self._files.get(name_form(stem))
        if not isinstance(found, list):
            return found
        return max(found, key=lambda path: _agreement(path.parent.parts, label, part))


def _agreement(folders: Iterable[str], label: str | None, part: str | None) -> int:
    folders = list(folders)[-2:]
    same_class = label is not None and any(class_key(name) == class_key(label) for name in folders)
    return 2 * same_class + any(part is not None and part_name(name) == part for name in folders)


def _normal(stem: str) -> str:
    match = _TIMES.fullmatch(stem)
    return clip_stem(match[1], int(match[2]), int(match[3])) if match else stem


def clip_stem(youtube_id: str, start_seconds: float, end_seconds: float) -> str:
    """Kinetics' file name without its ending: "0wR5jVB-WPk_000417_000427"."""
    return f"{youtube_id}_{int(start_seconds):06d}_{int(end_seconds):06d}"
