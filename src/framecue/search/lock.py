"""One writer at a time: an advisory lock that dies with its process."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from framecue.errors import MomentIndexError

LOCK_FILE = "writer.lock"


class WriterLock:
    """The lock of one folder. The kernel releases it when its holder dies, so that none is ever stuck."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread_lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def hold(self) -> Iterator[bool]:
        """Holds the lock; the same thread may nest. Yields whether this is the outermost block.

        Raises:
            MomentIndexError: another process, thread or object holds it, or the folder cannot be written.
        """
        if not self._thread_lock.acquire(blocking=False):
            raise self._refused()
        try:
            if self._depth:
                self._depth += 1
                try:
                    yield False
                finally:
                    self._depth -= 1
                return
            handle = self._take()
            self._depth = 1
            try:
                yield True
            finally:
                self._depth = 0
                os.ftruncate(handle, 0)
                os.close(handle)
        finally:
            self._thread_lock.release()

    def _take(self) -> int:
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MomentIndexError(
                f"Moment index {self._path.parent} cannot be written: {error.strerror}; it can only be searched here."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            holder = {"pid": os.getpid(), "started": datetime.now().astimezone().isoformat(timespec="seconds")}
            os.pwrite(handle, json.dumps(holder).encode(), 0)
        except BlockingIOError as error:
            os.close(handle)
            raise self._refused() from error
        except OSError as error:
            os.close(handle)
            raise MomentIndexError(
                f"Moment index {self._path.parent} cannot be locked for writing: {error.strerror}."
            ) from error
        return handle

    def _refused(self) -> MomentIndexError:
        try:
            holder = json.loads(self._path.read_text(encoding="utf-8"))
            who = f"process {int(holder['pid'])}, since {holder['started']!s:.40}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        return MomentIndexError(
            f"Moment index {self._path.parent} is being written by {who}; one writer at a time: wait until it is done "
            "(searching goes on meanwhile)."
        )
