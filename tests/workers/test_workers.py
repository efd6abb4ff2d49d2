"""Workers: what they are fed and give, how they die, and the places from which they must start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jobs
import numpy as np
import pytest

from framecue.errors import WorkerDiedError
from framecue.workers import call, map_ordered, memory_limit_bytes, pool, stream

HERE = Path(__file__).parent
PROGRAM = f"import sys; sys.path.insert(0, {str(HERE)!r}); import jobs; from framecue.workers import call; "


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> bool:
    end = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not is_running(pid)


def test_a_call_runs_elsewhere_and_workers_are_used_again() -> None:
    assert call(jobs.add, 2, 3) == 5
    first = call(jobs.process_id)
    assert first == call(jobs.process_id) != os.getpid()


def test_workers_are_light() -> None:
    heavy = ("torch", "transformers", "lance", "pyarrow", "pydantic", "matplotlib", "typer")
    assert call(jobs.imported, "av", *heavy) == ["av"]


@pytest.mark.parametrize("size", [1, 1000, 3_000_000])
def test_arrays_come_back_as_they_were(size: int) -> None:
    """The largest do not fit the shared memory."""
    for index, array in enumerate(stream(jobs.arrays, 2 if size > 1000 else 5, size)):
        expected = np.full((3, size, 4), index, dtype=np.uint8).transpose(1, 2, 0)
        assert size == 1 or array.strides == expected.strides
        np.testing.assert_array_equal(array, expected)


def test_a_stream_may_be_left_early() -> None:
    values = stream(jobs.endless)
    assert [next(values) for _ in range(5)] == [0, 1, 2, 3, 4]
    values.close()
    assert call(jobs.add, 1, 1) == 2


def test_errors_are_the_functions_own_and_the_worker_lives_on() -> None:
    worker = call(jobs.process_id)
    with pytest.raises(ValueError, match="no such thing"):
        call(jobs.refuse, "no such thing")
    assert call(jobs.process_id) == worker


@pytest.mark.parametrize(
    ("job", "args", "kind", "reason"),
    [
        (jobs.crash, (), "crash", "SIGSEGV"),
        (jobs.spin, (1.0,), "cpu", "CPU time"),
        (jobs.kill_itself, (), "killed", "memory"),
    ],
)
def test_a_worker_that_dies_takes_nothing_with_it(job, args, kind: str, reason: str) -> None:
    with pytest.raises(WorkerDiedError, match=reason) as died:
        call(job, *args)
    assert died.value.kind == kind
    assert call(jobs.add, 1, 2) == 3


def test_a_worker_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "HANG_SECONDS", 1.5)
    with pytest.raises(WorkerDiedError) as died:
        call(jobs.wait, 60.0)
    assert died.value.kind == "hang"


def test_memory_is_bounded() -> None:
    with pytest.raises(MemoryError):
        call(jobs.take_memory, 2500)
    assert call(jobs.take_memory, 100) == 100 * 2**20
    assert memory_limit_bytes() is None


def test_results_of_many_jobs_come_in_order() -> None:
    assert list(map_ordered(jobs.add, [(number, 1) for number in range(40)], 3)) == list(range(1, 41))


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda code: ([sys.executable, "-"], code), id="standard input"),
        pytest.param(lambda code: ([sys.executable, "-i"], code), id="prompt"),
        pytest.param(lambda code: ([sys.executable, "-c", code], ""), id="command"),
    ],
)
def test_workers_start_where_there_is_no_main_module(start) -> None:
    command, text = start(PROGRAM + "print('sum', call(jobs.add, 20, 3))\n")
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60)
    assert "sum 23" in done.stdout


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM + "print('here'); print('sum', call(jobs.add, 20, 3))\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "here\nsum 23\n"


def test_workers_start_inside_a_daemon_process(tmp_path: Path) -> None:
    script = tmp_path / "daemon.py"
    script.write_text(
        PROGRAM + "import multiprocessing\n"
        "def work():\n    print('sum', call(jobs.add, 20, 3), flush=True)\n"
        "if __name__ == '__main__':\n"
        "    call(jobs.add, 1, 1)\n"  # the fork finds a pool that is not its own
        "    process = multiprocessing.get_context('fork').Process(target=work, daemon=True)\n"
        "    process.start(); process.join()\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "sum 23\n", done.stderr


@pytest.mark.parametrize("job", ["wait, 300.0", "spin, 300.0"])
def test_no_worker_outlives_its_owner(job: str) -> None:
    code = (
        PROGRAM + "import threading, time\n"
        "print(call(jobs.process_id), flush=True)\n"
        f"threading.Thread(target=call, args=(jobs.{job}), daemon=True).start()\n"
        "time.sleep(300)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        time.sleep(0.3)
        assert is_running(worker)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert wait_until_gone(worker)
