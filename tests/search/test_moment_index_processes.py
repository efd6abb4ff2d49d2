"""Several processes at one index: whole commits only, one writer, and no trace of a killed one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pytest
from moment_videos import BINDING, make_video, video_id

from framecue.errors import MomentIndexError
from framecue.search import IndexSettings, MomentIndex

GROUP = 7
SMALL = IndexSettings(exact_below=150)

PRELUDE = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from moment_videos import make_video, video_id
from framecue.search import IndexSettings, MomentIndex
index = MomentIndex.open(Path(sys.argv[1]), settings=IndexSettings(exact_below=150))
def group(number):
    return [make_video(100 * number + k) for k in range({GROUP})]
def say(text):
    print(text, flush=True)
"""
HOLD = PRELUDE + "with index.writing():\n    say('holding')\n    sys.stdin.read()"
CHURN = (
    PRELUDE
    + """
for step in range(int(sys.argv[2])):
    say(f"adding {step}")
    index.add(group(step))
    say(f"added {step}")
    if step % 3 == 2:
        say(f"removing {step - 1}")
        index.remove(item.video.video_id for item in group(step - 1))
        say(f"removed {step - 1}")
"""
)


class Worker:
    """A Python process that says what it does, line by line; killed at the end of the test, by its own id."""

    def __init__(self, code: str, *arguments: object) -> None:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.lines: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def wait_for(self, line: str) -> None:
        deadline = time.monotonic() + 60
        while line not in self.lines:
            assert self.process.poll() is None or line in self.lines, self.process.communicate()[1]
            assert time.monotonic() < deadline, f"{line!r} was never said"
            time.sleep(0.005)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._listener.join()

    def finish(self) -> None:
        _, errors = self.process.communicate(timeout=120)
        self._listener.join()
        assert self.process.returncode == 0, errors


@pytest.fixture
def index(tmp_path: Path) -> MomentIndex:
    return MomentIndex.create(tmp_path / "index", BINDING, settings=SMALL)


@pytest.fixture
def holder(index: MomentIndex) -> Iterator[Worker]:
    worker = Worker(HOLD, index.path)
    worker.wait_for("holding")
    yield worker
    worker.kill()


def groups_in(index: MomentIndex) -> set[int]:
    """Which groups are there; none may be there in part."""
    number_of = {video_id(100 * number + k): number for number in range(100) for k in range(GROUP)}
    counts: dict[int, int] = {}
    for video in index.videos():
        counts[number_of[video.video_id]] = counts.get(number_of[video.video_id], 0) + 1
    assert set(counts.values()) <= {GROUP}, f"a commit is there in part: {counts}"
    return set(counts)


def test_a_second_writer_is_refused_and_told_who_the_first_is(index: MomentIndex, holder: Worker) -> None:
    for write in (lambda: index.add([make_video(0)]), lambda: index.remove(["a"]), index.rebuild, index.purge):
        with pytest.raises(MomentIndexError, match="one writer at a time") as error:
            write()
        message = str(error.value)
        assert f"process {holder.process.pid}, since 20" in message
        assert "\n" not in message
    assert index.videos() == []
    assert index.search(make_video(0).whole, top_k=1).hits == [[]]


def test_a_killed_writer_leaves_no_lock(index: MomentIndex, holder: Worker) -> None:
    holder.kill()
    index.add([make_video(0)])
    assert len(index.videos()) == 1


def test_one_writer_among_threads_and_objects_too(index: MomentIndex) -> None:
    other, refused = MomentIndex.open(index.path), []

    def write() -> None:
        try:
            index.add([make_video(1)])
        except MomentIndexError as error:
            refused.append(str(error))

    with index.writing(), index.writing():
        index.add([make_video(0)])
        with pytest.raises(MomentIndexError, match=f"process {os.getpid()}"):
            other.add([make_video(1)])
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert len(refused) == 1
    other.add([make_video(1)])
    write()
    assert len(refused) == 1
    assert len(index.videos()) == 2


