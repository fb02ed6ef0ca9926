"""One file a resource, with the same names as in services/. `ROUTERS` is the order in which routes are tried."""

from typing import Final

from fastapi import APIRouter

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

ROUTERS: Final[tuple[APIRouter, ...]] = (
    # What is asked for most comes first: each router tried costs a few microseconds. No two share a path.
    tasks.router,
    clusters.router,
    executions.router,
    documents.router,
    collections.router,
    namespaces.router,
    buckets.router,
    objects.router,
    me.router,
    keys.router,
    audit.router,
    health.router,
)
