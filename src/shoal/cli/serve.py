"""`shoal serve`: the HTTP server with its workers, until SIGTERM or Ctrl-C."""

import errno
import logging
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shoal import logs
from shoal.cli.installation import data_option
from shoal.cli.server_packages import check_server_packages
from shoal.errors import InvalidField
from shoal.jobs.ending import Ending, every_second
from shoal.jobs.liveness import held_alive, living, process_name
from shoal.settings import Settings, is_loopback, unknown_names

if TYPE_CHECKING:
    from shoal.assemble import Services

__all__ = ["serve"]

_log = logging.getLogger("shoal.server")
_STALE: Final = "The key in {} was changed or revoked: delete the file."


def serve(
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen; loopback unless asked otherwise.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 if they run elsewhere.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text, or json for one object a line.")] = None,
    metrics_port: Annotated[int | None, typer.Option(min=0, max=65_535, help="For Prometheus; 0 for none.")] = None,
) -> None:
    """Serve the API on this machine. The first start makes an API key and shows it once."""
    check_server_packages()
    settings = Settings.read(
        data=data, host=host, port=port, workers=workers,
        log_level=log_level, log_format=log_format, metrics_port=metrics_port,
    )  # fmt: skip
    _check_ports(settings)
    logs.configure(settings.log_level, settings.log_format)
    for advice in unknown_names():
        if settings.log_format == "json":
            _log.warning("settings.unknown", extra={"advice": advice})
        else:
            print(f"shoal: {advice}", file=sys.stderr)
    ending = Ending()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, ending)
    listener = _listen(settings.host, settings.port)
    with listener:
        _run(settings, listener, ending)


def _check_ports(settings: Settings) -> None:
    if settings.port and settings.metrics_port == settings.port:
        raise InvalidField(
            "--metrics-port", "is the port of the API as well", value=settings.port, remedy="Choose another one."
        )


def _run(settings: Settings, listener: socket.socket, ending: Ending) -> None:
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble
    from shoal.engine import kernels

    kernels.native()  # what SHOAL_KERNELS or SHOAL_INSTRUCTIONS cannot have is refused now, not at the first run
    _make_room(settings)
    services = assemble(settings)
    try:
        with _known(settings.data / "servers"):
            _serve(services, listener, ending)
    finally:
        services.close()


def _serve(services: "Services", listener: socket.socket, ending: Ending) -> None:
    from shoal.api.app import create_app
    from shoal.api.metrics import serve_metrics
    from shoal.cli.processes.http_server import HttpServer
    from shoal.jobs.supervisor import Workers

    settings = services.settings
    secret = services.keys.bootstrap(settings.data / "key")
    services.bulk.prepare()
    app = create_app(services)
    if settings.metrics_port:
        serve_metrics(app.state.metrics, settings.metrics_host, settings.metrics_port)
    _greet(settings, listener.getsockname()[1], secret, good=services.keys.is_good(settings.data / "key"))
    workers = ending.workers = Workers(settings, services.keys.several_organizations)
    app.state.readiness.workers = workers.alive
    workers.start()
    every_second(services.disk.tend)
    try:
        HttpServer(app, settings, ending).run(sockets=[listener])
    finally:
        workers.stop()


@contextmanager
def _known(folder: Path) -> Iterator[None]:
    """Tell of other servers on the data folder, and be known to later ones; a full disk is no hindrance."""
    if living(folder):
        _log.warning(
            "server.another_one",
            extra={
                "advice": "another server works on this data folder already. Nothing breaks, but limits count for each "
                "of them; for more workers start `shoal worker`."
            },
        )
    with ExitStack() as held:
        with suppress(OSError):
            held.enter_context(held_alive(folder, process_name()))
        yield


def _make_room(settings: Settings) -> None:
    """On a disk that is full nothing could be opened: the ballast goes before that."""
    from shoal.storage.local.data_folder import check_data_folder
    from shoal.storage.local.disk import Disk

    check_data_folder(settings.data)
    if settings.data.is_dir():
        Disk(settings.data, reserve_mib=settings.disk_reserve_mib, ballast_mib=settings.ballast_mib).tend()


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
        nowhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        other = "address with --host" if nowhere else "one with --port"
        print(f"shoal: cannot listen on {host}:{port}: {reason}. Choose another {other}.", file=sys.stderr)
        raise typer.Exit(2) from None
    return listener


def _greet(settings: Settings, port: int, secret: str | None, *, good: bool) -> None:
    """Say where the server is: one event in JSON logs, lines for people else. `good`: whether the key in the file `key`
    opens anything."""
    from shoal.engine import kernels

    base, key_file = f"http://{_reached(settings.host)}:{port}/v1", settings.data / "key"
    if not is_loopback(settings.host) and not (settings.trusted_proxies or settings.public_url):
        _log.warning(
            "server.plain_http",
            extra={
                "address": f"{settings.host}:{port}",
                "advice": "API keys and documents cross the network unencrypted. Put a proxy with TLS in front and set "
                "SHOAL_TRUSTED_PROXIES and SHOAL_PUBLIC_URL, or listen on 127.0.0.1.",
            },
        )
    if settings.log_format == "json":
        about = {
            "version": version("shoal"), "address": f"{settings.host}:{port}", "url": base, "data": str(settings.data),
            "workers": settings.workers, "native_core": kernels.native() is not None, "key_file": str(key_file),
            "first_start": secret is not None, "key_good": good,
        }  # fmt: skip
        _log.info("server.started", extra=about)
        if key_file.exists() and not good:
            advice = f"{_STALE.format(key_file)} {_make_key(settings)}"
            _log.warning("server.stale_key_file", extra={"key_file": str(key_file), "advice": advice})
        return
    print(f"Shoal is serving {base}, data in {settings.data}")
    if secret is not None and sys.stdout.isatty():  # elsewhere it would end in a log
        print(f"Your API key, shown only now: {secret}")
    if good:
        print(f"The key is kept in {key_file}")
        print(f'Try: curl -H "Authorization: Bearer $(cat {shlex.quote(str(key_file))})" {base}/me')
    else:
        if key_file.exists():
            print(_STALE.format(key_file))
        print(_make_key(settings))
    sys.stdout.flush()


def _make_key(settings: Settings) -> str:
    return f"Make a key with: shoal keys create NAME --permission admin{data_option(settings.data)}"


def _reached(host: str) -> str:
    """What a caller on this machine writes for the address that is listened on."""
    if host in ("0.0.0.0", ""):
        return "127.0.0.1"
    return f"[{'::1' if host == '::' else host}]" if ":" in host else host