def test_an_error_while_writing_frees_the_lock_and_keeps_what_was_committed(index: MomentIndex) -> None:

    def write() -> None:
        with index.writing():
            index.add([make_video(0)])
            raise KeyError

    with pytest.raises(KeyError):
        write()
    MomentIndex.open(index.path).add([make_video(1)])
    assert len(index.videos()) == 2


def test_readers_see_whole_commits_while_a_writer_is_at_work(index: MomentIndex) -> None:
    steps = 24
    writer = Worker(CHURN, index.path, steps)
    rng, found_there, found_gone = np.random.default_rng(0), 0, 0
    try:
        while writer.process.poll() is None:
            number, k = int(rng.integers(steps)), int(rng.integers(GROUP))
            item = make_video(100 * number + k)
            before = list(writer.lines)
            found = index.search(item.vectors[2], top_k=3)
            after = list(writer.lines)
            # What the writer says after a commit can be late, never early.
            there = any(hit.video.video_id == item.video.video_id for hit in found.hits[0])
            if f"added {number}" in before and f"removing {number}" not in after:
                assert there or f"removing {number}" in wait_a_moment(writer), f"video of group {number} is lost"
                found_there += there
            if f"removed {number}" in before:
                assert not there, f"video of group {number} is a ghost"
                found_gone += 1
            assert found.num_videos % GROUP == 0
            groups_in(index)
        writer.finish()
    finally:
        writer.kill()
    assert found_there > 5
    assert found_gone > 2
    assert groups_in(index) == {step for step in range(steps) if step % 3 != 1}
    assert index.status().neighbours == "approximate"


def wait_a_moment(worker: Worker) -> list[str]:
    """What was said by now, where the line may still be on its way."""
    time.sleep(0.2)
    return list(worker.lines)


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_killed_at_any_moment_leaves_whole_commits(index: MomentIndex, seed: int) -> None:
    writer = Worker(CHURN, index.path, 90)
    writer.wait_for(f"adding {3 + 4 * seed}")
    time.sleep(float(np.random.default_rng(seed).uniform(0, 0.05)))
    writer.kill()
    done = {int(line.split()[1]) for line in writer.lines if line.startswith("added")}
    gone = {int(line.split()[1]) for line in writer.lines if line.startswith("removed")}
    begun = {int(line.split()[1]) for line in writer.lines if line.startswith(("adding", "removing"))}
    there = groups_in(index)
    last = int(writer.lines[-1].split()[1])
    assert (done - gone) - {last} <= there <= begun
    assert there.isdisjoint(gone - {last})
    for number in there:
        item = make_video(100 * number)
        hit = index.search(item.vectors[0], top_k=1).hits[0][0]
        assert hit.video.video_id == item.video.video_id
    with index.writing():
        index.add([make_video(100 * 99 + k) for k in range(GROUP)])
    index.purge()
    assert groups_in(index) == there | {99}
    assert groups_in(MomentIndex.open(index.path, settings=SMALL)) == there | {99}
    named = {
        file.path
        for piece in lance.dataset(str(index.path / "moments.lance")).get_fragments()
        for file in piece.data_files()
    }
    assert {file.name for file in (index.path / "moments.lance" / "data").iterdir()} == named, "nothing is left behind"


def test_threads_share_one_index_while_it_changes(index: MomentIndex) -> None:
    index.add([make_video(seed) for seed in range(60)])
    stop, failures = threading.Event(), []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            while not stop.is_set():
                item = make_video(int(rng.integers(60)))
                assert index.search(item.vectors[1], top_k=2).hits[0][0].video == item.video
                assert index.search(item.whole, top_k=1, level="video").hits[0][0].video == item.video
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for seed in range(60, 80):
        index.add([make_video(seed)])
    index.rebuild()
    index.remove(video_id(seed) for seed in range(60, 80))
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
