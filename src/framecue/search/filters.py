"""Which videos a query is asked of: by path, date, duration and metadata. Plain Python; nothing is pasted into SQL."""

import fnmatch
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast

from framecue.errors import MomentIndexError
from framecue.files import name_form
from framecue.types import MetadataValue

Operator = Literal["=", "!=", "<", "<=", ">", ">="]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATOR = re.compile(r"<=|>=|!=|==|=|<|>")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MAX_TEXT_LENGTH = 4096


@dataclass(frozen=True)
class Condition:
    """One comparison with a metadata column. A video without the column does not meet it, whatever the operator.

    Only numbers are compared by size: a video with a text in a column of numbers does not meet that either. Texts and
    names of columns are compared as `files.name_form` says.
    """

    name: str
    operator: Operator
    value: MetadataValue

    def __post_init__(self) -> None:
        if self.operator not in _COMPARE:
            raise MomentIndexError(
                f"Condition on {self.name!r:.60}: {self.operator!r:.20} is no comparison; "
                f"use one of {', '.join(_COMPARE)}."
            )


@dataclass(frozen=True)
class Filter:
    """What a video must meet; fields that are None are not asked about, and all others must hold together.

    Attributes:
        path: a folder (all that lies under it), a file, or a pattern with `*`, `?` and `[...]`, in which `*` also
            crosses folders. A relative one may begin at any folder of the path. Compared as `files.name_form` says.
        after, before: recorded in `[after, before)`; without a time zone they are local time.
        min_duration_seconds, max_duration_seconds: both ends included.
        metadata: column name to the value it must have, or to (operator, value).
        conditions: more of these, for several on one column.

    Raises:
        MomentIndexError: a duration is negative or no number.
    """

    path: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    min_duration_seconds: float | None = None
    max_duration_seconds: float | None = None
    metadata: Mapping[str, MetadataValue | tuple[Operator, MetadataValue]] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()

    def __post_init__(self) -> None:
        for seconds in (self.min_duration_seconds, self.max_duration_seconds):
            if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
                raise MomentIndexError(f"A duration to filter by must be a number of seconds from 0 on, got {seconds}.")

    def all_conditions(self) -> list[Condition]:
        """`metadata` and `conditions` in one list."""
        pairs = {name: value if isinstance(value, tuple) else ("=", value) for name, value in self.metadata.items()}
        given = [Condition(name, sign, value) for name, (sign, value) in pairs.items()]
        return [*given, *self.conditions]


def parse_condition(text: str) -> Condition:
    """Reads "camera=3", "rating>=4", "place!=hall" (spaces around the sign do not count).

    The value stays text here and is read as whatever its column holds when the index is asked.

    Raises:
        MomentIndexError: the text is no condition.
    """
    found = _OPERATOR.search(text) if len(text) <= _MAX_TEXT_LENGTH else None
    name = text[: found.start()].strip() if found is not None else ""
    if found is None or not name or "!" in name:
        raise MomentIndexError(f"{text!r:.80} is no condition on metadata; write for example camera=3 or rating>=4.")
    sign = "=" if found[0] == "==" else found[0]
    return Condition(name, cast(Operator, sign), text[found.end() :].strip())


def path_test(text: str) -> Callable[[str], bool]:
    """Whether a path as text lies in the folder, is the file, or matches the pattern.

    Raises:
        MomentIndexError: the text is empty or absurdly long.
    """
    if not text.strip() or len(text) > _MAX_TEXT_LENGTH:
        raise MomentIndexError(
            f"A path filter is a folder, a file or a pattern of 1 to {_MAX_TEXT_LENGTH} characters, got {len(text)}."
        )
    text = name_form(text.removeprefix("./"))
    absolute, literal = text.startswith("/"), text.rstrip("/")
    inside = f"{literal}/" if absolute else f"/{literal}/"
    pattern = re.compile(fnmatch.translate(text if absolute else f"*/{text}")) if re.search(r"[*?\[]", text) else None

    def test(path: str) -> bool:
        path = name_form(path)
        with_end = f"{path}/"
        in_folder = with_end.startswith(inside) if absolute else inside in with_end
        return in_folder or (pattern is not None and pattern.match(path) is not None)

    return test


def metadata_test(condition: Condition, column_type: str) -> Callable[[Mapping[str, MetadataValue]], bool]:
    """Whether a video's metadata meet the condition. `column_type`: "str", "int", "float", "bool" or "mixed".

    Raises:
        MomentIndexError: the value is of another type than the column, or the column has no order.
    """
    compare, name = _COMPARE[condition.operator], condition.name
    kinds = _kinds(column_type)
    if condition.operator not in ("=", "!="):
        kinds = tuple(kind for kind in kinds if kind == "number")
        if not kinds:
            raise MomentIndexError(
                f"Metadata column {name!r:.60} holds {_TYPE_WORDS[column_type]}, which {condition.operator} does not "
                "compare; ask with = or !=, or add the metadata again with numbers in that column (in a table with ';' "
                "between its cells 4,5 is one)."
            )
    readings = {kind: _read_as(kind, condition.value) for kind in kinds}
    if all(reading is None for reading in readings.values()):
        raise MomentIndexError(
            f"Metadata column {name!r:.60} holds {_TYPE_WORDS[column_type]}, and {condition.value!r:.60} is none; "
            "compare it with a value of its type."
        )

    def test(metadata: Mapping[str, MetadataValue]) -> bool:
        value = metadata.get(name)
        reading = readings.get(_kind(value)) if value is not None else None
        return reading is not None and compare(name_form(value) if isinstance(value, str) else value, reading)

    return test


def type_name(values: set[str]) -> str:
    """The type of a column that holds values of these types."""
    return next(iter(values)) if len(values) == 1 else "float" if values == {"int", "float"} else "mixed"


def with_zone(moment: datetime) -> datetime:
    """With a time zone, the local one where it has none."""
    if moment.tzinfo is not None:
        return moment
    try:
        return moment.astimezone()
    except (OverflowError, ValueError, OSError):  # at the edges of the calendar, where a day changes nothing
        return moment.replace(tzinfo=UTC)


_TYPE_WORDS = {
    "str": "text",
    "int": "whole numbers",
    "float": "numbers",
    "bool": "true or false",
    "mixed": "values of several types",
}


def _kind(value: MetadataValue) -> str:
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "str"


def _kinds(column_type: str) -> tuple[str, ...]:
    if column_type == "mixed":
        return ("bool", "number", "str")
    return ("number",) if column_type in ("int", "float") else (column_type,)


def _read_as(kind: str, value: MetadataValue) -> MetadataValue | None:
    """The value as this kind, None where it is none; text is read, other values must be of the kind already."""
    if not isinstance(value, str):
        return value if _kind(value) == kind else None
    if kind == "str":
        return name_form(value)
    if kind == "bool":
        return _TRUTH.get(value.strip().lower())
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return None
    return number if number == number else None
