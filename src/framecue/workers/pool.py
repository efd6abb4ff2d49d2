"""Workers as their owner sees them: started when needed, kept for the next job, replaced when they die."""

import atexit
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any, TypeVar, cast

import framecue
from framecue.errors import WorkerDiedError
from framecue.workers.messages import SharedMemory, read_exactly, receive, send, unpack

T = TypeVar("T")

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from framecue.workers.child import main; main()"
_LOOK_SECONDS = 1.0
_STOP_SECONDS = 2.0
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20)}
"""For glibc: fresh memory for a picture of 1920 x 1080 costs more than resizing it; memory used before is free."""
HANG_SECONDS = 120.0
"""A worker that neither answers nor computes nor waits for a disk for so long has hung."""


def call(function: Callable[..., T], *args: object) -> T:
    """`function(*args)` in a worker. The function is found there by its module and name.

    Raises:
        WorkerDiedError: the worker crashed, hung, or used more CPU time than a job may.
        whatever the function raises.
    """
    [value] = stream(function, *args)
    return cast(T, value)


def stream(function: Callable[..., Any], *args: object) -> Iterator[Any]:
    """What the generator `function(*args)` yields in a worker, at most a few values ahead of who takes them.

    Raises:
        WorkerDiedError: as `call`.
        whatever the function raises.
    """
    worker = _pool.take()
    try:
        yield from worker.run(f"{function.__module__}:{function.__qualname__}", args)
    finally:
        _pool.give_back(worker)


def map_ordered(function: Callable[..., T], jobs: Sequence[Sequence[object]], num_workers: int) -> Iterator[T]:
    """`function(*job)` for each job, in their order, `num_workers` at a time.

    Raises:
        WorkerDiedError, whatever the function raises: on the step that meets it; the rest is given up.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(num_workers, thread_name_prefix="framecue-worker") as threads:
        try:
            for job in jobs:
                waiting.append(threads.submit(call, function, *job))
                if len(waiting) > 4 * num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Worker:
    """One process, for one thread at a time."""

    def __init__(self) -> None:
        self._memory = SharedMemory()
        job_end, self._jobs = os.pipe()
        self._answers, answer_end = os.pipe()
        theirs = (job_end, answer_end, self._memory.handle)
        told = json.dumps([*theirs, os.getpid()])
        try:
            self._process = subprocess.Popen(
                [get_executable() or sys.executable, "-c", _BOOT, json.dumps(_search_path()), told],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=theirs,
                process_group=0,  # Ctrl-C is for the owner, who stops its workers
                env={**os.environ, **_KEEP_MEMORY},
            )
        except BaseException:
            self._close_pipes()
            raise
        finally:
            os.close(job_end)
            os.close(answer_end)
        self._number = 0
        self._is_busy = False

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def run(self, function: str, args: Sequence[object]) -> Iterator[Any]:
        self._number += 1
        self._is_busy = True
        try:
            self._tell("job", (self._number, function, args, os.getcwd()))
        except OSError as error:
            raise self._died() from error
        while True:
            kind, value = self._next()
            if kind == "end":
                self._is_busy = False
                return
            if kind == "error":
                self._is_busy = not isinstance(value, MemoryError)  # such a worker is not used again
                if self._is_busy:
                    self._drain()
                raise value
            yield value

    def _next(self) -> tuple[str, Any]:
        """The next message about the job at hand."""
        while True:
            data = receive(self._read)
            (number, kind, value), slot = unpack(data, self._memory)
            if slot is not None:
                with suppress(OSError):
                    self._tell("free", slot)
            if number == self._number:
                return kind, value

    def _read(self, num_bytes: int) -> bytes:
        if not self._wait(HANG_SECONDS):
            self.kill()
            raise WorkerDiedError("hang", f"it did nothing for {HANG_SECONDS:.0f} s")
        try:
            return read_exactly(self._answers, num_bytes)
        except EOFError:
            raise self._died() from None

    def _wait(self, hang_seconds: float) -> bool:
        """Until there is something to read; False if the worker has hung."""
        last_use, since = -1.0, time.monotonic()
        while not select.select([self._answers], [], [], _LOOK_SECONDS)[0]:
            use = _cpu_seconds(self._process.pid)
            if use is None or use > last_use + 0.01:
                last_use, since = use if use is not None else last_use, time.monotonic()
            elif time.monotonic() - since > hang_seconds:
                return False
        return True

    def _tell(self, kind: str, value: object) -> None:
        send(self._jobs, pickle.dumps((kind, value)))

    def _drain(self) -> None:
        with suppress(WorkerDiedError):
            while self._is_busy:
                self._is_busy = self._next()[0] != "end"

    def settle(self) -> bool:
        """Stops what is still running; whether the worker is fit for another job."""
        if self._is_busy and self.is_alive:
            end = time.monotonic() + _STOP_SECONDS
            with suppress(OSError, WorkerDiedError):
                self._tell("stop", None)
                while self._is_busy and select.select([self._answers], [], [], max(0.0, end - time.monotonic()))[0]:
                    self._is_busy = self._next()[0] != "end"
        return not self._is_busy and self.is_alive

    def _died(self) -> WorkerDiedError:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return WorkerDiedError("cpu", "it used far more CPU time than its length explains")
        if code == -signal.SIGKILL:
            return WorkerDiedError("killed", "the process was killed from outside, perhaps as memory ran out")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return WorkerDiedError("crash", f"the decoder crashed ({name})")

    def kill(self) -> None:
        with suppress(OSError):
            self._process.kill()
            self._process.wait()
        self._close_pipes()

    def close(self) -> None:
        """Lets an idle worker end by itself."""
        self._close_pipes()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_STOP_SECONDS)
            return
        self.kill()

    def forget(self) -> None:
        """In a fork of the owner: the worker is not this process's."""
        self._close_pipes()
        self._process.returncode = 0

    def _close_pipes(self) -> None:
        for handle in (self._jobs, self._answers):
            with suppress(OSError):
                os.close(handle)
        self._jobs = self._answers = -1
        with suppress(OSError, BufferError, ValueError):
            self._memory.close()


class _Pool:
    """Idle workers; as many are at work as threads ask for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._at_work: set[_Worker] = set()

    def take(self) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive:
                    self._at_work.add(worker)
                    return worker
                worker.kill()
        worker = _Worker()
        with self._lock:
            self._at_work.add(worker)
        return worker

    def give_back(self, worker: _Worker) -> None:
        is_fit = worker.settle()
        with self._lock:
            if worker not in self._at_work:  # in a fork
                return
            self._at_work.discard(worker)
            if is_fit and len(self._idle) < (os.cpu_count() or 1):
                self._idle.append(worker)
                return
        worker.kill()

    def close(self) -> None:
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.close()

    def forget(self) -> None:
        for worker in (*self._idle, *self._at_work):
            worker.forget()
        self.__init__()  # type: ignore[misc]


def _search_path() -> list[str]:
    """Where this process finds modules, the package itself first, whoever put it there."""
    package = os.fspath(Path(framecue.__file__).resolve().parents[1])
    return [package, *(os.path.abspath(entry) for entry in sys.path if entry != package)]


def _cpu_seconds(pid: int) -> float | None:
    """CPU time of a process; None where it waits for a disk, or the system does not tell."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    if state == "D":
        return None
    return (int(fields[10]) + int(fields[11])) / os.sysconf("SC_CLK_TCK")


_pool = _Pool()
atexit.register(_pool.close)
os.register_at_fork(after_in_child=_pool.forget)
