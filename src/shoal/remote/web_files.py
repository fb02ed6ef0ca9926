"""Downloads a file at `https://` or `http://`, whole or not at all; of its address only the name is ever shown.

What a server may do is limited: how often and where to it redirects, how much it sends, and how far that decompresses.
"""

import logging
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.errors import InvalidField, TooLarge
from shoal.files.bounds import Bounds, format_size
from shoal.files.paths.addresses import Address
from shoal.remote.fetch_quota import FetchQuota
from shoal.remote.web_network import is_internal_only, may_be_internal, open_client, proxy_variables
from shoal.settings import Settings

if TYPE_CHECKING:
    import httpx

__all__ = ["fetch"]

_PIECE: Final = 2**20
_SECONDS: Final = 30.0
_HOPS: Final = 10
"""The maximum number of redirects."""
_WAITS: Final = (0.5, 2.0)
"""Seconds before each retry, where a retry may help."""
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_WEB: Final = ("http", "https")
_FILES: Final = frozenset({200, 203})
"""Status codes with which a server sends a whole file."""
_REMEDIES: Final = {
    202: "The file is not ready yet: try again later.",
    204: "The address holds nothing.",
    401: "It asks for a user and a password, or a key: https://USER:PASSWORD@host/…, or an address that is signed.",
    403: "Check the address and its keys; a signed address may have expired.",
    404: "Check the address.",
    407: "The proxy asks for a user and a password: http://USER:PASSWORD@proxy:3128.",
    410: "Check the address.",
    429: "It has too many requests: try again later.",
}
_LOGGERS: Final = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")
_fetching: ContextVar[bool] = ContextVar("fetching", default=False)


class _TransientError(Exception):
    """A failure that a retry may resolve."""

    def __init__(self, problem: str, remedy: str = "Check the address and the network, or try again later.") -> None:
        super().__init__(problem)
        self.problem, self.remedy = f"cannot be fetched: {problem}", remedy


def fetch(address: Address, target: Path, quota: FetchQuota) -> None:
    """Download the file at an address.

    Parameters
    ----------
    address
        `https://…` or `http://…`.
    target
        The destination; a name that ends in `.gz` stands for the compressed file.
    quota
        Receives the bytes, and limits them.

    Raises
    ------
    InvalidField
        For an address that does not return a file, or redirects to a forbidden target.
    TooLarge
        For more bytes than the quota allows, and for content that decompresses to far more than was sent.
    """
    token = _fetching.set(True)
    try:
        for wait in (*_WAITS, None):
            try:
                return _fetch_once(address, target, quota)
            except _TransientError as error:
                problem, remedy = error.problem, error.remedy
            if wait is not None:
                time.sleep(wait)
    finally:
        _fetching.reset(token)
    raise InvalidField(address.name, problem, remedy=remedy)


def _fetch_once(address: Address, target: Path, quota: FetchQuota) -> None:
    import httpx

    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_not_fetching)  # they log whole addresses
    label = address.name
    try:
        with open_client(label, _SECONDS) as client:
            response = _follow_redirects(client, address)
            try:
                _check_response(label, response)
                size = int(response.headers.get("content-length", 0))
                packed = target.suffix.lower() == ".gz"
                pieces = _check_complete(response.iter_raw(), size)
                quota.write(pieces if packed else _decompress(pieces, label, response), target, size)
            finally:
                response.close()
    except httpx.ConnectError as error:
        raise _connect_error(label, error) from None
    except httpx.TimeoutException:
        raise _TransientError(f"the server sent nothing for {_SECONDS:.0f} seconds") from None
    except httpx.ProxyError:
        problem = f"cannot be fetched: the proxy that {proxy_variables()} names does not let it through"
        raise InvalidField(label, problem, remedy="Check the proxy, and the user and password for it.") from None
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        raise _TransientError("the connection ended before the file did") from None
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        ValueError,
    ) as error:  # their messages may contain the address with its keys
        problem = f"cannot be fetched ({type(error).__name__})"
        raise InvalidField(label, problem, remedy="Check the address and the network.") from None


