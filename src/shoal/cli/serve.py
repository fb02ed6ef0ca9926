"""`shoal serve`: the HTTP server with its workers, until SIGTERM or Ctrl-C."""

import logging
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from shoal.settings import Settings

__all__ = ["serve"]


def serve(
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen; loopback unless asked otherwise.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 if they run elsewhere.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Serve the API on this machine. The first start makes an API key and shows it once."""
    settings = Settings.read(data=data, host=host, port=port, workers=workers, log_level=log_level)
    # Uvicorn stops taking requests at a signal, finishes those under way, and raises the signal again: it must end
    # this process by an exception, so that workers are stopped and stores closed.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _leave)
    listener = _listen(settings.host, settings.port)
    with listener:
        _run(settings, listener)


def _run(settings: Settings, listener: socket.socket) -> None:
    # Imported here so that `shoal --help` stays fast.
    import uvicorn

    from shoal.api.app import create_app
    from shoal.api.connections import timed_connections
    from shoal.assemble import assemble
    from shoal.jobs.supervisor import Workers

    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    services = assemble(settings)
    try:
        secret = services.keys.bootstrap(settings.data / "key")
        _greet(settings, listener.getsockname()[1], secret)
        workers = Workers(settings)
        workers.start()
        try:
            config = uvicorn.Config(
                create_app(services),
                # Never httptools, even where it is installed: it takes headers of any size, before a key was seen.
                http=timed_connections(settings.body_timeout_seconds),
                log_level=settings.log_level,
                access_log=settings.log_level == "debug",
                timeout_graceful_shutdown=30,
                server_header=False,
                ws="none",
            )
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            workers.stop()
    finally:
        services.close()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket. Where the address is not to be had: one line, and exit code 2."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio turns Nagle's delay off (40 ms an answer) only where it reads IPPROTO_TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        print(f"shoal: cannot listen on {host}:{port}: {reason}. Choose another with --port.", file=sys.stderr)
        raise typer.Exit(2) from None
    return listener


def _greet(settings: Settings, port: int, secret: str | None) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base, key_file = f"http://{host}:{port}/v1", settings.data / "key"
    print(f"Shoal is serving {base}, data in {settings.data}")
    if secret is not None:
        print(f"Your API key, shown only now: {secret}")
    if key_file.exists():
        print(f"The key is kept in {key_file}")
        print(f'Try: curl -H "Authorization: Bearer $(cat {key_file})" {base}/me')
    else:
        print("Make a key with: shoal keys create NAME")
    sys.stdout.flush()
