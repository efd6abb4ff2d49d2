"""Class descriptions from a file: whole sentences that say what a class looks like, several per class."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from framecue.datasets.manifests import read_text
from framecue.datasets.naming import class_key, find_class, is_text
from framecue.errors import DatasetError
from framecue.files import name_form


def read_descriptions(path: Path, known: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Name -> its descriptions, in file order.

    JSON: `{"jumping": ["a person leaps", ...], ...}` (one string instead of a list is fine). Any other file: lines
    `jumping: a person leaps`, a name as often as it has descriptions; empty lines and lines with # are passed over.

    Args:
        known: the classes that may be described, in the spelling that is returned.

    Raises:
        DatasetError: the file cannot be understood, or describes an unknown class (the nearest is named).
    """
    known = list(known)
    entries = _from_json(path) if path.suffix.lower() == ".json" else _from_lines(path)
    found: dict[str, list[str]] = {}
    for name, text, origin in entries:
        if not text.strip() or not is_text(text):
            raise DatasetError(f"{origin}: class '{name}' has an empty or unreadable description; write a sentence.")
        found.setdefault(find_class(name, known, asked_by=origin), []).append(text.strip())
    if not found:
        raise DatasetError(f"{path}: no class descriptions in it; write lines 'name: text', or JSON {{name: [text]}}.")
    return {name: tuple(texts) for name, texts in found.items()}


def _from_json(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        values = json.loads(read_text(path), object_pairs_hook=lambda pairs: _unique(pairs, path))
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}:{error.lineno}: not valid JSON ({error.msg}); correct that line.") from None
    if not isinstance(values, dict):
        raise DatasetError(f"{path}: must be an object {{name: [text, ...]}}, found {type(values).__name__}.")
    spelled: dict[str, str] = {}
    for name, texts in values.items():
        origin = f"{path}: '{name}'"
        first = spelled.setdefault(class_key(name), name)
        if name_form(first) != name_form(name):
            raise DatasetError(f"{origin} and '{first}' differ only in case, spaces or punctuation; keep one of them.")
        for text in [texts] if isinstance(texts, str) else texts if isinstance(texts, list) else [None]:
            if not isinstance(text, str):
                raise DatasetError(f"{origin}: descriptions must be texts, found {text!r}; write a list of sentences.")
            yield name, text, origin


def _unique(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    """Refuses a name given twice, of which JSON would silently keep the last."""
    twice = next((name for name, count in Counter(name for name, _ in pairs).items() if count > 1), None)
    if twice is not None:
        raise DatasetError(f"{path}: '{twice}' is there twice; join its descriptions in one list.")
    return dict(pairs)


def _from_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, text = line.partition(":")
        if not separator:
            raise DatasetError(f"{path}:{number}: a line must be 'name: description', found '{line.strip()[:80]}'.")
        yield name.strip(), text, f"{path}:{number}"
