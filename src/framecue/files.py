"""File names as people and systems write them, and writing that leaves either the whole new file or the old one."""

import errno
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:\\")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def name_form(name: str | os.PathLike[str]) -> str:
    """The form in which names and paths are compared: letters composed, bytes that are no UTF-8 as backslash escapes.

    One name is "é" in one letter on most systems and in two, "e" and an accent, on macOS and on shares that it wrote.
    """
    text = os.fspath(name)
    if text.isascii():
        return text
    try:
        text = os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a letter, which no file name holds
        return text
    return unicodedata.normalize("NFC", text)


class WrittenNames:
    """Finds files by names whose letters are composed where the disk has them decomposed, or the other way round.

    Folders are listed once each, and only those in which a name is looked for in vain.
    """

    def __init__(self) -> None:
        self._entries = cache(_names_by_form)

    def find(self, path: Path) -> Path:
        """The path as the disk has it; as given where it is there, or is not there in any form."""
        if os.fspath(path).isascii() or os.path.lexists(path):
            return path
        folder = self.find(path.parent)
        return folder / self._entries(folder).get(name_form(path.name), path.name)


def _names_by_form(folder: Path) -> dict[str, str]:
    try:
        return {name_form(name): name for name in sorted(os.listdir(folder))}
    except (OSError, ValueError):  # no folder, or a name that no file system takes
        return {}


def backslash_hint(path: str | os.PathLike[str]) -> str:
    """What to add behind "... is not there" where the path was written on Windows, else nothing."""
    text = os.fspath(path)
    if "\\" not in text or os.sep == "\\":
        return ""
    if _WINDOWS_DRIVE.search(text):
        return "; it is a path of Windows, write the one that the file has here"
    return "; the path uses backslashes, write {}".format(text.replace("\\", "/"))


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it takes the place of `path`, else it is removed.

    The temporary file is flushed to disk before the rename, so that a crash cannot leave an empty file under the name.
    Its own name is short, so that whatever name the folder takes can be written.

    Raises:
        OSError: `path` cannot be written, and is the error's `filename`; a name that the folder does not take, or a
            folder in its place, is refused before the block begins.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_name(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        # Of other files that the block uses, the error names them itself.
        if temporary is None or error.filename in (None, str(temporary)):
            with suppress(AttributeError):  # errors of FFmpeg have names of their own
                error.filename = str(path)
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _check_name(path: Path) -> None:
    """
    Raises:
        OSError: the name is too long, or a folder's.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def check_writable(path: str | Path) -> None:
    """To be asked before long work.

    Raises:
        OSError: as `atomic_path`; nothing is written.
    """
    with suppress(_NothingToWrite), atomic_path(path):
        raise _NothingToWrite


class _NothingToWrite(Exception):  # noqa: N818
    pass


def why_not_written(error: OSError) -> str:
    """What kept a file from being written, and the next step; for one line behind the file's name."""
    if error.errno in _FULL:
        return "the disk is full; free some space and run the same command again"
    if error.errno == errno.ENAMETOOLONG:
        return "its name is longer than the folder's file system takes; give the video a shorter name"
    if error.errno == errno.EISDIR:
        return "a folder is in its place; move the folder, or write elsewhere"
    return f"{error.strerror or error}; check that path and its rights"


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically.

    Libraries that write tensors to a path themselves report a full disk in words of their own; bytes written here raise
    the OSError that the command line knows.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))
