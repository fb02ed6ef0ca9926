"""What calls to servers of models have in common: which addresses they have, and how long is waited before a retry."""

import random
from urllib.parse import urlsplit

from shoal.errors import InvalidField

__all__ = ["check_server_url", "spread_wait"]


def check_server_url(url: str, field: str, remedy: str) -> str:
    """Check the root of an API, and return it without a slash at its end.

    Parameters
    ----------
    url : str
    field : str
        How errors call it.
    remedy : str
        Where the key belongs that must not stand in an address.

    Raises
    ------
    InvalidField
        If it is no address of a web server, or holds a name, password, query or fragment. Its value, which may be a key
        in the wrong place, is not repeated.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidField(field, "must hold an http or https address", value="…") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        remedy = "Like http://host:8080/v1; the value is not shown, as it may be a key."
        raise InvalidField(field, "must hold an http or https address", value="…", remedy=remedy)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidField(field, "must hold an address without user, password, query or fragment", remedy=remedy)
    return url.rstrip("/")


def spread_wait(first: float, retry: int, longest: float, chance: random.Random) -> float:
    """Return the seconds before a retry, numbered from 0: twice as long each time, spread so that clients that failed
    together do not come back together."""
    wait: float = min(first * 2.0**retry, longest) * chance.uniform(0.5, 1.0)
    return wait
