"""A bounded folder of files that can be made anew: thumbnails and transcoded moments."""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from framecue.api.index_folder import CACHED_FILE
from framecue.files import atomic_path

_ROOM_LEFT = 0.9
_OWN_NAME = re.compile(rf"{CACHED_FILE.pattern}|\..+\.tmp")
"""Of the files here, and of unfinished ones; others in the folder are not this cache's to count or remove."""
Run = Callable[[Callable[[], None]], Awaitable[None]]


class DiskCache:
    """Files by key, the least recently used removed first. Several servers may share a folder.

    Args:
        folder: made where it is missing; where it cannot be written, a temporary folder serves until `close`.
        max_bytes: of all files together; the latest one is kept even where it alone is more.
        run: does a piece of work in some thread.
        count: told "hit" or "miss".
    """

    def __init__(self, folder: Path, *, max_bytes: int, run: Run, count: Callable[[str], None]) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._max_bytes, self._run, self._count = max_bytes, run, count
        self._making: dict[str, asyncio.Future[None]] = {}
        self._lock = threading.Lock()
        self.folder = self._usable(folder)
        self._num_bytes = sum(size for _, size, _ in self._files())
        self._trim(keep=None)

    def _usable(self, folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            self._temporary = tempfile.TemporaryDirectory(prefix="framecue-cache-", ignore_cleanup_errors=True)
            return Path(self._temporary.name)

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    async def get(self, owner: str, key: tuple[object, ...], suffix: str, write: Callable[[Path], None]) -> Path:
        """The file of a key, made by `write` where it is not there: once, however many ask at the same time.

        Args:
            owner: id of the video that the file shows; whoever removes the video finds its files by their names.

        Raises:
            whatever `write` does, to all who wait for it.
        """
        digest = hashlib.sha256(repr(key).encode("utf-8", "backslashreplace")).hexdigest()
        name = f"{owner}.{digest}"
        path = self.folder / f"{name}{suffix}"
        if name in self._making:
            self._count("hit")
            await asyncio.shield(self._making[name])
            return path
        try:
            os.utime(path)
            self._count("hit")
            return path
        except FileNotFoundError:
            self._count("miss")
        # A task of its own: the one who asked first may hang up while others wait.
        task = asyncio.ensure_future(self._run(lambda: self._make(path, write)))
        self._making[name] = task
        task.add_done_callback(lambda done: self._forget(name, done))
        await asyncio.shield(task)
        return path

    def _forget(self, name: str, done: "asyncio.Future[None]") -> None:
        del self._making[name]
        if not done.cancelled():
            done.exception()  # whoever waited has seen it; nobody may have waited

    def _make(self, path: Path, write: Callable[[Path], None]) -> None:
        with atomic_path(path) as temporary:
            write(temporary)
        with self._lock:
            self._num_bytes += path.stat().st_size
            if self._num_bytes > self._max_bytes:
                self._trim(keep=path)

    def _trim(self, keep: Path | None) -> None:
        """Looks at the folder anew, since another server may have written there, and makes some room."""
        files = self._files()
        self._num_bytes = sum(size for _, size, _ in files)
        if self._num_bytes <= self._max_bytes:
            return
        for _, size, path in files:
            if self._num_bytes <= _ROOM_LEFT * self._max_bytes:
                break
            if path != keep:
                path.unlink(missing_ok=True)
                self._num_bytes -= size

    def _files(self) -> list[tuple[int, int, Path]]:
        """Time of last use, size and path of each file, the longest unused first."""
        files = []
        with os.scandir(self.folder) as entries:
            for entry in filter(lambda entry: _OWN_NAME.fullmatch(entry.name), entries):
                with contextlib.suppress(FileNotFoundError):  # another server's removal
                    status = entry.stat(follow_symlinks=False)
                    files.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
        return sorted(files)

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