def _follow_redirects(client: "httpx.Client", address: Address) -> "httpx.Response":
    """Return the last response, whose body was not read. Bodies of redirects are not read either."""
    label, request = address.name, client.build_request("GET", address.text)
    original_host = request.url.host
    for _ in range(_HOPS + 1):
        response = _send(client, request, label)
        following = response.next_request
        if following is None:
            return response
        response.close()
        if following.url.scheme not in _WEB:
            problem = f"is redirected to {following.url.scheme}://, which is not a web address"
            raise InvalidField(label, problem, remedy="Name the address of the file itself.")
        if request.url.scheme == "https" and following.url.scheme != "https":
            raise InvalidField(label, "is redirected to an unencrypted address", remedy="Name it yourself.")
        if may_be_internal(following.url.host) and not is_internal_only(original_host):
            problem = "is redirected to an address inside this network from one outside"
            raise InvalidField(label, problem, remedy="Name it yourself.")
        request = following
    raise InvalidField(label, f"is redirected more than {_HOPS} times", remedy="Name the address of the file itself.")


def _send(client: "httpx.Client", request: "httpx.Request", label: str) -> "httpx.Response":
    import httpx

    try:
        return client.send(request, stream=True)
    except httpx.RemoteProtocolError as error:
        if not isinstance(error.__context__, httpx.InvalidURL):
            raise
    problem = "is redirected to an invalid address"
    raise InvalidField(label, problem, remedy="Name the address of the file itself.")


def _check_response(label: str, response: "httpx.Response") -> None:
    status = response.status_code
    if status in _TRY_AGAIN:
        remedy = _REMEDIES.get(status, "The server has a problem: try again later.")
        raise _TransientError(f"the server answered {status}", remedy)
    if status not in _FILES:
        usual = "The server has a problem: try again later." if status >= 500 else "Check the address and its keys."
        remedy = _REMEDIES.get(status, usual)
        raise InvalidField(label, f"cannot be fetched: the server answered {status}", remedy=remedy)
    if response.headers.get("content-type", "").lower().startswith("text/html"):
        remedy = "Name the address of the file itself, such as the one behind Raw or Download."
        raise InvalidField(label, "is a web page, not a file", remedy=remedy)


def _connect_error(label: str, error: "httpx.ConnectError") -> Exception:
    """Build the error for a failed connection, transient unless the certificate is not trusted."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        remedy = "Check the address; for an authority of your own set SSL_CERT_FILE to the file with its certificate."
        why = f"the server's certificate is not trusted ({cause.verify_message.rstrip('.')})"
        return InvalidField(label, f"cannot be fetched: {why}", remedy=remedy)
    proxy = proxy_variables()
    return _TransientError("no connection to the server" + (f", or to the proxy that {proxy} names" if proxy else ""))


def _check_complete(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    received = 0
    for piece in pieces:
        received += len(piece)
        yield piece
    if received < size:
        raise _TransientError(f"{format_size(received)} of {format_size(size)} came")


def _decompress(pieces: Iterator[bytes], label: str, response: "httpx.Response") -> Iterator[bytes]:
    """Undo a content encoding, although none was accepted. Raises TooLarge for content that decompresses to far
    more."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        yield from pieces
        return
    if packing not in ("gzip", "x-gzip"):
        problem = f"is sent in the encoding {packing!r}, which Shoal does not decode"
        raise InvalidField(label, problem, remedy="Fetch it another way, and name the file.")
    yield from _inflate(pieces, label, Bounds.in_memory(Settings.read().import_unfolded_mib).max_expanded_bytes)


def _inflate(pieces: Iterator[bytes], label: str, most: Callable[[int], int]) -> Iterator[bytes]:
    """Decompress all members of a gzip stream, as `gzip -d` does; zero bytes may follow a member."""
    stream: zlib._Decompress | None = zlib.decompressobj(31)
    received = unpacked = 0
    for piece in pieces:
        received += len(piece)
        remaining = piece
        while remaining := remaining.lstrip(b"\0") if stream is None else remaining:
            stream = stream or zlib.decompressobj(31)
            try:
                content = stream.decompress(remaining, _PIECE)
            except zlib.error:
                raise _TransientError("its compressed transfer is damaged") from None
            remaining, unpacked = stream.unused_data if stream.eof else stream.unconsumed_tail, unpacked + len(content)
            stream = None if stream.eof else stream
            if unpacked > most(received):
                problem = (
                    f"unpacks to more than {format_size(most(received))} of {format_size(received)} that were sent"
                )
                raise TooLarge(f"{label}: {problem}. Fetch it another way, and name the file.", field=label)
            yield content
    if stream is not None:
        raise _TransientError("its compressed transfer is incomplete")


def _is_not_fetching(record: logging.LogRecord) -> bool:
    """Return whether a log record does not concern a download here."""
    return not _fetching.get()
