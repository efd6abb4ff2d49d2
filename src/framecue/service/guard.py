"""Who may ask: the token, the names this server goes by, and the headers that keep pages of others out."""

import hmac
import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framecue.errors import UsageError
from framecue.service.refusals import answer

COOKIE = "framecue_token"
OPEN_PATHS = frozenset(("/", "/health"))
"""The page holds nothing of the index: what it shows it asks for, and says when a token is needed."""
OPEN_FOLDER = "/static/"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}")
_MAX_TOKEN_FILE_BYTES = 4096

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def checked_token(token: str, origin: str) -> str:
    """The token, fit for a header and a cookie.

    Args:
        origin: where it was found, for the message; the token itself is never shown.

    Raises:
        UsageError: it is too short, or has other characters.
    """
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"{origin}: a token is 16 to 256 letters, digits and -._~+/=, found {len(token)} characters"
            f"{'' if len(token) < 16 else ' or others among them'}; make one with "
            "`python -c 'import secrets; print(secrets.token_urlsafe())'`."
        )
    return token


def read_token(path: Path) -> str:
    """The token in a file, without white space around it.

    Raises:
        UsageError: no such file, or no token in it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_TOKEN_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        why = error.strerror
        raise UsageError(f"Token file {path} cannot be read: {why}; check the path and its rights.") from error
    return checked_token(text.strip(), f"Token file {path}")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other machine reaches."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def same(given: str, token: str) -> bool:
    """Compares in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


class SecurityHeaders:
    """Adds them to every answer; where a route says nothing of caching, nothing is cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_guarded)


class Guard:
    """Answers strangers itself and lets others through.

    Without a token only requests to a loopback name are answered: a page elsewhere whose name was bent to this
    machine (DNS rebinding) asks under its own name. With a token its cookie is bound to the name, and that suffices.
    Requests that another site's page makes are refused by their Origin.
    """

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is None:
            await self._app(scope, receive, send)
        else:
            status, line = refused
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            await answer(status, line, headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        if self._token is None and not is_loopback(_name(host)):
            return 400, f"This server answers to localhost and 127.0.0.1 alone, found Host {host[:80]!r}."
        origin = headers.get("origin")
        if origin is not None and _host_of(origin) != host.lower():
            return 403, f"Requests of pages from elsewhere are not answered, found Origin {origin[:80]!r}."
        if self._token is None or path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or self._knows_token(headers):
            return None
        return 401, "A token is needed: open the page with it, or send it as `Authorization: Bearer TOKEN`."

    def _knows_token(self, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(given.strip(), self._token):
            return True
        return same(_cookie(headers), self._token)


def _name(host: str) -> str:
    """Host without its port: "[::1]:80" -> "[::1]"."""
    return re.sub(r":\d{1,5}$", "", host).lower()


def _host_of(origin: str) -> str | None:
    """Host and port; None where it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _cookie(headers: Headers) -> str:
    """Read one by one: what other servers on this machine set comes along, and may be malformed."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
