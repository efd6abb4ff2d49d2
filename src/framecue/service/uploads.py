"""Files that clients send: received up to a size, looked at, and removed from their temporary folder in any case."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from framecue.errors import UsageError, VideoError
from framecue.service.refusals import RefusedError, busy, shown
from framecue.service.settings import ServiceSettings
from framecue.video.containers import count_pixels
from framecue.video.reader import probe

_PREFIX = "framecue-upload"
_FORM_BYTES = 64 * 2**10
"""Room for the fields and the borders of a form beside its file."""
_MAX_FIELDS = 40
_MAX_NAME_LETTERS = 80
_MAX_IMAGE_PIXELS = 50 * 10**6
_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


@dataclass(frozen=True)
class Upload:
    """A file that a client sent.

    Attributes:
        path: where it lies, until the request is answered.
        name: as the client calls it, for people.
        is_image: a still picture; else a video.
        fields: of the form, by name, in order.
    """

    path: Path
    name: str
    is_image: bool
    fields: dict[str, list[str]]

    def in_its_name(self, error: VideoError | UsageError) -> VideoError | UsageError:
        """The error without the temporary path."""
        return type(error)(str(error).replace(str(self.path), self.name))


class Uploads:
    """Receives forms with one file, a few at a time.

    Args:
        rejected: told in one word why an upload was refused.
    """

    def __init__(self, settings: ServiceSettings, *, rejected: Callable[[str], None]) -> None:
        self._settings, self._rejected = settings, rejected
        self._num_inside = 0
        remove_stale()

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[Upload]:
        """The form's field `file`, and its other fields.

        Raises:
            RefusedError: 408, 413, 415, 422 or 503, one line each.
        """
        if self._num_inside >= self._settings.max_uploads:
            self._rejected("busy")
            raise busy(f"{self._num_inside} uploads are being worked on; try again in a few seconds.")
        self._num_inside += 1
        try:
            # The folder is made and removed in this thread: a request that is cancelled waits for no other.
            with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}-{os.getpid()}-", ignore_cleanup_errors=True) as folder:
                yield await self._take(request, Path(folder))
        except RefusedError as error:
            if error.reason:
                self._rejected(error.reason)
            raise
        finally:
            self._num_inside -= 1

    async def _take(self, request: Request, folder: Path) -> Upload:
        limited = Request(request.scope, limited_receive(request, self._settings.max_upload_bytes))
        try:
            async with asyncio.timeout(self._settings.upload_seconds):
                form = await limited.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_FORM_BYTES)
        except TimeoutError:
            seconds = self._settings.upload_seconds
            raise RefusedError(408, f"The upload took longer than {seconds:g} s; send less.", reason="slow") from None
        async with form_closed(form):
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise RefusedError(422, "The form has no file in its field `file`; choose one.", reason="empty")
            if (file.size or 0) > self._settings.max_upload_bytes:
                raise too_large(self._settings.max_upload_bytes)
            name = display_name(file.filename or "")
            path = folder / name
            await asyncio.to_thread(_copy, file, path)
            fields: dict[str, list[str]] = {}
            for key, value in form.multi_items():
                if isinstance(value, str):
                    fields.setdefault(key, []).append(value)
        is_image = await asyncio.to_thread(self._look_at, path, name)
        return Upload(path, name, is_image, fields)

    def _look_at(self, path: Path, name: str) -> bool:
        """Whether it is an image; it is what its content says, not its name or its type.

        Raises:
            RefusedError: 415, it is neither image nor video; 422, it is too much work.
        """
        if self._is_image(path, name):
            return True
        try:
            pixels = count_pixels(path)
            if pixels > self._settings.max_upload_pixels:
                raise RefusedError(
                    422,
                    f"{name}: it has {pixels / 1e9:.0f} billion pixels in all its frames, at most "
                    f"{self._settings.max_upload_pixels / 1e9:.0f} are taken; send a shorter or smaller video.",
                    reason="pixels",
                )
            probe(path)
        except VideoError as error:
            line = str(error).replace(str(path), name)
            raise RefusedError(415, line, reason="type") from error
        return False

    def _is_image(self, path: Path, name: str) -> bool:
        try:
            with Image.open(path, formats=_IMAGE_FORMATS) as image:
                width, height = image.size
                if width * height > _MAX_IMAGE_PIXELS:
                    raise RefusedError(
                        422,
                        f"{name}: an image may have {_MAX_IMAGE_PIXELS / 1e6:.0f} million pixels, found {width} x "
                        f"{height}; make it smaller.",
                        reason="pixels",
                    )
                image.load()
                return True
        except Image.DecompressionBombError as error:
            raise RefusedError(422, f"{name}: {error}; make it smaller.", reason="pixels") from error
        except (OSError, ValueError, SyntaxError):
            return False


def limited_receive(request: Request, max_bytes: int) -> Receive:
    """A form with one file as it comes in, until it is too much, whatever its Content-Length says.

    Raises:
        RefusedError: 413, at once where Content-Length says so already.
    """
    declared, most = request.headers.get("content-length", ""), max_bytes + _FORM_BYTES
    if declared.isdecimal() and int(declared) > most:
        raise too_large(max_bytes)
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most:
            raise too_large(max_bytes)
        return message

    return receive


def too_large(max_bytes: int) -> RefusedError:
    size = f"{max_bytes / 2**20:.0f} MiB" if max_bytes >= 2**20 else f"{max_bytes / 2**10:.0f} KiB"
    return RefusedError(
        413, f"At most {size} are taken at once; send less.", reason="size", headers={"Connection": "close"}
    )


def display_name(sent: str) -> str:
    """What a client calls a file, made fit for a file name, a message and FFmpeg, which reads % as a pattern."""
    name = re.sub(r"[^\w.\- ]", "_", shown(re.split(r"[/\\]", sent)[-1]))[-_MAX_NAME_LETTERS:].strip(". ")
    return name.encode("utf-8")[-_MAX_NAME_LETTERS:].decode("utf-8", "ignore") or "upload"


def remove_stale() -> None:
    """Removes what servers left behind that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*-*"):
        pid = folder.name.split("-")[2]
        if pid.isdecimal() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _copy(file: UploadFile, path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target, 2**20)


@asynccontextmanager
async def form_closed(form: FormData) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):
            await form.close()
