"""Errors as answers: a status and one line."""

import errno
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from framecue.errors import FramecueError, MomentIndexError, PromptTooLongError, UsageError, VideoError

RETRY_SECONDS = "5"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class RefusedError(FramecueError):
    """A request that is not answered as asked.

    Args:
        status: of HTTP.
        message: one line for people.
        reason: one word for the metrics, where it is an upload.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, *, reason: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers or {}


def busy(message: str) -> RefusedError:
    """Come again later."""
    return RefusedError(503, message, reason="busy", headers={"Retry-After": RETRY_SECONDS})


def shown(text: object) -> str:
    """One line in text that JSON can hold: file names may have line breaks, and bytes that are no UTF-8."""
    return " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())


def answer(status: int, message: object, headers: dict[str, str] | None = None) -> JSONResponse:
    """The one form of every error."""
    return JSONResponse({"error": shown(message)}, status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Makes every foreseen error one line; the unforeseen are caught around the whole application."""
    handlers: dict[Any, Any] = {
        FramecueError: _framecue,
        OSError: _system,
        RequestValidationError: _validation,
        HTTPException: _http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _status(error: FramecueError) -> int:
    if isinstance(error, RefusedError):
        return error.status
    if isinstance(error, UsageError | PromptTooLongError | VideoError):
        return 422
    return 503 if isinstance(error, MomentIndexError) else 500


def is_disk_full(error: BaseException | None) -> bool:
    return getattr(error, "errno", None) in _DISK_FULL


def _full() -> JSONResponse:
    return answer(503, "The disk of the server is full; free some space on it.", {"Retry-After": RETRY_SECONDS})


async def _framecue(request: Request, error: FramecueError) -> JSONResponse:
    if is_disk_full(error.__cause__):
        return _full()
    return answer(_status(error), error, error.headers if isinstance(error, RefusedError) else None)


async def _system(request: Request, error: OSError) -> JSONResponse:
    """Only a full disk is foreseen of the system's errors."""
    if not is_disk_full(error):
        raise error
    return _full()


async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
    return answer(422, validation_line(error.errors()))


def validation_line(errors: Any) -> str:
    """The first of pydantic's complaints, with its field."""
    first = errors[0]
    place = [str(part) for part in first["loc"]]
    if len(place) > 1 and place[0] in ("query", "path", "body"):
        place = place[1:]
    field = ".".join(place) or "the request"
    found = f", found {str(first['input'])[:60]!r}" if isinstance(first.get("input"), str | int | float) else ""
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{field}: {first['msg']}{found}{more}; /docs lists what is taken."


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == 404:
        return answer(404, f"There is nothing at {request.url.path[:200]}; /docs lists what there is.")
    return answer(error.status_code, error.detail, dict(error.headers or {}))
