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
    """Every request that went through a watched connection pool, with the status it was answered with."""

    def __init__(self) -> None:
        self.made: Counter[tuple[str, str, int]] = Counter()

    def watch(self, pool: urllib3.PoolManager) -> None:
        """Count what this pool sends from now on. Requests and answers pass through unchanged."""
        send: Callable[..., urllib3.BaseHTTPResponse] = pool.request

        def counted(method: str, url: str, *args: Any, **options: Any) -> urllib3.BaseHTTPResponse:
            answer = send(method, url, *args, **options)
            self.made[method, urlsplit(url).path, answer.status] += 1
            return answer

        pool.request = counted  # type: ignore[method-assign]  # this instance alone

    def total(self) -> int:
        """How many requests were answered."""
        return self.made.total()

    def routes(self, known: Iterable[Route], *, succeeded: bool = True) -> frozenset[Route]:
        """Which of the known routes were called, and answered with success unless told otherwise."""
        known = list(known)
        used = {(method, path) for method, path, status in self.made if status < 400 or not succeeded}
        return frozenset(found for method, path in used if (found := _match(known, method, path)) is not None)


def official_routes() -> frozenset[Route]:
    """Every route the generated client has a method for, read from its source."""
    folder = Path(str(mixpeek.__file__)).parent / "api"
    declared = (pair for file in folder.glob("*_api.py") for pair in _DECLARED.findall(file.read_text("utf-8")))
    return frozenset(Route(method, _anonymous(path)) for method, path in declared)


def routes_of(openapi: Mapping[str, Any]) -> frozenset[Route]:
    """Every route of an OpenAPI description."""
    return frozenset(
        Route(method.upper(), _anonymous(path))
        for path, operations in openapi["paths"].items()
        for method in operations
        if method in _METHODS
    )


def _anonymous(path: str) -> str:
    return _PARAMETER.sub("{}", path).rstrip("/")


def _match(known: Iterable[Route], method: str, path: str) -> Route | None:
    """The route a path belongs to; words win over parameters, as in the server."""
    parts = path.rstrip("/").split("/")
    fitting = [route for route in known if route.method == method and _fits(route.path.split("/"), parts)]
    return min(fitting, key=lambda route: route.path.count("{}"), default=None)


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        wanted in (part, "{}") for wanted, part in zip(template, parts, strict=True)
    )
