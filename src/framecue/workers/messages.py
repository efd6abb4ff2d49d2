"""What goes between a worker and its owner: pickled objects over a pipe, their arrays through shared memory."""

import io
import mmap
import os
import pickle
import struct
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

NUM_SLOTS = 3
"""Messages with arrays that may be under way at a time."""
SLOT_BYTES = 32 * 2**20
"""Larger arrays go through the pipe. Memory is taken only as far as it is written."""

_HEAD = struct.Struct("<I")
_ALIGNMENT = 64


class SharedMemory:
    """Memory of two processes without a name, so that nothing is left behind when both are gone."""

    def __init__(self, handle: int | None = None) -> None:
        self.handle = _anonymous_file() if handle is None else handle
        self._map = mmap.mmap(self.handle, NUM_SLOTS * SLOT_BYTES)

    def slot(self, number: int) -> memoryview:
        start = number * SLOT_BYTES
        return memoryview(self._map)[start : start + SLOT_BYTES]

    def close(self) -> None:
        self._map.close()
        os.close(self.handle)


def _anonymous_file() -> int:
    size = NUM_SLOTS * SLOT_BYTES
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("framecue")
    else:
        handle, name = tempfile.mkstemp(prefix="framecue-")
        os.unlink(name)
    os.ftruncate(handle, size)
    return handle


def send(handle: int, data: bytes) -> None:
    """One message down a pipe.

    Raises:
        BrokenPipeError: the other side is gone.
    """
    left = memoryview(_HEAD.pack(len(data)) + data)
    while left:
        left = left[os.write(handle, left) :]


def receive(read: Callable[[int], bytes]) -> bytes:
    """One message; `read` gives that many bytes.

    Raises:
        EOFError: the other side is gone.
    """
    return read(_HEAD.unpack(read(_HEAD.size))[0])


def read_exactly(handle: int, num_bytes: int) -> bytes:
    """
    Raises:
        EOFError: the pipe ends before.
    """
    parts: list[bytes] = []
    while num_bytes:
        part = os.read(handle, min(num_bytes, 2**20))
        if not part:
            raise EOFError
        parts.append(part)
        num_bytes -= len(part)
    return b"".join(parts)


def pack(value: object, slot: Callable[[], tuple[int, memoryview]]) -> bytes:
    """
    Args:
        slot: gives the number of a free slot and its memory; called only where there are arrays that fit.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = io.BytesIO()
    _Pickler(head, protocol=5, buffer_callback=buffers.append).dump(value)
    raw = [buffer.raw() for buffer in buffers]
    if not raw or sum(_padded(part.nbytes) for part in raw) > SLOT_BYTES:
        return pickle.dumps((head.getvalue(), None, [bytes(part) for part in raw]))
    number, memory = slot()
    places, end = [], 0
    for part in raw:
        memory[end : end + part.nbytes] = part
        places.append((end, part.nbytes))
        end += _padded(part.nbytes)
    return pickle.dumps((head.getvalue(), number, places))


def unpack(data: bytes, memory: SharedMemory) -> tuple[Any, int | None]:
    """The object, and the slot that is free again now; its arrays are copies."""
    head, number, parts = pickle.loads(data)
    if number is not None:
        shared = memory.slot(number)
        parts = [bytearray(shared[start : start + size]) for start, size in parts]
    return pickle.loads(head, buffers=parts), number


class _Pickler(pickle.Pickler):
    """Arrays whose axes are merely turned are sent as they lie in memory."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.ndarray and not (value.flags.c_contiguous or value.flags.f_contiguous):
            axes = np.argsort([-stride for stride in value.strides], kind="stable").tolist()
            lying = value.transpose(axes)
            if lying.flags.c_contiguous:
                return _turned, (lying, np.argsort(axes).tolist())
        return NotImplemented


def _turned(lying: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return lying.transpose(axes)


def _padded(num_bytes: int) -> int:
    return -(-num_bytes // _ALIGNMENT) * _ALIGNMENT
