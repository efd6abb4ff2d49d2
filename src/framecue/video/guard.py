"""Decoding at arm's length: each reading function runs in a worker, so that no file can take the program down.

A file that crashed, hung or flooded its decoder is remembered by path, size and modification time; it is refused at
once from then on, until it changes or a retry is asked for.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from framecue.errors import VideoError, WorkerDiedError
from framecue.files import write_text
from framecue.video.source import Decoding, refusal
from framecue.workers import call, stream

T = TypeVar("T")

_MOST_REMEMBERED = 10_000
_lock = threading.Lock()


def guarded_call(function: Callable[..., T], path: Path, decoding: Decoding | None, *args: object) -> T:
    """`function(path, decoding, *args)` in a worker.

    Raises:
        VideoError: what the function raises, or the file took its worker down, now or earlier.
    """
    _refuse_poisonous(path, decoding)
    try:
        return call(function, path, decoding, *args)
    except WorkerDiedError as error:
        raise _condemned(path, error) from error


def guarded_stream(
    function: Callable[..., Iterator[Any]], path: Path, decoding: Decoding | None, *args: object
) -> Iterator[Any]:
    """What `function(path, decoding, *args)` yields in a worker.

    Raises:
        VideoError: as `guarded_call`.
    """
    _refuse_poisonous(path, decoding)
    try:
        yield from stream(function, path, decoding, *args)
    except WorkerDiedError as error:
        raise _condemned(path, error) from error


def memory_path() -> Path:
    """Where poisonous files are remembered: `framecue/poisonous.json` under `XDG_CACHE_HOME`, else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "framecue" / "poisonous.json"


def _refuse_poisonous(path: Path, decoding: Decoding | None) -> None:
    key = _key(path)
    known = _remembered()
    if key not in known:
        return
    if decoding is None or not decoding.retry:
        raise _poisonous(path, f"{known[key]} when it was read before")
    _remember(key, None)


def _condemned(path: Path, error: WorkerDiedError) -> VideoError:
    key = _key(path)
    if key is not None and error.kind != "killed":  # which says nothing of the file
        _remember(key, error.reason)
    return _poisonous(path, error.reason)


def _poisonous(path: Path, reason: str) -> VideoError:
    return refusal(path, reason, "convert it anew or leave it out; a retry reads it again")


def _remember(key: str, reason: str | None) -> None:
    """None forgets it."""
    with _lock, suppress(OSError):  # a home that cannot be written to
        known = _remembered()
        known.pop(key, None)
        if reason is not None:
            known[key] = reason
        write_text(memory_path(), json.dumps(dict(list(known.items())[-_MOST_REMEMBERED:]), indent=1))


def _remembered() -> dict[str, str]:
    try:
        known = json.loads(memory_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}


def _key(path: Path) -> str | None:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    # Names that are no UTF-8 are escaped.
    name = os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
    return f"{name}\n{stat.st_size}\n{stat.st_mtime_ns}"
