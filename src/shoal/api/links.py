"""Absolute links. The Host header is under the caller's control, so one that names another machine is not used."""

from fastapi import Request
from starlette.datastructures import Headers

from shoal.settings import Settings, is_loopback

__all__ = ["base_url"]


def base_url(request: Request) -> str:
    """Return the base of absolute links, such as `http://127.0.0.1:8000`, without a trailing slash.

    That is `public_url` where it is set, else the Host header where it names loopback or the address that the server
    listens on, else that address.
    """
    settings: Settings = request.app.state.services.settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = Headers(scope=request.scope).get("host", "")
    address, port = request.scope.get("server") or (settings.host, settings.port)
    if _strip_port(host) not in {settings.host, address} and not is_loopback(_strip_port(host)):
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{request.scope['scheme']}://{host}"


def _strip_port(host: str) -> str:
    """Return the host without its port: `[::1]:8000` is `::1`. Empty where the header is malformed."""
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    return name.removeprefix("[").removesuffix("]").lower() if not port or port.isdigit() else ""
