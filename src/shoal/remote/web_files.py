"""A file at `https://` or `http://`, fetched whole or not at all, and nothing of its address shown but the name.

What a server may do is bounded: how often it passes on and where to, how much it sends, what that unpacks to.
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
from shoal.files.addresses import Address
from shoal.files.bounds import Bounds, size_text
from shoal.remote.fetch_room import Room
from shoal.remote.web_network import is_all_inside, may_be_inside, named_proxy, web_client
from shoal.settings import Settings

if TYPE_CHECKING:
    import httpx

__all__ = ["fetch"]

_PIECE: Final = 2**20
_SECONDS: Final = 30.0
_HOPS: Final = 10
"""How often a server may pass on."""
_WAITS: Final = (0.5, 2.0)
"""Seconds before each further try, where trying again may help."""
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_WEB: Final = ("http", "https")
_FILES: Final = frozenset({200, 203})
"""What a server says as it sends a file, and not that there is none yet, or a part of one."""
_REMEDIES: Final = {
    202: "The file is being made: try again later.",
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


class _Passing(Exception):
    """What may be otherwise at the next try."""

    def __init__(self, problem: str, remedy: str = "Check the address and the network, or try again later.") -> None:
        super().__init__(problem)
        self.problem, self.remedy = f"cannot be fetched: {problem}", remedy


def fetch(address: Address, target: Path, room: Room) -> None:
    """Fetch the file at an address.

    Parameters
    ----------
    address
        `https://…` or `http://…`.
    target
        Where to; a name that ends in `.gz` stands for the packed file.
    room
        Takes the bytes.

    Raises
    ------
    InvalidField
        For an address that does not answer with a file, or passes on to where no file is fetched from.
    TooLarge
        For more than there is room for, and for what unpacks to far more than was sent.
    """
    token = _fetching.set(True)
    try:
        for wait in (*_WAITS, None):
            try:
                return _fetch(address, target, room)
            except _Passing as error:
                problem, remedy = error.problem, error.remedy
            if wait is not None:
                time.sleep(wait)
    finally:
        _fetching.reset(token)
    raise InvalidField(address.name, problem, remedy=remedy)


def _fetch(address: Address, target: Path, room: Room) -> None:
    import httpx

    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_quiet)  # they log whole addresses
    label = address.name
    try:
        with web_client(label, _SECONDS) as client:
            answer = _answer(client, address)
            try:
                _check_answer(label, answer)
                size = int(answer.headers.get("content-length", 0))
                packed = target.suffix.lower() == ".gz"
                pieces = _counted(answer.iter_raw(), size)
                room.write(pieces if packed else _unpacked(pieces, label, answer), target, size)
            finally:
                answer.close()
    except httpx.ConnectError as error:
        raise _unreachable(label, error) from None
    except httpx.TimeoutException:
        raise _Passing(f"the server said nothing for {_SECONDS:.0f} seconds") from None
    except httpx.ProxyError:
        problem = f"cannot be fetched: the proxy that {named_proxy()} names does not let it through"
        raise InvalidField(label, problem, remedy="Check the proxy, and the user and password for it.") from None
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        raise _Passing("the connection ended before the file did") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # their texts may hold the address with its keys
        problem = f"cannot be fetched ({type(error).__name__})"
        raise InvalidField(label, problem, remedy="Check the address and the network.") from None


def _answer(client: "httpx.Client", address: Address) -> "httpx.Response":
    """The last answer, whose body was not read. What servers on the way say in theirs is not read either."""
    label, request = address.name, client.build_request("GET", address.text)
    named = request.url.host
    for _ in range(_HOPS + 1):
        answer = _sent(client, request, label)
        following = answer.next_request
        if following is None:
            return answer
        answer.close()
        if following.url.scheme not in _WEB:
            problem = f"is passed on to {following.url.scheme}://, which no web server has files at"
            raise InvalidField(label, problem, remedy="Name the address of the file itself.")
        if request.url.scheme == "https" and following.url.scheme != "https":
            raise InvalidField(label, "is passed on to an address without encryption", remedy="Name it yourself.")
        if may_be_inside(following.url.host) and not is_all_inside(named):
            problem = "is passed on to an address inside of this network, from one outside of it"
            raise InvalidField(label, problem, remedy="Name it yourself.")
        request = following
    raise InvalidField(label, f"is passed on more than {_HOPS} times", remedy="Name the address of the file itself.")


def _sent(client: "httpx.Client", request: "httpx.Request", label: str) -> "httpx.Response":
    import httpx

    try:
        return client.send(request, stream=True)
    except httpx.RemoteProtocolError as error:
        if not isinstance(error.__context__, httpx.InvalidURL):
            raise
    problem = "is passed on to what is no address"
    raise InvalidField(label, problem, remedy="Name the address of the file itself.")


def _check_answer(label: str, answer: "httpx.Response") -> None:
    status = answer.status_code
    if status in _TRY_AGAIN:
        remedy = _REMEDIES.get(status, "It is not well: try again later.")
        raise _Passing(f"the server says {status}", remedy)
    if status not in _FILES:
        usual = "It is not well: try again later." if status >= 500 else "Check the address and its keys."
        remedy = _REMEDIES.get(status, usual)
        raise InvalidField(label, f"cannot be fetched: the server says {status}", remedy=remedy)
    if answer.headers.get("content-type", "").lower().startswith("text/html"):
        remedy = "Name the address of the file itself, such as the one behind Raw or Download."
        raise InvalidField(label, "is a web page, not a file", remedy=remedy)


def _unreachable(label: str, error: "httpx.ConnectError") -> Exception:
    """Why no connection was made, as far as trying again does not help."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        remedy = "Check the address; for an authority of your own set SSL_CERT_FILE to the file with its certificate."
        why = f"the server's certificate is not trusted ({cause.verify_message.rstrip('.')})"
        return InvalidField(label, f"cannot be fetched: {why}", remedy=remedy)
    proxy = named_proxy()
    return _Passing("no connection to the server" + (f", or to the proxy that {proxy} names" if proxy else ""))


