"""How far the writer of an index is: told to a callback, and in a file that other processes read."""

import json
import math
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from framecue.files import write_text

PROGRESS = "progress.json"

_WRITE_SECONDS = 1.0
_STALE_SECONDS = 300.0
"""A writer tells of itself at every chunk it reads; one that has not for so long was killed on another machine, or its
process number belongs to another program now."""


@dataclass(frozen=True)
class BuildProgress:
    """Where a writer stands.

    Attributes:
        videos_done: unchanged, indexed or skipped.
        num_videos: all that were found.
        current: path of a file that is being read; "" between files.
        started: when the writer began, with a time zone.
        elapsed_seconds: since then.
        rate: seconds of video encoded per second.
        seconds_left: by the bytes that are still to be read; None while that cannot be told.
    """

    videos_done: int
    num_videos: int
    current: str
    started: datetime
    elapsed_seconds: float
    rate: float
    seconds_left: float | None


class Tracker:
    """Counts what is done. Its owner calls it under a lock.

    Args:
        folder: of the index; the progress file lies in it.
        sizes: bytes of each file that is to be read.
        num_unchanged: videos that need not be.
    """

    def __init__(
        self,
        folder: Path,
        sizes: dict[Path, int],
        num_unchanged: int,
        on_progress: Callable[[BuildProgress], None] | None,
    ) -> None:
        self._path, self._sizes, self._on_progress = folder / PROGRESS, sizes, on_progress
        self._total_bytes = max(1, sum(sizes.values()))
        self._num_done, self._num_videos = num_unchanged, num_unchanged + len(sizes)
        self._done_bytes, self._video_seconds = 0.0, 0.0
        self._part: dict[Path, tuple[float, float]] = {}  # share and seconds of files that are being read
        self._clock, self._started = time.monotonic(), datetime.now(UTC)
        self._written = -math.inf
        self._current = ""

    def reading(self, path: Path, done_seconds: float = 0.0, duration_seconds: float | None = None) -> None:
        """So much of a file has been encoded."""
        self._current = str(path)
        self._part[path] = (min(1.0, done_seconds / duration_seconds) if duration_seconds else 0.0, done_seconds)
        self._tell()

    def finished(self, path: Path, video_seconds: float = 0.0) -> None:
        """A file is dealt with; `video_seconds` of it were encoded."""
        self._part.pop(path, None)
        self._num_done += 1
        self._done_bytes += self._sizes.get(path, 0)
        self._video_seconds += video_seconds
        self._current = str(next(iter(self._part), ""))
        self._tell()

    def now(self) -> BuildProgress:
        """Where it stands."""
        elapsed = time.monotonic() - self._clock
        done = self._done_bytes + sum(share * self._sizes.get(path, 0) for path, (share, _) in self._part.items())
        video_seconds = self._video_seconds + sum(seconds for _, seconds in self._part.values())
        left = elapsed * (self._total_bytes - done) / done if done else None
        return BuildProgress(
            self._num_done,
            self._num_videos,
            self._current,
            self._started,
            elapsed,
            video_seconds / max(elapsed, 1e-9),
            left,
        )

    def close(self) -> None:
        """Nothing is being built any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _tell(self) -> None:
        state = self.now()
        if self._on_progress is not None:
            self._on_progress(state)
        if time.monotonic() - self._written < _WRITE_SECONDS:
            return
        self._written = time.monotonic()
        writer = {"pid": os.getpid(), "host": socket.gethostname(), "updated": time.time()}
        with suppress(OSError):  # a full disk is met, and told of, where vectors are written
            write_text(self._path, json.dumps({**asdict(state), "started": state.started.isoformat(), **writer}))


def read_progress(folder: Path) -> BuildProgress | None:
    """What the writer of an index last told; None where there is none, or it died."""
    try:
        told = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        since = time.time() - float(told["updated"])
        if since > _STALE_SECONDS or (told["host"] == socket.gethostname() and not _is_alive(int(told["pid"]))):
            return None
        return _parse(told, since)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _parse(told: dict[str, Any], since: float) -> BuildProgress:
    left = told["seconds_left"]
    state = BuildProgress(
        videos_done=int(told["videos_done"]),
        num_videos=int(told["num_videos"]),
        current=str(told["current"]),
        started=datetime.fromisoformat(told["started"]),
        elapsed_seconds=float(told["elapsed_seconds"]),
        rate=float(told["rate"]),
        seconds_left=None if left is None else float(left),
    )
    return replace(state, elapsed_seconds=state.elapsed_seconds + max(0.0, since))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True
