"""The routes of one resource, with all that the rest of the API must know of them.

    router = Resource("/things", tag="things", about="What there is.", path_parameters={"thing": "Id or name of it."})

    @router.get("/{thing}", response_model=Thing, openapi_extra=READ)

Each route declares what a key needs for it: READ, WRITE, DELETE or ADMIN, or OPEN for what needs no key (`PROBES` of
`api/door.py` must then name its path). One that declares nothing is refused when it is made.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter

from shoal.api.bodies import JsonRoute
from shoal.api.callers.permissions import declared_permission
from shoal.api.handler_threads import in_handler_thread
from shoal.records.key import Permission

__all__ = ["Resource", "ResourceRoute"]


class ResourceRoute(JsonRoute):
    """A route that knows its permission, and whose handler runs in a thread once the caller is confirmed to have it."""

    permission: Permission | None
    """None where no key is needed."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.permission = declared_permission(path, options.get("openapi_extra"))
        super().__init__(path, in_handler_thread(endpoint, self.permission), **options)


class Resource(APIRouter):
    """Routes under a prefix. `about` describes the tag in the OpenAPI, `path_parameters` the names in braces."""

    def __init__(self, prefix: str, *, tag: str, about: str, path_parameters: Mapping[str, str] | None = None) -> None:
        super().__init__(route_class=ResourceRoute, prefix=prefix, tags=[tag])
        self.tag = {"name": tag, "description": about}
        self.path_parameters = path_parameters or {}
