"""An application served by uvicorn in a thread of the tests, for the many tests that need HTTP but no process."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

__all__ = ["serve_app"]


class _Server(uvicorn.Server):
    """Ends as soon as it is asked to. Uvicorn itself looks ten times a second, and then waits as long for connections,
    which is longer than most tests take."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.002)
        await self.lifespan.shutdown()


@contextmanager
def serve_app(app: FastAPI) -> Iterator[str]:
    """The address of a running server, without a mount: `http://127.0.0.1:<port>`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as served; see `shoal.cli.serve`
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = _Server(uvicorn.Config(app, log_level="warning", ws="none", reset_contextvars=True))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.002)
        yield address
        running.should_exit = True
        thread.join(10)
