"""Counting what the official SDK really sends, and which routes it knows."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import mixpeek
import urllib3

__all__ = ["Calls", "Route", "official_routes", "routes_of"]

_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch"})
_DECLARED: Final = re.compile(r"method='([A-Z]+)',\s*resource_path='([^']+)'")
_PARAMETER: Final = re.compile(r"\{[^}]*\}")


class Route(NamedTuple):
    """A method and a path template whose parameters have no names, since server and SDK name them differently."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Calls:
    """Counts of requests through watched connection pools, by method, path and status."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def watch(self, pool: urllib3.PoolManager) -> None:
        """Count the requests of this pool from now on. Requests and answers pass through unchanged."""
        send: Callable[..., urllib3.BaseHTTPResponse] = pool.request

        def count_and_send(method: str, url: str, *args: Any, **options: Any) -> urllib3.BaseHTTPResponse:
            answer = send(method, url, *args, **options)
            self.counts[method, urlsplit(url).path, answer.status] += 1
            return answer

        pool.request = count_and_send  # type: ignore[method-assign]  # only this instance

    def total(self) -> int:
        """Return the number of answered requests."""
        return self.counts.total()

    def routes(self, routes_: Iterable[Route], *, succeeded: bool = True) -> frozenset[Route]:
        """Return the routes that were called, by default only those that succeeded."""
        routes_ = list(routes_)
        used = {(method, path) for method, path, status in self.counts if status < 400 or not succeeded}
        return frozenset(route for method, path in used if (route := _match(routes_, method, path)) is not None)


def official_routes() -> frozenset[Route]:
    """Return every route that the generated client has a method for, read from its source."""
    folder = Path(str(mixpeek.__file__)).parent / "api"
    declared = (pair for file in folder.glob("*_api.py") for pair in _DECLARED.findall(file.read_text("utf-8")))
    return frozenset(Route(method, _to_template(path)) for method, path in declared)


def routes_of(openapi: Mapping[str, Any]) -> frozenset[Route]:
    """Return every route of an OpenAPI description."""
    return frozenset(
        Route(method.upper(), _to_template(path))
        for path, operations in openapi["paths"].items()
        for method in operations
        if method in _METHODS
    )


def _to_template(path: str) -> str:
    return _PARAMETER.sub("{}", path).rstrip("/")


def _match(routes_: Iterable[Route], method: str, path: str) -> Route | None:
    """Return the route of a path; literal segments win over parameters, as in the server."""
    parts = path.rstrip("/").split("/")
    candidates = [route for route in routes_ if route.method == method and _fits(route.path.split("/"), parts)]
    return min(candidates, key=lambda route: route.path.count("{}"), default=None)


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(word in (part, "{}") for word, part in zip(template, parts, strict=True))
