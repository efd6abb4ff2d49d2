"""Class names and names of parts as people write them, brought to one form."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from framecue.datasets.faults import DataFaultError, Report, refuse
from framecue.errors import DatasetError
from framecue.files import name_form

_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def part_name(text: str) -> str | None:
    """ "train", "val" or "test" for any usual spelling of one, else None."""
    return _PARTS.get(text.strip().lower())


def part_in_file_name(name: str) -> str | None:
    """ "val" for kinetics-400_val.csv, "train" for trainlist01.txt; None where no part, or more than one, is named."""
    words = (word.removesuffix("list") for word in re.split(r"[^a-z]+", name.lower()))
    parts = {part for word in words if (part := part_name(word))}
    return parts.pop() if len(parts) == 1 else None


def is_text(text: str) -> bool:
    """False for file names of stray bytes and for halves of JSON's character pairs, which no tokenizer takes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def label_text(value: Any) -> Any:
    """A whole number, as JSON may hold in the place of a label, as text; all else as it is."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def class_name(text: str) -> str:
    """A class as a person would say it: underscores become spaces, white space is collapsed; case is kept."""
    return " ".join(text.replace("_", " ").split())


def class_name_from_camel_case(text: str) -> str:
    """ "ApplyEyeMakeup" -> "apply eye makeup", the form of UCF-101's folders."""
    return class_name(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)).lower()


def spoken(label: str) -> str:
    """A label as a person would say it to a text encoder: "BaseballPitch" -> "baseball pitch", others as they are."""
    return class_name_from_camel_case(label) if re.search("[a-z][A-Z]", label) and " " not in label else label


def class_key(text: str) -> str:
    """Equal for names that differ only in case, underscores, hyphens, white space, invisible characters or form.

    The forms are those of `files.name_form`: letters with their accents in one character or in two.
    """
    joined = "".join(class_name(text).replace("-", " ").split())
    if not joined.isascii():
        joined = "".join(letter for letter in name_form(joined) if unicodedata.category(letter) != "Cf")
        return name_form(joined.casefold())
    return joined.casefold()


_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_NOTHING = frozenset(("nan", "null", "none", "nil", "na", "n/a", "#n/a", "<na>", "undefined"))


def stands_for_nothing(text: str) -> bool:
    """Whether the text is one that programs write for an empty cell: "nan", "null" and others."""
    return text.casefold() in _NOTHING


NAME_NUMBERS = "Write words in their place, or name the classes in data.labels, a line '0 waving' for each."
"""What to do in a run whose class names are numbers."""


def name_notes(names: Iterable[str], numbers_next: str = "Write words in their place.") -> list[str]:
    """A line for names that are numbers, and one for names that programs write where there is none."""
    names = list(names)
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    empty = [f"'{name}'" for name in names if stands_for_nothing(name)]
    notes = []
    if numbers:
        notes.append(
            f"{len(numbers)} of {len(names)} class names are numbers ({shorten(numbers)}), which tell the backbone "
            f"little. {numbers_next}"
        )
    if empty:
        notes.append(
            f"{shorten(empty)} may stand for an empty cell, and is a class here. Remove its entries, or write what its "
            "videos show."
        )
    return notes


class ClassNames:
    """The class names of one source, reporting two spellings of one name, which would train as two classes.

    Two forms of one name, as `files.name_form` knows them, look the same and are one class without a word.

    Args:
        tell: from a name as it is written, without white space around it, to the one that is shown.
    """

    def __init__(self, report: Report = refuse, *, tell: Callable[[str], str] = class_name) -> None:
        self._seen: dict[str, tuple[str, str, str]] = {}
        self._known: dict[str, str] = {}
        self._report, self._tell = report, tell

    def add(self, text: str, origin: str) -> str:
        """The class name for `text`, read at `origin`; where the report lets it pass, the first spelling's.

        Raises:
            DatasetError: the name is empty or no text, or (by the report) another spelling of it was read before.
        """
        if text in self._known:  # a source names few classes very often
            return self._known[text]
        if not is_text(text):
            raise DatasetError(f"{origin}: label {text!r} holds bytes that are no UTF-8. Rename the class.")
        if not class_name(text):
            raise DatasetError(f"{origin}: the label is empty. Name the class, or remove the entry.")
        written = text.strip()
        first, first_origin, name = self._seen.setdefault(class_key(text), (written, origin, self._tell(written)))
        if name_form(first) != name_form(written):
            self._report(
                DataFaultError(
                    "spelling",
                    f"{origin}: class {_visible(written)} and {_visible(first)} ({first_origin}) differ only in case, "
                    "spaces or punctuation. Write both the same way.",
                )
            )
        self._known[text] = name
        return name


def _visible(text: str) -> str:
    """In quotes, characters that are not seen as escapes."""
    return f"'{text}'" if text.isprintable() else repr(text)


def find_class(name: str, known: Iterable[str], *, asked_by: str) -> str:
    """The name in `known` that `name` means, in any spelling that `class_key` holds equal.

    Raises:
        DatasetError: there is none; the nearest is named.
    """
    by_key = {class_key(text): text for text in known}
    if class_key(name) in by_key:
        return by_key[class_key(name)]
    near = difflib.get_close_matches(class_key(name), list(by_key), n=1)
    hint = f"did you mean '{by_key[near[0]]}'?" if near else f"The classes are {shorten(sorted(by_key.values()))}."
    raise DatasetError(f"{asked_by}: no class '{name}' in the data; {hint}")


def shorten(items: list[str], limit: int = 5) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
