"""Route lookup before the body is read, so that the permission can be checked first.

The router matches again later, and the handler checks the permission of its own route. So a disagreement between the
two could let a body in, but nothing would be executed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from starlette.routing import compile_path

from shoal.api.mounts import MOUNT
from shoal.api.resource import Resource, ResourceRoute
from shoal.api.routes import ROUTERS
from shoal.records.key import Permission

__all__ = ["find_permission"]


class _Table:
    """Routes by method and first path segment, each list in the order of matching."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._routes: dict[tuple[str, str], list[tuple[re.Pattern[str], ResourceRoute]]] = defaultdict(list)
        for resource in resources:
            for route in resource.routes:
                assert isinstance(route, ResourceRoute), route
                pattern, _, _ = compile_path(MOUNT + route.path)
                for method in route.methods or ():
                    self._routes[method, _segment(MOUNT + route.path)].append((pattern, route))

    def find(self, method: str, path: str) -> ResourceRoute | None:
        candidates = self._routes.get(("GET" if method == "HEAD" else method, _segment(path)), ())
        return next((route for pattern, route in candidates if pattern.match(path)), None)


def _segment(path: str) -> str:
    return path.removeprefix(f"{MOUNT}/").partition("/")[0]


_TABLE: Final = _Table(ROUTERS)


def find_permission(method: str, path: str) -> Permission | None:
    """Return the permission that a request under `MOUNT` requires. None where no key is required, and where no route
    matches: callers with a key get 404 or 405 then."""
    route = _TABLE.find(method, path)
    return None if route is None else route.permission
