"""One-line messages for what can go wrong with the folder of a moment index."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from framecue.errors import FramecueError, MomentIndexError
from framecue.features.store_errors import heed_interrupt, is_disk_full

# Lance appends the place in its own source, and sometimes its own prefix.
_LANCE_NOISE = re.compile(r", \S+\.rs:\d+:\d+|LanceError\(\w+\): |External error: |Generic \S+ error: ")


@contextmanager
def table_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns what Lance and Arrow raise inside the block into a `MomentIndexError` of one line."""
    try:
        yield
    except FramecueError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, pa.ArrowException) as error:
        heed_interrupt(error)
        raise _told(path, doing, error) from error
    except BaseException as error:
        # Some damage makes Lance's Rust code panic, which no Exception is; the class cannot be imported.
        if type(error).__name__ == "PanicException":
            raise _told(path, doing, error) from error
        raise


def one_line(error: BaseException) -> str:
    return " ".join(_LANCE_NOISE.sub("", str(error)).split())[:240]


def damaged(path: Path, doing: str, reason: str) -> MomentIndexError:
    return MomentIndexError(
        f"Moment index {path} cannot be {doing}: {reason}; if it is damaged, delete it or name another folder, "
        "and add the videos again."
    )


def _told(path: Path, doing: str, error: BaseException) -> MomentIndexError:
    if is_disk_full(error):
        return MomentIndexError(
            f"Moment index {path} cannot be {doing}: the disk is full; what was committed is kept: "
            "free some space and run the same command again."
        )
    if isinstance(error, PermissionError) or "os error 13" in str(error):
        return MomentIndexError(
            f"Moment index {path} cannot be {doing}: permission denied; let this user read and write it."
        )
    return damaged(path, doing, one_line(error))
