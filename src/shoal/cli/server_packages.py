"""The packages of the extra `server`, which only `shoal serve` needs."""

from importlib.util import find_spec
from typing import Final

from shoal.errors import ShoalError

__all__ = ["check_server_packages"]

_PACKAGES: Final = {"fastapi": "fastapi", "prometheus_client": "prometheus-client", "uvicorn": "uvicorn"}
"""Module and distribution name of each."""


def check_server_packages() -> None:
    """Raise ShoalError where the extra is not installed. Imports nothing."""
    missing = [name for module, name in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ShoalError(
            f"shoal serve needs packages that are not installed ({', '.join(missing)}). "
            "Install them with: pip install 'shoal[server]'"
        )
