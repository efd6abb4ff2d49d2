"""What a worker may use for one job: CPU seconds, which grow with what the job gets done, and memory."""

import math
import resource
import signal
import time

FIRST_CPU_SECONDS = 30.0
"""What a job may use before it has got anything done."""
MEMORY_BYTES = 2 * 2**30
"""Of one worker. A picture of 8K at 12 bits in 4:4:4 takes 0.3 GiB, and a decoder holds a few."""

_limit: float | None = None
"""Process time at which the kernel ends this worker; None in a process that is none."""


def start_job() -> None:
    """Called by a worker before each job."""
    global _limit
    _limit = time.process_time() + FIRST_CPU_SECONDS
    _tell_kernel(_limit)


def allow_cpu_seconds(seconds: float) -> None:
    """Something was done: the job may go on for so much longer. CPU time counts, so that a busy machine ends no job.

    Outside a worker nothing is limited.
    """
    global _limit
    if _limit is None:
        return
    before, _limit = _limit, _limit + seconds
    if math.ceil(_limit) != math.ceil(before):
        _tell_kernel(_limit)


def limit_memory() -> None:
    """Called once by a worker. Allocations beyond `MEMORY_BYTES` fail, which decoders report as an error."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_at_most(MEMORY_BYTES, hard), hard))


def memory_limit_bytes() -> int | None:
    """The bound on this process; None where it is no worker."""
    return None if _limit is None else MEMORY_BYTES


def _tell_kernel(limit: float) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(math.ceil(limit), hard), hard))


def _at_most(wanted: int, hard: int) -> int:
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
