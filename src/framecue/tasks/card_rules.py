"""Rules that adapters' cards hold as plain data: read back, and checked field by field."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

Rule = TypeVar("Rule")


def rule_from_json(kind: type[Rule], data: object, name: str) -> Rule:
    """Read back what `dataclasses.asdict` gave of a rule.

    Raises:
        ValueError: no mapping, a key missing or unknown, or a value outside its range.
    """
    fields: Any = kind
    names = [field.name for field in dataclasses.fields(fields)]
    if not isinstance(data, Mapping):
        raise ValueError(f"{name} must be a mapping with {', '.join(names)}, got {type(data).__name__}.")
    missing, unknown = [key for key in names if key not in data], [str(key) for key in data if key not in names]
    if missing or unknown:
        raise ValueError(
            f"{name} must have exactly {', '.join(names)}; missing: {', '.join(missing) or 'none'}, "
            f"unknown: {', '.join(unknown) or 'none':.200}."
        )
    return kind(**data)


def require(rule: object, name: str, holds: bool, field: str, expected: str) -> None:
    """
    Raises:
        ValueError: it does not hold.
    """
    if not holds:
        raise ValueError(f"{name}: {field} must be {expected}, got {getattr(rule, field)!r}.")


def is_number(value: object, low: float = -1e300, high: float = 1e300) -> bool:
    """A finite number in [low, high]."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_count(value: object, low: int = 1) -> bool:
    """A whole number of at least `low`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
