"""What the environment says about reaching web servers, and which of them are inside of this network."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.errors import InvalidField

if TYPE_CHECKING:
    import httpx

__all__ = ["is_all_inside", "may_be_inside", "named_proxy", "web_client"]

_IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def web_client(label: str, seconds: float) -> "httpx.Client":
    """A client with the proxies and the certificates of the environment. Raises InvalidField about the file `label`,
    naming the variable that does not work."""
    import httpx

    try:
        # Not packed on its way: the name of a file says whether the file itself is.
        return httpx.Client(timeout=seconds, headers={"Accept-Encoding": "identity"})
    except ImportError:
        problem = f"cannot be fetched: the SOCKS proxy that {named_proxy()} names needs the package socksio"
        remedy = "Install it with pip install 'httpx[socks]', or unset the variable."
        raise InvalidField(label, problem, remedy=remedy) from None
    except OSError as error:
        named = next((name for name in _CERTIFICATES if os.environ.get(name)), "the system")
        problem = (
            f"cannot be fetched: the certificates that {named} names cannot be read ({error.strerror or 'OSError'})"
        )
        raise InvalidField(label, problem, remedy="Name a file of certificates, or unset the variable.") from None
    except (ValueError, httpx.InvalidURL):  # its text holds the address with what is secret in it
        problem = f"cannot be fetched: {named_proxy()} holds no address of a proxy"
        remedy = "Such as http://host:3128; socks5://host:1080 with pip install 'httpx[socks]'."
        raise InvalidField(label, problem, remedy=remedy) from None


def named_proxy() -> str | None:
    """The variables of the environment that name proxies."""
    found = [written for name in _PROXIES for written in (name, name.lower()) if os.environ.get(written)]
    return " or ".join(found) or None


def is_all_inside(host: str) -> bool:
    """Whether a host has addresses inside alone: a name that is here and elsewhere is one of elsewhere."""
    return bool(found := list(_addresses(host))) and all(map(_is_inside, found))


def may_be_inside(host: str) -> bool:
    """Whether a host may be this machine, or one that the internet does not reach, such as those that hand out the keys
    of a cloud. A name that is not known here is left to the proxy, which connects."""
    return any(map(_is_inside, _addresses(host)))


def _addresses(host: str) -> Iterator[_IP]:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)}
    except (OSError, UnicodeError):
        return
    for one in found:
        yield ipaddress.ip_address(one.partition("%")[0])


def _is_inside(one: _IP) -> bool:
    if isinstance(one, ipaddress.IPv6Address) and (within := _within(one)) is not None:
        return _is_inside(within)
    local = isinstance(one, ipaddress.IPv6Address) and one.is_site_local
    return local or not one.is_global or one.is_multicast or one.is_reserved


def _within(one: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for."""
    if one in _NAT64:
        return ipaddress.IPv4Address(int(one) & 0xFFFFFFFF)
    return one.ipv4_mapped or one.sixtofour
