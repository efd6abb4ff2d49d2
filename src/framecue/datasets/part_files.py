"""Which files of a folder list which part of a data set."""

import re
from collections.abc import Callable
from pathlib import Path

from framecue.datasets.naming import part_in_file_name, shorten
from framecue.errors import DatasetError


def part_files(
    annotations: Path, endings: tuple[str, ...], is_one: Callable[[Path], bool], *, split: int = 1
) -> list[tuple[Path, str | None]]:
    """Files that list videos, each with the part that its name tells (None where it tells none).

    A file is taken as it is. Of a folder, or where that holds none, of its folders `annotations` and `labels`, one file
    is taken for each part. Of several for one part, that of the first ending counts, then that with the number of the
    split in its name (train_split_2.txt).

    Raises:
        DatasetError: there is none, or there are several for one part.
    """
    if annotations.is_file():
        return [(annotations, part_in_file_name(annotations.stem))]
    for folder in (annotations, annotations / "annotations", annotations / "labels"):
        by_part: dict[str, list[Path]] = {}
        for path in sorted(folder.glob("*")):
            part = part_in_file_name(path.stem)
            if part and path.suffix.lower() in endings and path.is_file() and is_one(path):
                by_part.setdefault(part, []).append(path)
        if by_part:
            return [(_only(files, part, endings, split), part) for part, files in by_part.items()]
    raise DatasetError(
        f"{annotations} holds no {' or '.join(endings)} files of that format with train, val or test in their names. "
        "Name the file itself as data.annotations."
    )


def _only(files: list[Path], part: str, endings: tuple[str, ...], split: int) -> Path:
    first = min(endings.index(path.suffix.lower()) for path in files)
    left = [path for path in files if path.suffix.lower() == endings[first]]
    if len(left) > 1:
        left = [path for path in left if str(split) in _numbers(path.stem)]
    if len(left) != 1:
        raise DatasetError(
            f"{files[0].parent} holds {len(files)} files for the {part} part ({shorten([path.name for path in files])})"
            ". Name one of them as data.annotations."
        )
    return left[0]


def _numbers(stem: str) -> set[str]:
    return {digits.lstrip("0") for digits in re.findall(r"\d+", stem)}
