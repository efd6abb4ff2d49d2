"""Functions that the tests of workers run in them."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator

import numpy as np

from framecue.workers import allow_cpu_seconds


def add(one: int, other: int) -> int:
    return one + other


def process_id() -> int:
    return os.getpid()


def imported(*names: str) -> list[str]:
    """Which of these modules the worker has imported."""
    import framecue.video.reader  # noqa: F401

    return [name for name in names if name in sys.modules]


def arrays(count: int, size: int) -> Iterator[np.ndarray]:
    for index in range(count):
        yield np.full((3, size, 4), index, dtype=np.uint8).transpose(1, 2, 0)


def endless() -> Iterator[int]:
    count = 0
    while True:
        allow_cpu_seconds(1.0)
        yield count
        count += 1


def refuse(message: str) -> None:
    raise ValueError(message)


def crash() -> None:
    ctypes.string_at(0)


def spin(limit_seconds: float) -> None:
    """Computes for good, with so much CPU time left."""
    allow_cpu_seconds(limit_seconds - 30.0)
    while True:
        pass


def wait(seconds: float) -> None:
    time.sleep(seconds)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def take_memory(mebibytes: int) -> int:
    return len(bytearray(mebibytes * 2**20))
