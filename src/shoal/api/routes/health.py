"""Health probes: whether the server is alive and its stores respond. Public, except `/health/deep`."""

import os
from datetime import UTC, datetime

from fastapi import Request, Response
from pydantic import BaseModel

from shoal.api.callers.permissions import OPEN, READ
from shoal.api.deps import ServicesDep
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
    """Which parts respond. The cache is in memory and labelling works without a model, so both are always true."""

    cache: bool = True
    metadata: bool
    vector_store: bool
    object_storage: bool
    task_queue: bool
    inference: bool = True


class Health(BaseModel):
    """The response of both health routes."""

    status: str
    data: HealthServices


class Alive(BaseModel):
    """The response of the liveness probes."""

    status: str = "OK"


@router.get("/health", response_model=Health, openapi_extra=OPEN)
def health(services: ServicesDep) -> Response:
    """Whether every part responds; the status is always 200, see the body."""
    return reply(_check_services(services))


@router.get("/health/deep", response_model=Health, openapi_extra=READ)
def deep_health(services: ServicesDep) -> Response:
    """The same for callers with a key."""
    return reply(_check_services(services))


@router.get("/health/liveness", response_model=Alive, openapi_extra=OPEN)
async def liveness() -> Response:
    """Whether the process responds; no store is read."""
    return reply(Alive())


class Beat(BaseModel):
    """Whether runs are executed. A worker holds a lock while it is alive, so its last heartbeat is now."""

    status: str
    beat_running: bool
    last_heartbeat: datetime | None
    age_seconds: float | None


@router.get("/health/beat", response_model=Beat, openapi_extra=OPEN)
def health_beat(services: ServicesDep, request: Request) -> Response:
    """Whether a worker is alive."""
    readiness: Readiness = request.app.state.readiness
    running = readiness.checks(services)["workers"].ok
    beat = {"last_heartbeat": datetime.now(UTC) if running else None, "age_seconds": 0.0 if running else None}
    return reply({"status": "OK" if running else "DEGRADED", "beat_running": running, **beat})


@router.get("/livez", response_model=Alive, openapi_extra=OPEN)
async def livez() -> Response:
    """Whether the process responds; no store is read."""
    return reply(Alive())


class ReadyCheck(BaseModel):
    """The state of one part, with the reason where it failed."""

    ok: bool
    reason: str | None = None


class Ready(BaseModel):
    """The response of the readiness probe: a DEGRADED server serves requests but needs attention."""

    status: str
    checks: dict[str, ReadyCheck]


@router.get("/readyz", response_model=Ready, openapi_extra=OPEN)
def readyz(request: Request, services: ServicesDep) -> Response:
    """Whether this server should receive requests. 503 while it shuts down or a store does not respond. With little
    disk space or without workers it still serves requests, at least reads and deletions, and is DEGRADED."""
    readiness: Readiness = request.app.state.readiness
    checks = readiness.checks(services)
    shown = {name: ReadyCheck(ok=check.ok, reason=check.reason) for name, check in checks.items()}
    failed = [check.reason for check in checks.values() if check.required and not check.ok]
    if failed:
        raise Unavailable(
            " ".join(filter(None, failed)), checks={name: check.model_dump() for name, check in shown.items()}
        )
    return reply(Ready(status="OK" if all(check.ok for check in shown.values()) else "DEGRADED", checks=shown))


def _check_services(services: Services) -> Health:
    metadata = _metadata_answers(services)
    disk = os.access(services.settings.data, os.R_OK | os.W_OK | os.X_OK)
    data = HealthServices(metadata=metadata, vector_store=disk, object_storage=disk, task_queue=metadata)
    healthy = data.metadata and data.vector_store and data.object_storage
    return Health(status="OK" if healthy else "DEGRADED", data=data)


def _metadata_answers(services: Services) -> bool:
    try:
        services.metadata.running_workers()
    except ShoalError:
        return False
    return True
