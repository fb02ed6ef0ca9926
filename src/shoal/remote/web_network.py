"""Proxies and certificates from the environment, and which hosts are on the internal network."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.errors import InvalidField

if TYPE_CHECKING:
    import httpx

__all__ = ["is_internal_only", "may_be_internal", "open_client", "proxy_variables"]

_IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def open_client(label: str, seconds: float) -> "httpx.Client":
    """Open a client with the proxies and certificates of the environment.

    Raises InvalidField about the file `label`, naming the variable that does not work.
    """
    import httpx

    try:
        # No content encoding: whether the file is compressed is implied by its name.
        return httpx.Client(timeout=seconds, headers={"Accept-Encoding": "identity"})
    except ImportError:
        problem = f"cannot be fetched: the SOCKS proxy that {proxy_variables()} names needs the package socksio"
        remedy = "Install it with pip install 'httpx[socks]', or unset the variable."
        raise InvalidField(label, problem, remedy=remedy) from None
    except OSError as error:
        variable = next((name for name in _CERTIFICATES if os.environ.get(name)), "the system")
        problem = (
            f"cannot be fetched: the certificates that {variable} names cannot be read ({error.strerror or 'OSError'})"
        )
        raise InvalidField(label, problem, remedy="Name a file of certificates, or unset the variable.") from None
    except (ValueError, httpx.InvalidURL):  # its message contains the address with its credentials
        problem = f"cannot be fetched: {proxy_variables()} does not hold the address of a proxy"
        remedy = "Such as http://host:3128; socks5://host:1080 with pip install 'httpx[socks]'."
        raise InvalidField(label, problem, remedy=remedy) from None


def proxy_variables() -> str | None:
    """Return the environment variables that name proxies."""
    variables = [variable for name in _PROXIES for variable in (name, name.lower()) if os.environ.get(variable)]
    return " or ".join(variables) or None


def is_internal_only(host: str) -> bool:
    """Return whether a host has internal addresses only: a name that resolves to both counts as external."""
    return bool(addresses := list(_resolve(host))) and all(map(_is_internal, addresses))


def may_be_internal(host: str) -> bool:
    """Return whether a host may be this machine, or one that the internet does not reach, such as a cloud's metadata
    service.

    A name that does not resolve here is left to the proxy, which connects.
    """
    return any(map(_is_internal, _resolve(host)))


def _resolve(host: str) -> Iterator[_IP]:
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)}
    except (OSError, UnicodeError):
        return
    for address in addresses:
        yield ipaddress.ip_address(address.partition("%")[0])


def _is_internal(address: _IP) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (embedded := _extract_ipv4(address)) is not None:
        return _is_internal(embedded)
    local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return local or not address.is_global or address.is_multicast or address.is_reserved


def _extract_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address embedded in an IPv6 address."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
