"""The application: the same routers under each mount, behind boundary, authentication and limits."""

from importlib.metadata import version
from typing import Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from shoal.api.callers.access import Access
from shoal.api.callers.auth import Authentication
from shoal.api.door import MOUNT, Door
from shoal.api.errors import ErrorBoundary, handle_errors
from shoal.api.guards.disk_guard import DiskGuard
from shoal.api.guards.framing import OneFraming
from shoal.api.guards.limits import BodyLimit
from shoal.api.guards.overload import Admission
from shoal.api.guards.rates import LoginLimit, RateLimit
from shoal.api.methods import HeadLikeGet
from shoal.api.metrics import Metrics
from shoal.api.observed import Observed
from shoal.api.openapi import complete
from shoal.api.readiness import Readiness
from shoal.api.replies import reply
from shoal.api.routes import ROUTERS
from shoal.api.site import Site
from shoal.assemble import Services

__all__ = ["create_app"]


def create_app(services: Services) -> FastAPI:
    """The HTTP API over finished services. Closing them is the caller's part."""
    # No pages of FastAPI's: they load their scripts from somewhere else. `api/site` has the reference.
    app = _App(
        title="Shoal",
        version=version("shoal"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        routes=list(_ROUTES),
    )
    app.state.services, app.state.access = services, Access(services)
    handle_errors(app)
    # Middleware added last is outermost.
    app.state.readiness, app.state.metrics = Readiness(), Metrics(services)
    app.add_middleware(HeadLikeGet)
    app.add_middleware(Admission, settings=services.settings)
    app.add_middleware(DiskGuard, disk=services.disk)
    app.add_middleware(BodyLimit, settings=services.settings)
    app.add_middleware(RateLimit, settings=services.settings)
    app.add_middleware(Authentication, keys=services.keys, links=services.links, audit=services.audit)
    app.add_middleware(LoginLimit, settings=services.settings)
    app.add_middleware(Door, site=Site(), resources=_RESOURCES)
    app.add_middleware(OneFraming)
    app.add_middleware(ErrorBoundary)
    app.add_middleware(Observed, metrics=app.state.metrics, readiness=app.state.readiness)
    return app


def _operation_id(route: APIRoute) -> str:
    """The name of the handler: short, and the same for ever."""
    return route.name


class _App(FastAPI):
    """FastAPI with the description of `api/openapi.py`."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema


async def _openapi(request: Request) -> Response:
    # Made at the first call, which takes a second: not on the event loop.
    return reply(await run_sync(request.app.openapi))


def _mounted() -> tuple[BaseRoute, ...]:
    everything = APIRouter(generate_unique_id_function=_operation_id)
    for router in ROUTERS:
        everything.include_router(router, prefix=MOUNT)
    everything.add_route(f"{MOUNT}/openapi.json", _openapi, include_in_schema=False)
    return tuple(everything.routes)


_ROUTES: Final = _mounted()
_RESOURCES: Final = {
    str(route.path).split("/")[1] for router in ROUTERS for route in iter_route_contexts(router.routes)
}
"""The first segments of the API's paths."""
