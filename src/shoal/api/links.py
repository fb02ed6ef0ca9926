"""Absolute links. A caller chooses the Host header of a request, so no link follows one that names another machine."""

from fastapi import Request
from starlette.datastructures import Headers

from shoal.settings import Settings, is_loopback

__all__ = ["base_url"]


def base_url(request: Request) -> str:
    """What absolute links begin with, such as `http://127.0.0.1:8000`, without a slash at the end.

    `public_url` where it is set. Else the Host header, where it names loopback or the address that the server listens
    on; else that address itself.
    """
    settings: Settings = request.app.state.services.settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = Headers(scope=request.scope).get("host", "")
    address, port = request.scope.get("server") or (settings.host, settings.port)
    if _name_of(host) not in {settings.host, address} and not is_loopback(_name_of(host)):
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{request.scope['scheme']}://{host}"


def _name_of(host: str) -> str:
    """The host without its port: `[::1]:8000` is `::1`. Empty where it is none."""
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    return name.removeprefix("[").removesuffix("]").lower() if not port or port.isdigit() else ""
