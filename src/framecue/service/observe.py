"""Around every request: what is counted and logged, and the last net for errors that nobody foresaw."""

import json
import logging
from datetime import UTC, datetime
from time import monotonic

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framecue.service.metrics import Metrics
from framecue.service.refusals import answer

log = logging.getLogger("framecue.service")
requests_log = logging.getLogger("framecue.service.requests")


class Observe:
    """Counts and logs a request when its answer is sent; an unforeseen error is a plain 500 and a logged traceback.

    Log lines are JSON, with the path alone: the query may hold a token.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = monotonic(), 0

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_seen)
        except ClientDisconnect:
            pass  # nobody is left to be answered
        except Exception:
            log.exception("unforeseen error at %s %s", scope["method"], ascii(scope["path"]))
            if status == 0:
                await answer(500, "The server met an error that nobody foresaw; its log has more.")(
                    scope, receive, send_seen
                )
        finally:
            self._count(scope, status, monotonic() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._metrics.answered(method, route, status, seconds)
        if requests_log.isEnabledFor(logging.INFO):
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "method": method,
                "path": scope["path"],
                "status": status,
                "seconds": round(seconds, 4),
            }
            requests_log.info(json.dumps(line))
