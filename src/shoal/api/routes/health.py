"""Whether the server is alive and its stores answer. Public, except the deep look."""

import os
from datetime import UTC, datetime

from fastapi import Request, Response
from pydantic import BaseModel

from shoal.api.callers.permissions import OPEN, READ
from shoal.api.deps import Wired
from shoal.api.readiness import Readiness
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.assemble import Services
from shoal.errors import ShoalError, Unavailable

__all__ = ["router"]

router = Resource(
    "",
    tag="health",
    about="Whether the server is alive and ready.",
)


class HealthServices(BaseModel):
    """Which parts answer. Shoal keeps its cache in memory, and labels without a model where there is none."""

    cache: bool = True
    metadata: bool
    vector_store: bool
    object_storage: bool
    task_queue: bool
    inference: bool = True


class Health(BaseModel):
    """The answer to both health routes."""

    status: str
    data: HealthServices


class Alive(BaseModel):
    """The answer to the probes."""

    status: str = "OK"


@router.get("/health", response_model=Health, openapi_extra=OPEN)
def health(services: Wired) -> Response:
    """Whether every part answers; always 200, the body tells."""
    return reply(_look(services))


@router.get("/health/deep", response_model=Health, openapi_extra=READ)
def deep_health(services: Wired) -> Response:
    """The same for callers with a key."""
    return reply(_look(services))


@router.get("/health/liveness", response_model=Alive, openapi_extra=OPEN)
async def liveness() -> Response:
    """The process answers; no store is asked."""
    return reply(Alive())


class Beat(BaseModel):
    """Whether runs are taken up. Workers hold a lock while they live, so the last sign of one that runs is now."""

    status: str
    beat_running: bool
    last_heartbeat: datetime | None
    age_seconds: float | None


@router.get("/health/beat", response_model=Beat, openapi_extra=OPEN)
def health_beat(services: Wired, request: Request) -> Response:
    """Whether a worker is alive that takes runs up."""
    readiness: Readiness = request.app.state.readiness
    running = readiness.checks(services)["workers"].ok
    beat = {"last_heartbeat": datetime.now(UTC) if running else None, "age_seconds": 0.0 if running else None}
    return reply({"status": "OK" if running else "DEGRADED", "beat_running": running, **beat})


@router.get("/livez", response_model=Alive, openapi_extra=OPEN)
async def livez() -> Response:
    """The process answers; no store is asked."""
    return reply(Alive())


class ReadyCheck(BaseModel):
    """One part of the server; the reason where it is not well."""

    ok: bool
    reason: str | None = None


class Ready(BaseModel):
    """The answer of the readiness probe: DEGRADED serves requests, but something asks for attention."""

    status: str
    checks: dict[str, ReadyCheck]


@router.get("/readyz", response_model=Ready, openapi_extra=OPEN)
def readyz(request: Request, services: Wired) -> Response:
    """Whether requests should be sent here. 503 while the server shuts down or a store does not answer; with little
    disk left or without workers it serves, reads and deletes at least, and says DEGRADED."""
    readiness: Readiness = request.app.state.readiness
    checks = readiness.checks(services)
    shown = {name: ReadyCheck(ok=check.ok, reason=check.reason) for name, check in checks.items()}
    failed = [check.reason for check in checks.values() if check.required and not check.ok]
    if failed:
        raise Unavailable(
            " ".join(filter(None, failed)), checks={name: check.model_dump() for name, check in shown.items()}
        )
    return reply(Ready(status="OK" if all(check.ok for check in shown.values()) else "DEGRADED", checks=shown))


def _look(services: Services) -> Health:
    metadata = _metadata_answers(services)
    disk = os.access(services.settings.data, os.R_OK | os.W_OK | os.X_OK)
    data = HealthServices(metadata=metadata, vector_store=disk, object_storage=disk, task_queue=metadata)
    whole = data.metadata and data.vector_store and data.object_storage
    return Health(status="OK" if whole else "DEGRADED", data=data)


def _metadata_answers(services: Services) -> bool:
    try:
        services.metadata.running_workers()
    except ShoalError:
        return False
    return True
