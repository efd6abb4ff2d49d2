"""Work that keeps a processor busy, off the event loop: threads in lanes, each with a bounded queue."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from fastapi import Request

from framecue.service.refusals import busy

T = TypeVar("T")
_LOOK_SECONDS = 0.5


class Lane:
    """Threads for one kind of work. A lane of one thread is a lock as well: what runs in it never meets itself.

    Args:
        name: for people.
        workers: threads.
        max_waiting: pieces of work that may wait for a thread.
        seconds: within which an answer must be there. Work that is late runs on to its end and keeps its thread till
            then, so that nothing piles up behind the lane's back.
    """

    def __init__(self, name: str, *, workers: int, max_waiting: int, seconds: float) -> None:
        self.name, self.seconds = name, seconds
        self._max_pending = workers + max_waiting
        self._pending = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=f"framecue-{name}")

    @property
    def pending(self) -> int:
        """Pieces of work that run or wait."""
        return self._pending

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises.

        Raises:
            RefusedError: 503, too much waits already, or it took too long.
        """
        with self._lock:
            if self._pending >= self._max_pending:
                raise busy(f"Too many requests wait for {self.name}; try again in a few seconds.")
            self._pending += 1
        future = self._threads.submit(work)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self.seconds) as limit:
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if limit.expired():
                raise busy(f"This took longer than {self.seconds:g} s; ask for less, or try again later.") from None
            raise

    def _done(self, _: "Future[T]") -> None:
        with self._lock:
            self._pending -= 1

    def close(self) -> None:
        """No more work; what waits is dropped, what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Stop:
    """Says when long work should give up: its time is over, its client went away, or the server shuts down."""

    def __init__(self, seconds: float, closing: threading.Event) -> None:
        self._seconds, self._closing = seconds, closing
        self._gone = threading.Event()
        self._end: float | None = None

    def start(self) -> None:
        """The time begins when the work does, not while it waits."""
        self._end = monotonic() + self._seconds

    def give_up(self) -> None:
        self._gone.set()

    def __call__(self) -> bool:
        return self._gone.is_set() or self._closing.is_set() or (self._end is not None and monotonic() > self._end)

    def check(self, *_: object) -> None:
        """A progress callback that ends the work.

        Raises:
            RefusedError: 503, it is time.
        """
        if self():
            raise busy(f"The work was given up after {self._seconds:g} s; ask for less, or use the command line.")


async def unless_gone(request: Request, stop: Stop, lane: Lane, work: Callable[[], T]) -> T:
    """`lane.run(work)`, given up when the client hangs up."""

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(_LOOK_SECONDS)
        stop.give_up()

    def timed() -> T:
        stop.check()
        stop.start()
        return work()

    watcher = asyncio.create_task(watch())
    try:
        return await lane.run(timed)
    finally:
        stop.give_up()
        watcher.cancel()
