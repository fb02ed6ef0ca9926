"""The pages, their paths, and their headers for security and caches."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template
from types import MappingProxyType
from typing import Final

from fastapi import Request, Response
from starlette.responses import HTMLResponse
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from shoal.api.errors import method_not_allowed, unknown_route
from shoal.api.links import base_url
from shoal.api.replies import reply
from shoal.api.request_log import TEMPLATE

__all__ = ["Site"]

Page = Callable[[Request], Response]

_FILES: Final = files("shoal.api.site") / "files"
_METHODS: Final = ("GET", "HEAD")
_MEDIA: Final = MappingProxyType(
    {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
)
_MAX_SHOWN_PATH: Final = 200
_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REFERENCE_POLICY: Final = (
    # Swagger UI sets inline styles and embeds its icons as data URLs; it fetches the OpenAPI file and calls the API.
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Site:
    """ASGI application of the pages; 404 everywhere else, as a page for browsers and as an API error for programs."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {"/": _welcome, "/docs": _reference} | {
            f"/docs/{name}": _make_file_page(name)
            for name in (
                "icon.svg", "page.css", "reference.css", "reference.js",
                "swagger_ui/swagger-ui.css", "swagger_ui/swagger-ui-bundle.js",
            )
        }  # fmt: skip

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        request, page = Request(scope, receive), self._pages.get(scope["path"])
        if page is None:
            answer = _not_found(request)
            answer.headers["Vary"] = "Accept, Authorization"  # by which `api/mounts.py` may choose the API instead
        elif request.method not in _METHODS:
            answer = method_not_allowed(request.method, _METHODS)
        else:
            scope[TEMPLATE] = scope["path"]
            answer = page(request)
        for name, value in _HEADERS.items():
            answer.headers[name] = value
        answer.headers.setdefault("Content-Security-Policy", _POLICY)
        answer.headers.setdefault("Cache-Control", "no-cache")
        await answer(scope, receive, send)


def _welcome(request: Request) -> Response:
    answer = _html_welcome(request) if accepts_html(request) else _json_welcome(request)
    answer.headers["Vary"] = "Accept"
    return answer


def _html_welcome(request: Request) -> Response:
    return _html("welcome.html", version=version("shoal"), base=base_url(request))


def _json_welcome(request: Request) -> Response:
    base = base_url(request)
    at = {name: base + path for name, path in (("api", "/v1"), ("docs", "/docs"), ("openapi", "/openapi.json"))}
    return reply({"name": "Shoal", "version": version("shoal"), **at, "health": f"{base}/health"})


def _reference(request: Request) -> Response:
    answer = _html("reference.html")
    answer.headers["Content-Security-Policy"] = _REFERENCE_POLICY
    return answer


def _make_file_page(name: str) -> Page:
    media = _MEDIA[name.rpartition(".")[2]]

    def serve_file(request: Request) -> Response:
        """Answer 304 to a client that has this content. The names carry no version, so a cache must ask each time."""
        validator = {"ETag": _etag(name)}
        if _matches(request, validator["ETag"]):
            return Response(status_code=304, headers=validator)
        return Response(_content(name), media_type=media, headers=validator)

    return serve_file


def _matches(request: Request, etag: str) -> bool:
    """Whether `If-None-Match` lists the entity tag, by the weak comparison of RFC 9110."""
    listed = {tag.strip().removeprefix("W/") for tag in ",".join(request.headers.getlist("if-none-match")).split(",")}
    return etag in listed or "*" in listed


def _not_found(request: Request) -> Response:
    path: str = request.scope["path"]
    if not asks_for_html(request):
        return unknown_route(request.method, path)
    shown = path if len(path) <= _MAX_SHOWN_PATH else f"{path[:_MAX_SHOWN_PATH]}…"
    return _html("not_found.html", 404, path=shown)


def _html(name: str, status: int = 200, **values: str) -> Response:
    text = Template(_content(name).decode()).substitute({key: escape(value) for key, value in values.items()})
    return HTMLResponse(text, status)


@cache
def _content(name: str) -> bytes:
    return (_FILES / name).read_bytes()


@cache
def _etag(name: str) -> str:
    return f'"{hashlib.sha256(_content(name)).hexdigest()[:32]}"'


def accepts_html(request: Request) -> bool:
    """Whether the client accepts HTML, as do clients without a preference such as curl."""
    accepted = request.headers.get("accept", "*/*")
    return "text/html" in accepted or "application/json" not in accepted


def asks_for_html(request: Request) -> bool:
    """Whether the client explicitly prefers HTML, as browsers do."""
    return "text/html" in request.headers.get("accept", "")