def _counted(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    received = 0
    for piece in pieces:
        received += len(piece)
        yield piece
    if received < size:
        raise _Passing(f"{size_text(received)} of {size_text(size)} came")


def _unpacked(pieces: Iterator[bytes], label: str, answer: "httpx.Response") -> Iterator[bytes]:
    """What was packed for the way, although that was not asked for. Raises TooLarge for what unpacks to far more."""
    packing = answer.headers.get("content-encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        yield from pieces
        return
    if packing not in ("gzip", "x-gzip"):
        problem = f"is sent packed as {packing!r}, which Shoal does not unpack"
        raise InvalidField(label, problem, remedy="Fetch it another way, and name the file.")
    yield from _inflated(pieces, label, Bounds.in_memory(Settings.read().import_unfolded_mib).unfolded_bytes)


def _inflated(pieces: Iterator[bytes], label: str, most: Callable[[int], int]) -> Iterator[bytes]:
    """All members of a gzip stream one after the other, as `gzip -d` has them; zeros may lie behind one."""
    stream: zlib._Decompress | None = zlib.decompressobj(31)
    received = made = 0
    for piece in pieces:
        received += len(piece)
        left = piece
        while left := left.lstrip(b"\0") if stream is None else left:
            stream = stream or zlib.decompressobj(31)
            try:
                plain = stream.decompress(left, _PIECE)
            except zlib.error:
                raise _Passing("it is packed for its way, and damaged") from None
            left, made = stream.unused_data if stream.eof else stream.unconsumed_tail, made + len(plain)
            stream = None if stream.eof else stream
            if made > most(received):
                problem = f"unpacks to more than {size_text(most(received))} of {size_text(received)} that were sent"
                raise TooLarge(f"{label}: {problem}. Fetch it another way, and name the file.", field=label)
            yield plain
    if stream is not None:
        raise _Passing("it is packed for its way, and cut off")


def _is_quiet(record: logging.LogRecord) -> bool:
    """Whether the line is about no file that is fetched here."""
    return not _fetching.get()
