"""The application: routes over a collection, errors as one line, and the guards around all of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from framecue import __version__
from framecue.api.collection import Collection
from framecue.service import job_routes, media_routes, page_routes, refusals, search_routes
from framecue.service.guard import Guard, SecurityHeaders, checked_token
from framecue.service.observe import Observe
from framecue.service.schemas import ErrorAnswer
from framecue.service.settings import ServiceSettings
from framecue.service.state import Service

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "The request is refused, in one line."},
    "5XX": {"model": ErrorAnswer, "description": "The server cannot answer now, in one line."},
}


def create_app(collection: Collection, *, token: str | None = None, settings: ServiceSettings | None = None) -> FastAPI:
    """The service over one collection, for any ASGI server; one process, since it holds the model.

    Args:
        collection: an open index; other processes may write to it while it is served.
        token: that every request must know, but for the page's own files and /health. None = requests to loopback names
            alone are answered; listen on loopback then.
        settings: bounds; None = the usual ones.

    Raises:
        UsageError: a token that does not fit a header and a cookie.
    """
    if token is not None:
        checked_token(token, "The token")
    service = Service(collection, token=token, settings=settings or ServiceSettings())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="framecue",
        description="Search a collection of videos by what is seen in them. Times are seconds.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=ERRORS,
        redirect_slashes=False,
    )
    app.state.service = service
    for routes in (search_routes, job_routes, media_routes, page_routes):
        app.include_router(routes.router)
    refusals.install(app)
    # The last one added is the outermost.
    app.add_middleware(Guard, token=token)
    app.add_middleware(Observe, metrics=service.metrics)
    app.add_middleware(SecurityHeaders)
    return app
