"""The bounded folder of pictures, and the lanes in which work waits."""

import asyncio
import errno
import os
import threading
import time

import pytest
from fastapi import Request

from framecue.service.cache import DiskCache
from framecue.service.refusals import RefusedError
from framecue.service.work import Lane, Stop, unless_gone

OWNER = "5" * 64


@pytest.fixture
def counts():
    return []


def make_cache(folder, counts, max_bytes=1000):
    async def run(work):
        await asyncio.to_thread(work)

    return DiskCache(folder, max_bytes=max_bytes, run=run, count=counts.append)


def writer(content: bytes, calls: list):
    def write(path):
        calls.append(path)
        path.write_bytes(content)

    return write


def test_made_once_and_kept(tmp_path, counts):
    calls = []

    async def ask():
        cache = make_cache(tmp_path / "cache", counts)
        first = await cache.get(OWNER, ("a", 1), ".jpg", writer(b"one", calls))
        assert first.read_bytes() == b"one"
        assert await cache.get(OWNER, ("a", 1), ".jpg", writer(b"two", calls)) == first
        other = await cache.get(OWNER, ("a", 2), ".jpg", writer(b"three", calls))
        assert other.read_bytes() == b"three"

    asyncio.run(ask())
    assert len(calls) == 2
    assert counts == ["miss", "hit", "miss"]


def test_the_longest_unused_goes_first(tmp_path, counts):
    calls = []

    async def ask():
        cache = make_cache(tmp_path, counts, max_bytes=350)
        kept = await cache.get(OWNER, (0,), ".x", writer(bytes(100), calls))
        gone = await cache.get(OWNER, (1,), ".x", writer(bytes(100), calls))
        last = await cache.get(OWNER, (2,), ".x", writer(bytes(100), calls))
        for age, path in enumerate((last, kept, gone)):
            os.utime(path, ns=(0, time.time_ns() - age * 10**9))
        newest = await cache.get(OWNER, (3,), ".x", writer(bytes(100), calls))
        assert [path.exists() for path in (kept, gone, last, newest)] == [True, False, True, True]
        assert cache.num_bytes == 300

    asyncio.run(ask())


def test_what_is_too_large_alone_is_still_given(tmp_path, counts):
    async def ask():
        cache = make_cache(tmp_path, counts, max_bytes=10)
        assert (await cache.get(OWNER, (0,), ".x", writer(bytes(100), []))).exists()
        assert (await cache.get(OWNER, (1,), ".x", writer(bytes(100), []))).exists()

    asyncio.run(ask())
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_from_before_counts(tmp_path, counts):
    for i in range(20):
        (tmp_path / f"{OWNER}.{i:064x}.jpg").write_bytes(bytes(100))
    cache = make_cache(tmp_path, counts)
    assert 0 < cache.num_bytes <= 1000
    assert len(list(tmp_path.iterdir())) == cache.num_bytes // 100


def test_files_of_others_in_the_folder_are_left_alone(tmp_path, counts):
    (tmp_path / "thesis.mp4").write_bytes(bytes(5000))
    (tmp_path / "folder").mkdir()
    assert make_cache(tmp_path, counts).num_bytes == 0
    assert (tmp_path / "thesis.mp4").exists()


def test_one_computation_for_all_who_wait(tmp_path, counts):
    calls, go = [], threading.Event()

    def write(path):
        calls.append(path)
        go.wait(10)
        path.write_bytes(b"x")

    async def ask():
        cache = make_cache(tmp_path, counts)
        waiting = [asyncio.create_task(cache.get(OWNER, ("k",), ".x", write)) for _ in range(5)]
        await asyncio.sleep(0.1)
        waiting[0].cancel()  # the one who asked first hangs up
        go.set()
        found = await asyncio.gather(*waiting[1:])
        assert all(path.read_bytes() == b"x" for path in found)

    asyncio.run(ask())
    assert len(calls) == 1


def test_what_fails_is_not_kept(tmp_path, counts):
    def write(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    async def ask():
        cache = make_cache(tmp_path, counts)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                await cache.get(OWNER, ("k",), ".x", write)
        assert list(tmp_path.iterdir()) == []
        assert (await cache.get(OWNER, ("k",), ".x", writer(b"whole", []))).read_bytes() == b"whole"

    asyncio.run(ask())


def test_a_folder_that_cannot_be_written_is_replaced(tmp_path, counts):
    (tmp_path / "cache").write_text("a file is in the way")

    async def ask():
        cache = make_cache(tmp_path / "cache", counts)
        path = await cache.get(OWNER, ("k",), ".x", writer(b"x", []))
        assert path.read_bytes() == b"x"
        cache.close()
        assert not path.exists()

    asyncio.run(ask())


def test_a_long_queue_is_refused():
    go = threading.Event()

    async def ask():
        lane = Lane("pictures", workers=1, max_waiting=2, seconds=10)
        waiting = [asyncio.create_task(lane.run(lambda: go.wait(10))) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(RefusedError, match="wait for pictures") as caught:
            await lane.run(lambda: None)
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "5")
        go.set()
        assert await asyncio.gather(*waiting) == [True] * 3
        assert await lane.run(lambda: "again") == "again"
        lane.close()

    asyncio.run(ask())


def test_late_work_keeps_its_place_until_it_ends():
    go = threading.Event()

    async def ask():
        lane = Lane("jobs", workers=1, max_waiting=0, seconds=0.05)
        with pytest.raises(RefusedError, match=r"longer than 0\.05 s"):
            await lane.run(lambda: go.wait(10))
        assert lane.pending == 1
        with pytest.raises(RefusedError, match="wait for jobs"):
            await lane.run(lambda: None)
        go.set()
        while lane.pending:
            await asyncio.sleep(0.01)
        assert await lane.run(lambda: 1) == 1
        lane.close()

    asyncio.run(ask())


def test_errors_of_work_come_through():
    def work():
        raise TimeoutError("the work's own")

    async def ask():
        lane = Lane("jobs", workers=1, max_waiting=0, seconds=5)
        with pytest.raises(TimeoutError, match="own"):
            await lane.run(work)
        lane.close()

    asyncio.run(ask())


def test_work_is_given_up_when_its_client_hangs_up():
    async def receive():
        return {"type": "http.disconnect"}

    def work_of(stop):
        def work():
            while True:
                stop.check()
                time.sleep(0.01)

        return work

    async def ask():
        lane = Lane("jobs", workers=1, max_waiting=0, seconds=20)
        stop = Stop(20, threading.Event())
        started = time.monotonic()
        with pytest.raises(RefusedError, match="given up"):
            await unless_gone(Request({"type": "http"}, receive), stop, lane, work_of(stop))
        assert time.monotonic() - started < 10
        lane.close()

    asyncio.run(ask())


def test_work_is_given_up_when_the_server_closes():
    closing = threading.Event()
    stop = Stop(1000, closing)
    stop.start()
    stop.check(1.0, 2.0)
    closing.set()
    with pytest.raises(RefusedError):
        stop.check(1.0, 2.0)
