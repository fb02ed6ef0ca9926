"""The routes of one resource, with everything that the rest of the API needs to know about them.

    router = Resource("/things", tag="things", about="What there is.", path_parameters={"thing": "Id or name of it."})

    @router.get("/{thing}", response_model=Thing, openapi_extra=READ)

Each route declares the permission that it requires: READ, WRITE, DELETE or ADMIN, or OPEN for no key at all (then its
path must be in `PROBES` of `api/mounts.py`). A route without a declaration is rejected at import.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter

from shoal.api.bodies import JsonRoute
from shoal.api.callers.permissions import parse_permission
from shoal.api.handler_threads import wrap_handler
from shoal.records.key import Permission

__all__ = ["Resource", "ResourceRoute"]


class ResourceRoute(JsonRoute):
    """A route with its permission, whose handler runs in a thread once the caller is confirmed to have it."""

    permission: Permission | None
    """None where no key is required."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.permission = parse_permission(path, options.get("openapi_extra"))
        super().__init__(path, wrap_handler(endpoint, self.permission), **options)


class Resource(APIRouter):
    """Routes under a prefix. `about` describes the tag in the OpenAPI, `path_parameters` the path parameters."""

    def __init__(self, prefix: str, *, tag: str, about: str, path_parameters: Mapping[str, str] | None = None) -> None:
        super().__init__(route_class=ResourceRoute, prefix=prefix, tags=[tag])
        self.tag = {"name": tag, "description": about}
        self.path_parameters = path_parameters or {}
