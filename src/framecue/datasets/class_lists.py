"""Published lists of class names, in every form in which they are found."""

import csv
import io
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from framecue.datasets.manifests import COLUMNS, read_text
from framecue.datasets.naming import ClassNames, class_key, find_class
from framecue.errors import DatasetError

_NUMBERED = re.compile(r"(\d+)\s+(\S.*)")
_NAME_COLUMNS = ("name", *COLUMNS["label"])


@dataclass(frozen=True)
class ClassList:
    """Class names as their file spells them.

    Attributes:
        numbers: the number that video lists call each class by: its id where the file has one, else its place from 0.
        origins: where each was read, "file:line".
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    origins: tuple[str, ...]


Names = ClassList | Iterable[str]
"""Class names from a file, whose lines errors can name, or simply given."""


def read_class_list(path: str | Path) -> ClassList:
    """Names of a file in any of four forms, told apart by its first line.

    One name a line (`*.list`, `label_map.txt`); lines `1 ApplyEyeMakeup` (UCF-101's classInd.txt); CSV with the header
    `id,name`; CSV with one column named `action`, `name`, `class` or `label`.

    Raises:
        DatasetError: the file is empty, a line cannot be understood, or a name or number comes twice, in any spelling.
    """
    path = Path(path)
    lines = [
        (line.strip(), f"{path}:{number}")
        for number, line in enumerate(read_text(path).splitlines(), start=1)
        if line.strip()
    ]
    first = [cell.strip().lower() for cell in lines[0][0].split(",")] if lines else []
    if len(first) > 1 and "id" in first and set(first) & set(_NAME_COLUMNS):
        entries = [_csv_entry(line, origin, first) for line, origin in lines[1:]]
    elif path.suffix.lower() == ".csv" and len(first) == 1 and first[0] in _NAME_COLUMNS:
        entries = [(i, " ".join(_cells(line, origin)), origin) for i, (line, origin) in enumerate(lines[1:])]
    elif lines and all(_NUMBERED.fullmatch(line) for line, _ in lines):
        matches = [(_NUMBERED.fullmatch(line), origin) for line, origin in lines]
        entries = [(int(match[1]), match[2], origin) for match, origin in matches if match]
    else:
        entries = [(i, line, origin) for i, (line, origin) in enumerate(lines)]
    if not entries:
        raise DatasetError(f"{path} names no classes. Write one name a line.")
    _check(entries)
    numbers, names, origins = zip(*entries, strict=True)
    return ClassList(names, numbers, origins)


def find_classes(names: Names, known: Collection[str], *, asked_by: str) -> dict[str, str]:
    """The classes of the data that `names` mean, each with where it was asked for.

    Raises:
        DatasetError: the list is empty, or names a class that is not in `known` (the nearest is named) or one twice.
    """
    listed = names if isinstance(names, ClassList) else _given(names, asked_by)
    if not listed.names:
        raise DatasetError(f"{asked_by} names no classes. Name at least one.")
    by_key = {class_key(label): label for label in known}
    found: dict[str, str] = {}
    for name, origin in zip(listed.names, listed.origins, strict=True):
        label = by_key.get(class_key(name)) or find_class(name, known, asked_by=origin)
        if label in found:
            raise DatasetError(f"{origin}: class '{name}' is named twice. Remove one.")
        found[label] = origin
    return found


def refuse_shared(first: dict[str, str], second: dict[str, str], what: str) -> None:
    """Refuse two lists with a class in common, in any spelling.

    Raises:
        DatasetError: naming the class and both places.
    """
    keys = {class_key(name): (name, origin) for name, origin in first.items()}
    for name, origin in second.items():
        if class_key(name) in keys:
            other, other_origin = keys[class_key(name)]
            raise DatasetError(
                f"{origin}: class '{name}' is in the {what} lists both ('{other}', {other_origin}). Remove it from one."
            )


def _given(names: Iterable[str], asked_by: str) -> ClassList:
    names = tuple(names)
    return ClassList(names, tuple(range(len(names))), (asked_by,) * len(names))


def _cells(line: str, origin: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader(io.StringIO(line), strict=True, skipinitialspace=True))]
    except csv.Error as error:
        raise DatasetError(f"{origin}: not valid CSV: {error}. Check the quotes there.") from None


def _csv_entry(line: str, origin: str, header: list[str]) -> tuple[int, str, str]:
    cells = dict(zip(header, _cells(line, origin), strict=False))
    name = next((cells[column] for column in _NAME_COLUMNS if cells.get(column)), None)
    if name is None or not cells["id"].isdecimal() or len(_cells(line, origin)) != len(header):
        raise DatasetError(f"{origin}: a line must be '{','.join(header)}', found '{line}'. Restore the file.")
    return int(cells["id"]), name, origin


def _check(entries: list[tuple[int, str, str]]) -> None:
    spellings, names, numbers = ClassNames(), dict[str, str](), dict[int, str]()
    for number, name, origin in entries:
        spellings.add(name, origin)
        for what, seen in ((f"class '{name}'", names.get(name)), (f"number {number}", numbers.get(number))):
            if seen is not None:
                raise DatasetError(f"{origin}: {what} is listed twice ({seen}). Remove one of the lines.")
        names[name] = numbers[number] = origin
