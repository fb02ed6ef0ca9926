"""Uvicorn as Shoal runs it: it goes on serving while it drains, and a second signal ends it at once."""

import logging
import sys
import time
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from shoal.api.guards.connections import Crowd, most_connections, raise_file_limit, timed_connections
from shoal.api.readiness import Readiness
from shoal.cli.processes.garbage import collect_when_cheap, prepare_collector
from shoal.jobs.ending import Ending
from shoal.settings import Settings

__all__ = ["HttpServer"]

_UNDER_WAY_SECONDS: Final = 30
_SWITCH_SECONDS: Final = 0.001
_log = logging.getLogger("shoal.server")


def _prepare_interpreter() -> None:
    """A thread that computes lets go of the interpreter sooner, since the event loop, which answers probes, may stand
    in line behind all the others."""
    prepare_collector()
    sys.setswitchinterval(_SWITCH_SECONDS)


class HttpServer(uvicorn.Server):
    """At the first signal /readyz turns to 503 and answers carry `Connection: close`; after `drain_seconds` no new
    connection is taken; requests under way have 30 s more."""

    def __init__(self, app: FastAPI, settings: Settings, ending: Ending) -> None:
        files = raise_file_limit()
        crowd = Crowd(most_connections(settings.max_connections))
        _log.info("server.limits", extra={"files": files, "connections": crowd.most})
        _prepare_interpreter()
        super().__init__(
            uvicorn.Config(
                app,
                # Never httptools, even where it is installed: it takes headers of any size, before a key was seen.
                http=timed_connections(settings.body_timeout_seconds, crowd),
                # Else every caller on this machine could name the address that limits and the audit log go by.
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.proxies(),
                log_config=None,
                log_level="warning" if settings.log_level.lower() == "info" else settings.log_level.lower(),
                access_log=False,
                timeout_graceful_shutdown=_UNDER_WAY_SECONDS,
                server_header=False,
                ws="none",
                # Else a connection that was read on within a request hands that request's context to all later ones
                # (https://github.com/python/cpython/issues/140947), its deadline and its caller among it.
                reset_contextvars=True,
            )
        )
        self._readiness: Readiness = app.state.readiness
        self._drain_seconds, self._ending = settings.drain_seconds, ending
        self._exit_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The handler of signals while the server runs. They are not raised again afterwards."""
        if self._ending.first(sig):
            self._readiness.draining = True
            self._exit_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        collect_when_cheap(counter)
        return await super().on_tick(counter)
