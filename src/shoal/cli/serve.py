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
from shoal.jobs.liveness import hold_alive_lock, list_alive, process_name
from shoal.jobs.shutdown import Shutdown, run_every_second
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
    """Serve the API on this machine. The first start creates an API key and shows it once."""
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
    shutdown = Shutdown()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, shutdown)
    listener = _listen(settings.host, settings.port)
    with listener:
        _run(settings, listener, shutdown)


def _check_ports(settings: Settings) -> None:
    if settings.port and settings.metrics_port == settings.port:
        raise InvalidField(
            "--metrics-port", "is the port of the API as well", value=settings.port, remedy="Choose another one."
        )


def _run(settings: Settings, listener: socket.socket, shutdown: Shutdown) -> None:
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble
    from shoal.engine import kernels

    kernels.native()  # an invalid SHOAL_KERNELS or SHOAL_INSTRUCTIONS fails now, not in the first run
    _free_ballast(settings)
    services = assemble(settings)
    try:
        with _register(settings.data / "servers"):
            _serve(services, listener, shutdown)
    finally:
        services.close()


def _serve(services: "Services", listener: socket.socket, shutdown: Shutdown) -> None:
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
    _announce_start(
        settings, listener.getsockname()[1], secret, valid=services.keys.is_valid_file(settings.data / "key")
    )
    workers = shutdown.workers = Workers(settings, services.keys.has_several_organizations)
    app.state.readiness.workers = workers.alive
    workers.start()
    run_every_second(services.disk.tend)
    try:
        HttpServer(app, settings, shutdown).run(sockets=[listener])
    finally:
        workers.stop()


@contextmanager
def _register(folder: Path) -> Iterator[None]:
    """Warn about other servers on the data folder, and hold a lock that later ones see. Ignores a full disk."""
    if list_alive(folder):
        _log.warning(
            "server.another_one",
            extra={
                "advice": "another server already uses this data folder. That is safe, but limits apply to each of "
                "them; for more workers start `shoal worker`."
            },
        )
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(hold_alive_lock(folder, process_name()))
        yield


def _free_ballast(settings: Settings) -> None:
    """Release the ballast file on a full disk, where the databases could not be opened."""
    from shoal.storage.local.data_folder import check_data_folder
    from shoal.storage.local.disk import Disk

    check_data_folder(settings.data)
    if settings.data.is_dir():
        Disk(settings.data, reserve_mib=settings.disk_reserve_mib, ballast_mib=settings.ballast_mib).tend()


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Where the address is not available: one line, and exit code 2."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm (a delay of 40 ms a response) only for an explicit IPPROTO_TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        address_unavailable = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        alternative = "address with --host" if address_unavailable else "one with --port"
        print(f"shoal: cannot listen on {host}:{port}: {reason}. Choose another {alternative}.", file=sys.stderr)
        raise typer.Exit(2) from None
    return listener


def _announce_start(settings: Settings, port: int, secret: str | None, *, valid: bool) -> None:
    """Announce the address of the server: an event in JSON logs, lines for people otherwise. `valid` says whether the
    key in the key file works."""
    from shoal.engine import kernels

    base, key_file = f"http://{_reachable_host(settings.host)}:{port}/v1", settings.data / "key"
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
        fields = {
            "version": version("shoal"), "address": f"{settings.host}:{port}", "url": base, "data": str(settings.data),
            "workers": settings.workers, "native_core": kernels.native() is not None, "key_file": str(key_file),
            "first_start": secret is not None, "key_good": valid,
        }  # fmt: skip
        _log.info("server.started", extra=fields)
        if key_file.exists() and not valid:
            advice = f"{_STALE.format(key_file)} {_key_advice(settings)}"
            _log.warning("server.stale_key_file", extra={"key_file": str(key_file), "advice": advice})
        return
    print(f"Shoal is serving {base}, data in {settings.data}")
    if secret is not None and sys.stdout.isatty():  # otherwise it would end up in a log
        print(f"Your API key, shown only now: {secret}")
    if valid:
        print(f"The key is kept in {key_file}")
        print(f'Try: curl -H "Authorization: Bearer $(cat {shlex.quote(str(key_file))})" {base}/me')
    else:
        if key_file.exists():
            print(_STALE.format(key_file))
        print(_key_advice(settings))
    sys.stdout.flush()


def _key_advice(settings: Settings) -> str:
    return f"Make a key with: shoal keys create NAME --permission admin{data_option(settings.data)}"


def _reachable_host(host: str) -> str:
    """Return the host under which a client on this machine reaches the listening address."""
    if host in ("0.0.0.0", ""):
        return "127.0.0.1"
    return f"[{'::1' if host == '::' else host}]" if ":" in host else host
