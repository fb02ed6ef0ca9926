"""One file a resource, with the same names as in services/. `ROUTERS` is the order in which routes are tried."""

from typing import Final

from fastapi import APIRouter

from shoal.api.routes import (
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

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    me.router,
    keys.router,
    namespaces.router,
    buckets.router,
    objects.router,
    documents.router,
    collections.router,
    executions.router,
    clusters.router,
    tasks.router,
)
