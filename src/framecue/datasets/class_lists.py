"""Lists of class names: published ones in every form in which they are found, and names as people type them."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecue.datasets.json_items import read_json_items
from framecue.datasets.manifests import COLUMNS, read_text, table_rows
from framecue.datasets.naming import ClassNames, class_key, find_class, label_text
from framecue.errors import DatasetError
from framecue.files import name_form

_NUMBERED = re.compile(r"(\d+)\s+(\S.*)")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_NAME_COLUMNS = ("name", *COLUMNS["label"])
_LIST_KEYS = ("labels", "classes", "names", "class_names", "categories", "actions", "id2label")
_GIVEN_NAME = re.compile(r'\s*+(?:"((?:[^"]|"")*)"\s*|((?!")[^,\n]*))(?:[,\n]|\Z)')

_Entry = tuple[int, str, str]
"""Number, name and "file:line" of a class."""


def split_names(text: str) -> list[str]:
    """Names as people type them: 'waving, "a, b"' -> ["waving", "a, b"].

    Commas and line ends separate, quotes as in CSV hold a name that has a comma together ("" in them is a quote), and
    a quote inside a name stands for itself. Nothing between two commas is no name.

    Raises:
        DatasetError: quotes that do not end, or end in the middle of a name.
    """
    names: list[str] = []
    position = 0
    while position < len(text):
        match = _GIVEN_NAME.match(text, position)
        if match is None:
            raise DatasetError(
                f"Names {text[position:].strip()[:60]!r}: quotes around a name must end at its end, before a comma. "
                "Close them, or write a quote in a quoted name twice."
            )
        quoted, plain = match.groups()
        name = (plain if quoted is None else quoted.replace('""', '"')).strip()
        names += [name] if name else []
        position = match.end()
    return names


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
    """Names of a file in any form in which they are found, told apart by what is in it.

    One name a line (`*.list`, `label_map.txt`), in quotes or not, or all in one line with commas between them; lines
    `1 ApplyEyeMakeup` (UCF-101's classInd.txt); CSV with a header that names the column, or without one; JSON: a list
    of names or of objects, or names by id or ids by name (as of Something-Something and Kinetics).

    Raises:
        DatasetError: the file is empty, a line cannot be understood, or a name or number comes twice, in any spelling.
    """
    path = Path(path)
    text = read_text(path)
    if _is_json(path, text):
        entries = _json_entries(path)
    elif path.suffix.lower() in (".csv", ".tsv") or _has_id_and_name(text):
        entries = _table_entries(path)
    else:
        entries = _line_entries(path, text)
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


def _line_entries(path: Path, text: str) -> list[_Entry]:
    lines = [
        (line.strip(), f"{path}:{number}") for number, line in enumerate(text.splitlines(), start=1) if line.strip()
    ]
    if len(lines) == 1:
        return [(i, name, lines[0][1]) for i, name in enumerate(split_names(lines[0][0]))]
    matches = [_NUMBERED.fullmatch(line) for line, _ in lines]
    numbered = [(int(match[1]), match[2]) for match in matches if match is not None]
    if len(numbered) < len(lines):
        numbered = list(enumerate(line for line, _ in lines))
    return [(number, _unquoted(name), origin) for (number, name), (_, origin) in zip(numbered, lines, strict=True)]


def _unquoted(name: str) -> str:
    match = _QUOTED.fullmatch(name)
    return match[1].replace('""', '"').strip() if match else name


def _has_id_and_name(text: str) -> bool:
    first = [cell.strip().lower() for cell in text.lstrip().partition("\n")[0].split(",")]
    return "id" in first and not set(first).isdisjoint(_NAME_COLUMNS)


def _table_entries(path: Path) -> list[_Entry]:
    rows = [(f"{path}:{line}", [cell.strip() for cell in cells]) for line, cells in table_rows(path)]
    header = [cell.lower().replace(" ", "_") for cell in rows[0][1]] if rows else []
    column = next((header.index(name) for name in _NAME_COLUMNS if name in header), None)
    if column is not None:
        number = header.index("id") if "id" in header else None
        return [_row_entry(i, *row, header, column, number) for i, row in enumerate(rows[1:])]
    if len(rows) == 1:
        return [(i, cell, rows[0][0]) for i, cell in enumerate(filter(None, rows[0][1]))]
    odd = next((origin for origin, cells in rows if len(cells) != 1), None)
    if odd is None:
        return [(i, cells[0], origin) for i, (origin, cells) in enumerate(rows)]
    if all(len(cells) == 2 for _, cells in rows):
        for number in (0, 1):
            if all(cells[number].isdecimal() for _, cells in rows):
                return [(int(cells[number]), cells[1 - number], origin) for origin, cells in rows]
    raise DatasetError(
        f"{odd}: several columns, and no header that says which one holds the names. Name it 'name' (or "
        f"{', '.join(_NAME_COLUMNS[1:])}); put quotes around names that hold commas."
    )


def _row_entry(place: int, origin: str, cells: list[str], header: list[str], column: int, number: int | None) -> _Entry:
    is_whole = len(cells) == len(header) and cells[column]
    if not is_whole or (number is not None and not cells[number].isdecimal()):
        raise DatasetError(
            f"{origin}: a line must be '{','.join(header)}', found '{','.join(cells)}'. Restore the file, or put "
            "quotes around names that hold commas."
        )
    return (place if number is None else int(cells[number])), cells[column], origin


def _is_json(path: Path, text: str) -> bool:
    """A name may begin with a bracket too: "[Something] falling"."""
    if path.suffix.lower() == ".json" or not text.lstrip().startswith(("[", "{")):
        return path.suffix.lower() == ".json"
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_entries(path: Path) -> list[_Entry]:
    """Of names by id or ids by name in the order of the ids."""
    items: list[tuple[str, Any, Any]] = list(read_json_items(path))
    inner = next((item for item in items if item[1] in _LIST_KEYS and isinstance(item[2], list | dict)), None)
    if inner is not None:
        origin, _, value = inner
        pairs = value.items() if isinstance(value, dict) else ((None, each) for each in value)
        items = [(origin, key, each) for key, each in pairs]
    if not items or items[0][1] is None:
        return [_json_entry(i, origin, value) for i, (origin, _, value) in enumerate(items)]
    if all(_number(key) is not None for _, key, _ in items):
        entries = [(_number(key), value, origin) for origin, key, value in items]
    elif all(_number(value) is not None for _, _, value in items):
        entries = [(_number(value), key, origin) for origin, key, value in items]
    else:
        raise DatasetError(
            f"{path}: an object must give the name of each id, or the id of each name, a whole number, found "
            f"{str(items[0][1])[:40]!r}: {str(items[0][2])[:40]!r}. A list of names will do."
        )
    return sorted((number or 0, _json_name(name, origin), origin) for number, name, origin in entries)


def _json_entry(place: int, origin: str, value: Any) -> _Entry:
    """A name, or an object that has one and perhaps an id."""
    if not isinstance(value, dict):
        return place, _json_name(value, origin), origin
    row = {str(key).lower(): each for key, each in value.items()}
    number = _number(row.get("id"))
    name = next((row[name] for name in _NAME_COLUMNS if name in row), None)
    return (place if number is None else number), _json_name(name, origin), origin


def _json_name(value: Any, origin: str) -> str:
    """Kinetics' class map has quotes in its names."""
    value = label_text(value)
    if not isinstance(value, str):
        raise DatasetError(f"{origin}: the name of a class must be text, found {str(value)[:40]!r}. Put it in quotes.")
    return _unquoted(value.strip())


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 19:
        return int(value)
    return value if type(value) is int and value >= 0 else None


def _check(entries: list[_Entry]) -> None:
    spellings, names, numbers = ClassNames(), dict[str, str](), dict[int, str]()
    for number, name, origin in entries:
        spellings.add(name, origin)
        form = name_form(name)
        for what, seen in ((f"class '{name}'", names.get(form)), (f"number {number}", numbers.get(number))):
            if seen is not None:
                raise DatasetError(f"{origin}: {what} is listed twice ({seen}). Remove one of the lines.")
        names[form] = numbers[number] = origin
