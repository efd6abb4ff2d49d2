"""One thread for small tensors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread for tensors: these are small, threads that wait for each other cost more than they do, above all on a
    busy machine, and so the results do not depend on the number of cores. Decoding has a thread of its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
