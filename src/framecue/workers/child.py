"""A worker's own side: waits for jobs, runs them, and ends with its owner, however that one ends."""

import importlib
import json
import os
import pickle
import queue
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from framecue.workers import limits
from framecue.workers.messages import NUM_SLOTS, SharedMemory, pack, read_exactly, receive, send

_LOOK_SECONDS = 1.0


class _Worker:
    """
    Args:
        jobs: pipe to read from; the owner holds its only other end.
        answers: pipe to write to.
        owner: process id.
    """

    def __init__(self, jobs: int, answers: int, memory: SharedMemory, owner: int) -> None:
        self._read_from, self._write_to, self._memory, self._owner = jobs, answers, memory, owner
        self._jobs: queue.Queue[Any] = queue.Queue()
        self._free: queue.Queue[int | None] = queue.Queue()
        self._stop = threading.Event()

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            number, function, args, folder = self._jobs.get()
            self._stop.clear()
            self._free = queue.Queue()
            for slot in range(NUM_SLOTS):
                self._free.put(slot)
            with suppress(OSError):  # the owner's folder may be gone
                if os.getcwd() != folder:
                    os.chdir(folder)
            limits.start_job()
            try:
                self._answer(number, function, args)
            except BrokenPipeError:
                os._exit(0)

    def _answer(self, number: int, function: str, args: Any) -> None:
        values: Iterator[Any] | None = None
        try:
            module, _, name = function.partition(":")
            result = getattr(importlib.import_module(module), name)(*args)
            values = result if isinstance(result, Iterator) else iter([result])
            for value in values:
                self._send(number, "value", value)
                if self._stop.is_set():
                    break
        except BrokenPipeError:
            raise
        except BaseException as error:
            self._send(number, "error", _sendable(error))
        finally:
            close = getattr(values, "close", None)
            if close is not None:
                close()
        self._send(number, "end", None)

    def _send(self, number: int, kind: str, value: object) -> None:
        send(self._write_to, pack((number, kind, value), self._slot))

    def _slot(self) -> tuple[int, memoryview]:
        slot = self._free.get()
        if slot is None:  # stopped while all slots were full: nobody reads any more
            slot = 0
        return slot, self._memory.slot(slot)

    def _listen(self) -> None:
        """Takes jobs and tells; ends the process when its owner is gone, whatever it is doing."""
        try:
            while True:
                ready, _, _ = select.select([self._read_from], [], [], _LOOK_SECONDS)
                if not ready:
                    if os.getppid() != self._owner:  # a fork of the owner may still hold the pipe
                        os._exit(0)
                    continue
                kind, value = pickle.loads(receive(lambda size: read_exactly(self._read_from, size)))
                if kind == "job":
                    self._jobs.put(value)
                elif kind == "free":
                    self._free.put(value)
                else:
                    self._stop.set()
                    self._free.put(None)
        except BaseException:
            os._exit(0)


def _sendable(error: BaseException) -> BaseException:
    """The error itself, where it can be rebuilt on the other side."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def main() -> None:
    """Entry of the process; see `framecue.workers.pool`."""
    jobs, answers, memory, owner = json.loads(sys.argv[1])
    limits.limit_memory()
    _Worker(jobs, answers, SharedMemory(memory), owner).run()
