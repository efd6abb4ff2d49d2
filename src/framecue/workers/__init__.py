"""Functions in processes of their own: a file that crashes, hangs or floods its decoder takes nothing else down.

`call` and `stream` run an importable function in a worker, a fresh interpreter that imports only what the function
needs. Workers are started as plain subprocesses, not by multiprocessing, so that they work from a notebook, a script
without a main guard, standard input and a daemon process. Arrays come back through memory that both sides share.
"""

from framecue.workers.limits import allow_cpu_seconds, memory_limit_bytes
from framecue.workers.pool import call, map_ordered, stream

__all__ = ["allow_cpu_seconds", "call", "map_ordered", "memory_limit_bytes", "stream"]
