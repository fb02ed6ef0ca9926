"""Which route a request will meet, known before its body is read: its permission decides whether it may go on.

The router asks again when the request gets there, and the handler checks the permission of the route that it belongs
to. So a disagreement between the two could let a body in, but nothing happen.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from starlette.routing import compile_path

from shoal.api.door import MOUNT
from shoal.api.resource import Resource, ResourceRoute
from shoal.api.routes import ROUTERS
from shoal.records.key import Permission

__all__ = ["needed_permission"]


class _Table:
    """Routes by method and the first segment of their paths, each list in the order in which they are tried."""

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


def needed_permission(method: str, path: str) -> Permission | None:
    """What a key needs for a call of a path under `MOUNT`. None where no key is needed, and where no route takes the
    method at the path: that is answered 404 or 405, to those with a key."""
    route = _TABLE.find(method, path)
    return None if route is None else route.permission
