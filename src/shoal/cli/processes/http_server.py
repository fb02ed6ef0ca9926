"""The uvicorn server: it goes on serving while it drains, and a second signal ends it at once."""

import logging
import sys
import time
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from shoal.api.guards.connections import ConnectionPool, connection_limit, make_protocol_class, raise_file_limit
from shoal.api.readiness import Readiness
from shoal.cli.processes.garbage import collect_when_cheap, prepare_collector
from shoal.jobs.shutdown import Shutdown
from shoal.settings import Settings

__all__ = ["HttpServer"]

_DRAIN_REQUESTS_SECONDS: Final = 30
_SWITCH_SECONDS: Final = 0.001
_log = logging.getLogger("shoal.server")


def _prepare_interpreter() -> None:
    """Shorten the GIL switch interval, since the event loop, which answers probes, may wait behind all busy threads."""
    prepare_collector()
    sys.setswitchinterval(_SWITCH_SECONDS)


class HttpServer(uvicorn.Server):
    """Uvicorn with a drain phase.

    After the first signal /readyz answers 503 and responses carry `Connection: close`; after `drain_seconds` no new
    connection is accepted, and requests in progress have 30 s more.
    """

    def __init__(self, app: FastAPI, settings: Settings, shutdown: Shutdown) -> None:
        files = raise_file_limit()
        pool = ConnectionPool(connection_limit(settings.max_connections))
        _log.info("server.limits", extra={"files": files, "connections": pool.limit})
        _prepare_interpreter()
        super().__init__(
            uvicorn.Config(
                app,
                # Never httptools, even where it is installed: it accepts headers of any size before authentication.
                http=make_protocol_class(settings.body_timeout_seconds, pool),
                # Otherwise every client on this machine could set the address that limits and the audit log use.
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.proxies(),
                log_config=None,
                log_level="warning" if settings.log_level.lower() == "info" else settings.log_level.lower(),
                access_log=False,
                timeout_graceful_shutdown=_DRAIN_REQUESTS_SECONDS,
                server_header=False,
                ws="none",
                # Otherwise a connection that is read within a request passes that request's context, with its deadline
                # and caller, to all later ones (https://github.com/python/cpython/issues/140947).
                reset_contextvars=True,
            )
        )
        self._readiness: Readiness = app.state.readiness
        self._drain_seconds, self._shutdown = settings.drain_seconds, shutdown
        self._exit_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle signals while the server runs. They are not raised again afterwards."""
        if self._shutdown.request(sig):
            self._readiness.draining = True
            self._exit_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        collect_when_cheap(counter)
        return await super().on_tick(counter)
