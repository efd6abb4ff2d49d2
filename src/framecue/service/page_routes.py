"""The page and its files, /health, /metrics and /docs."""

from html import escape
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from framecue.service.guard import COOKIE, same
from framecue.service.media_routes import REVALIDATED, RangedFile
from framecue.service.refusals import RefusedError
from framecue.service.schemas import HealthAnswer
from framecue.service.state import Served

router = APIRouter()

PAGE_FOLDER = Path(__file__).parent / "page"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
STATIC_FILES = {path.name: path for path in sorted(PAGE_FOLDER.iterdir()) if path.suffix in MEDIA_TYPES}
"""All that is ever served of the folder; a name in a request only chooses among them."""
_COOKIE_SECONDS = 30 * 24 * 3600


@router.head("/", include_in_schema=False)
@router.get("/", include_in_schema=False)
async def page(
    request: Request, service: Served, token: Annotated[str | None, Query(max_length=256)] = None
) -> Response:
    """The page; with the right token, a cookie that lets it ask, and the address without the token."""
    if service.token is None or token is None:
        return static_file("index.html")
    if not same(token, service.token):
        response = static_file("index.html")
        response.status_code = 401
        return response
    signed_in = RedirectResponse("/", status_code=303)
    secure = request.url.scheme == "https"
    signed_in.set_cookie(
        COOKIE, service.token, max_age=_COOKIE_SECONDS, httponly=True, samesite="strict", secure=secure
    )
    return signed_in


@router.head("/static/{name}", include_in_schema=False)
@router.get("/static/{name}", include_in_schema=False)
async def static(name: str) -> Response:
    """A file of the page."""
    return static_file(name)


def static_file(name: str) -> Response:
    """
    Raises:
        RefusedError: 404, the page has no such file.
    """
    path = STATIC_FILES.get(name)
    if path is None:
        raise RefusedError(404, f"The page has no file {name[:80]!r}.")
    return RangedFile(path, headers=REVALIDATED, media_type=MEDIA_TYPES[path.suffix], stat_result=path.stat())


@router.head("/health", include_in_schema=False)
@router.get("/health", tags=["server"])
async def health() -> HealthAnswer:
    """Whether the server answers; it needs no token."""
    return HealthAnswer()


@router.get("/metrics", tags=["server"], response_class=Response)
async def metrics(service: Served) -> Response:
    """Counts and times for Prometheus."""
    text = await service.reads.run(service.metrics.text)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The OpenAPI description as a page of its own: no script, and nothing from elsewhere."""
    return HTMLResponse(docs_page(request.app.openapi()))


def docs_page(openapi: dict[str, Any]) -> str:
    """Every route with what it takes and gives."""
    routes = "".join(
        _route(method, path, operation)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    )
    schemas = "".join(
        f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>'
        f"<ul>{_fields(schema)}</ul>"
        for name, schema in sorted(openapi.get("components", {}).get("schemas", {}).items())
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>framecue: the service</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/static/icon.svg">'
        f"<h1>{escape(openapi['info']['title'])}</h1><p>{escape(openapi['info'].get('description', ''))}</p>"
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a></p>'
        f"{routes}<h2>Answers</h2>{schemas}</html>"
    )


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    taken = "".join(
        f"<li><code>{escape(one['name'])}</code> ({one['in']}"
        f"{', required' if one.get('required') else ''}): {_type(one['schema'])} {escape(one.get('description', ''))}"
        for one in operation.get("parameters", ())
    )
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        taken += f"<li>body {escape(kind)}:<ul>{_fields(body['schema'])}</ul>"
    given = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
        f"<ul>{taken}</ul><p>Answer: {_type(given) if given else 'a file'}</p>"
    )


def _fields(schema: dict[str, Any]) -> str:
    return "".join(
        f"<li><code>{escape(name)}</code>: {_type(field)} {escape(field.get('description', ''))}"
        for name, field in schema.get("properties", {}).items()
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type", "anything")))
