"""The ASGI application: the routes behind the error boundary, authentication and limits."""

from importlib.metadata import version
from typing import Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from shoal.api.callers.access import Access
from shoal.api.callers.auth import Authentication
from shoal.api.errors import ErrorBoundary, handle_errors
from shoal.api.guards.disk_guard import DiskGuard
from shoal.api.guards.framing import FramingGuard
from shoal.api.guards.limits import BodyLimit
from shoal.api.guards.overload import Admission
from shoal.api.guards.rates import LoginLimit, RateLimit
from shoal.api.methods import HeadSupport
from shoal.api.metrics import Metrics
from shoal.api.mounts import MOUNT, MountDispatcher
from shoal.api.openapi import complete
from shoal.api.readiness import Readiness
from shoal.api.replies import reply
from shoal.api.request_log import RequestLog
from shoal.api.route_table import find_permission
from shoal.api.routes import ROUTERS
from shoal.api.site import Site
from shoal.assemble import Services

__all__ = ["create_app"]


def create_app(services: Services) -> FastAPI:
    """Build the HTTP API on services that are ready for use; the caller closes them."""
    # FastAPI's own docs pages load their scripts from a CDN; `api/site` serves the reference.
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
    app.add_middleware(HeadSupport)
    app.add_middleware(Admission, settings=services.settings)
    app.add_middleware(DiskGuard, disk=services.disk)
    app.add_middleware(BodyLimit, settings=services.settings)
    app.add_middleware(RateLimit, settings=services.settings)
    app.add_middleware(
        Authentication,
        keys=services.keys,
        links=services.links,
        audit=services.audit,
        find_permission=find_permission,
    )
    app.add_middleware(LoginLimit, settings=services.settings)
    app.add_middleware(MountDispatcher, site=Site(), resources=_RESOURCES)
    app.add_middleware(FramingGuard)
    app.add_middleware(ErrorBoundary)
    app.add_middleware(RequestLog, metrics=app.state.metrics, readiness=app.state.readiness)
    return app


def _operation_id(route: APIRoute) -> str:
    """Return the name of the handler: short, and stable across versions."""
    return route.name


class _App(FastAPI):
    """FastAPI with the OpenAPI description completed by `api/openapi.py`."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema


async def _openapi(request: Request) -> Response:
    # Built on the first call, which takes a second: not on the event loop.
    return reply(await run_sync(request.app.openapi))


def _mount_routes() -> tuple[BaseRoute, ...]:
    api = APIRouter(generate_unique_id_function=_operation_id)
    for router in ROUTERS:
        api.include_router(router, prefix=MOUNT)
    api.add_route(f"{MOUNT}/openapi.json", _openapi, include_in_schema=False)
    return tuple(api.routes)


_ROUTES: Final = _mount_routes()
_RESOURCES: Final = {
    str(route.path).split("/")[1] for router in ROUTERS for route in iter_route_contexts(router.routes)
}
"""The first path segments of the API's routes."""
