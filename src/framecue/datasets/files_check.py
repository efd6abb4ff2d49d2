"""Opening many video files to see which can be used, and finding copies among them."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from framecue.errors import VideoError
from framecue.features.identity import hash_file
from framecue.types import Skipped
from framecue.video.reader import duration_of

_MAX_WORKERS = 16


@dataclass(frozen=True)
class FileFacts:
    """What opening a video told; `fault` is why it cannot be read, or None."""

    size_bytes: int
    duration_seconds: float = 0.0
    fault: str | None = None

    @property
    def is_usable(self) -> bool:
        return self.fault is None and self.duration_seconds > 0

    @property
    def reason(self) -> str:
        """Why it cannot be used."""
        if self.size_bytes == 0:
            return "the file is empty; fetch it again or leave it out."
        return self.fault or "it lasts 0 s; cut it anew or leave it out."


def inspect_files(
    paths: Sequence[Path], progress: Callable[[int, int], None] | None = None, *, workers: int | None = None
) -> dict[Path, FileFacts]:
    """Opens each video and decodes its first frame, several at a time.

    Args:
        progress: called with the number done and of all, now and then.
        workers: threads; None takes the processors, at most 16.
    """
    workers = workers or min(_MAX_WORKERS, os.cpu_count() or 1)
    facts: dict[Path, FileFacts] = {}
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), 4 * workers):  # few at a time, so that Ctrl-C is obeyed soon
            some = paths[start : start + 4 * workers]
            facts.update(zip(some, pool.map(_inspect, some), strict=True))
            if progress is not None:
                progress(len(facts), len(paths))
    return facts


def _inspect(path: Path) -> FileFacts:
    size_bytes = 0
    try:
        size_bytes = path.stat().st_size
        return FileFacts(size_bytes, duration_of(path))
    except VideoError as error:
        return FileFacts(
            size_bytes, fault=Skipped.because(path, error).reason.removeprefix("cannot be read as video: ")
        )
    except OSError as error:
        return FileFacts(size_bytes, fault=f"it cannot be opened: {error.strerror}.")


def find_copies(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Groups of files with equal contents, in the order given; only files of equal size are read.

    Args:
        sizes: path to size in bytes.
    """
    by_size: dict[int, list[str]] = defaultdict(list)
    for path, size_bytes in sizes.items():
        by_size[size_bytes].append(path)
    for same_size in by_size.values():
        by_hash: dict[str, list[str]] = defaultdict(list)
        for path in same_size if len(same_size) > 1 else ():
            try:
                by_hash[hash_file(Path(path))].append(path)
            except OSError:  # it went away meanwhile; whatever reads it next will say so
                continue
        yield from (group for group in by_hash.values() if len(group) > 1)
