"""What a video file is to a feature store: the hash of its content, found quickly again by path, size and time."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class FileStamp:
    """A file that was hashed before and still has this stamp is taken to be unchanged.

    Attributes:
        path_text: absolute path as text; bytes that are not UTF-8 are written as backslash escapes.
        size_bytes, mtime_ns: of the file itself, behind any link.
    """

    path_text: str
    size_bytes: int
    mtime_ns: int


def stamp_file(path: Path) -> FileStamp:
    """The file's stamp now.

    Raises:
        OSError: there is no such file, or it may not be looked at.
    """
    status = path.stat()
    return FileStamp(path_text(path), status.st_size, status.st_mtime_ns)


def path_text(path: Path) -> str:
    return os.fsencode(os.path.abspath(path)).decode("utf-8", "backslashreplace")


def hash_file(path: Path, *, stop: Callable[[], bool] = lambda: False) -> str:
    """SHA-256 of the file's bytes, in hexadecimal; the hash of a part, of no use, once `stop` says so.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.is_file():  # a pipe or a device would be read for ever
        raise OSError("it is not a regular file")
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while not stop() and (block := file.read(_BLOCK_BYTES)):
            digest.update(block)
    return digest.hexdigest()
