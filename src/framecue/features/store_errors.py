"""One-line messages for what can go wrong with a feature store."""

import errno
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from framecue.errors import StoreError
from framecue.types import Maker

T = TypeVar("T")

_ATTEMPTS, _FIRST_PAUSE_SECONDS = 6, 0.02
# Lance appends the place in its own source, and sometimes its own prefix.
_LANCE_NOISE = re.compile(r", \S+\.rs:\d+:\d+|LanceError\(\w+\): |External error: |Generic \S+ error: ")


def is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)  # Lance raises OSError without errno
    return f"os error {errno.ENOSPC}" in text or f"os error {errno.EDQUOT}" in text


def heed_interrupt(error: BaseException) -> None:
    """Raises KeyboardInterrupt where Lance reports a Ctrl-C, which it met while it read, as an error of the data."""
    if "KeyboardInterrupt" in str(error):
        raise KeyboardInterrupt from error


def retrying(action: Callable[[], T]) -> T:
    """Tries again after a moment: another process may be compacting the table, the next try meets its new version."""
    for attempt in range(_ATTEMPTS - 1):
        try:
            return action()
        except (OSError, ValueError, RuntimeError) as error:
            heed_interrupt(error)
            if is_disk_full(error):
                raise
            time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * random.SystemRandom().uniform(0.5, 1.5))
    return action()


@contextmanager
def lance_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns what Lance and Arrow raise inside the block into a `StoreError` of one line."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, ValueError, RuntimeError, pa.ArrowException) as error:
        heed_interrupt(error)
        if is_disk_full(error):
            raise StoreError(
                f"Feature store {path} cannot be {doing}: the disk is full; what was committed is kept: "
                "free some space and run the same command again."
            ) from error
        raise store_error(path, doing, _one_line(error)) from error
    except BaseException as error:
        # Some damage makes Lance's Rust code panic, which no Exception is; the class cannot be imported.
        if type(error).__name__ == "PanicException":
            raise store_error(path, doing, _one_line(error)) from error
        raise


def _one_line(error: BaseException) -> str:
    return " ".join(_LANCE_NOISE.sub("", str(error)).split())[:240]


def store_error(path: Path, doing: str, reason: str) -> StoreError:
    return StoreError(
        f"Feature store {path} cannot be {doing}: {reason}; if it is damaged, delete it or name another folder, "
        "and extract again."
    )


def mismatch(path: Path, stored: Maker, given: Maker) -> str:
    """Says in what two makers differ, with both values, and what to do."""
    differing = stored.difference(given)
    found = "; ".join(f"{name} {_two_values(getattr(stored, name), getattr(given, name))}" for name in differing)
    backbones = f" (backbones {stored.backbone!r} and {given.backbone!r})" if stored.backbone != given.backbone else ""
    return (
        f"Feature store {path} holds features of another maker{backbones}, and the two do not compare: {found}; "
        "name another store, or set these as they were when it was made."
    )


def _two_values(stored: str, given: str) -> str:
    left, right = _parse(stored), _parse(given)
    if left is None or right is None:
        return f"is {_shorten(stored)} there, {_shorten(given)} here"
    keys = [key for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)]
    return ", ".join(f"{key} is {_shorten(left.get(key))} there, {_shorten(right.get(key))} here" for key in keys)


def _parse(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}..."
