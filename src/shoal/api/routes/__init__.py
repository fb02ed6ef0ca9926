"""The routes, one file per resource, with the same names as in services/. CONTRIBUTING.md lists what a new one
needs."""

from typing import Final

from shoal.api.resource import Resource
from shoal.api.routes import (
    audit,
    buckets,
    clusters,
    collections,
    documents,
    executions,
    health,
    keys,
    me,
    namespaces,
    objects,
    tasks,
)

__all__ = ["ROUTERS"]

ROUTERS: Final[tuple[Resource, ...]] = (
    # In the order of the OpenAPI description; no two share a path.
    clusters.router,
    executions.router,
    tasks.router,
    documents.router,
    collections.router,
    namespaces.router,
    buckets.router,
    objects.router,
    me.router,
    audit.router,
    keys.router,
    health.router,
)
