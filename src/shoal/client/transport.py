"""Requests and responses: headers, retries, and errors from Shoal's own hierarchy.

A request is repeated where the server is briefly busy, dropped the connection before it answered, or is restarting
(`attempts.py`). Every POST, and every change of many documents, carries an idempotency key, so that it is done once,
however often it is sent; setting or removing a single object is idempotent anyway. An error that leaves open whether a
write was done holds its key.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
import orjson
from pydantic import BaseModel, ValidationError

from shoal.client.attempts import Attempts, is_from_gateway
from shoal.client.local_key import LocalKey
from shoal.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InsufficientStorage,
    InvalidField,
    InvalidRequest,
    KeyReused,
    NotFound,
    Overloaded,
    QueueFull,
    RateLimited,
    ShoalError,
    StaleVersion,
    TooLarge,
    TooSlow,
    Unauthorized,
    Unavailable,
)
from shoal.records.base import READING
from shoal.scalars import is_missing, unwrap

__all__ = ["Transport", "drop_none", "parse_record", "path_segment"]

Answer = TypeVar("Answer", bound=BaseModel)

_BY_STATUS: Final[Mapping[int, type[ShoalError]]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: InvalidRequest,
    408: TooSlow,
    409: Conflict,
    413: TooLarge,
    422: InvalidRequest,
    429: RateLimited,
    503: Unavailable,
    507: InsufficientStorage,
}
_BY_CODE: Final[Mapping[str, type[ShoalError]]] = {
    "already_exists": AlreadyExists,
    "idempotency_key_reused": KeyReused,
    "overloaded": Overloaded,
    "queue_full": QueueFull,
    "stale_version": StaleVersion,
}
_LASTING: Final = frozenset({"queue_full", "out_of_time"})
"""Codes of a server that stays busy for as long as runs take: the caller decides whether to wait."""
_STARTING_SECONDS: Final = 10.0
_CUT: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadTimeout, httpx.WriteTimeout)


class Transport:
    """One connection pool to one server, for one key and one namespace. Thread-safe."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        namespace: str | None,
        timeout_s: float,
        restart_s: float = 60.0,
        local_key: LocalKey | None = None,
    ) -> None:
        headers = {"Accept": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        if namespace:
            headers["X-Namespace"] = namespace
        self.base_url, self._restart_s = base_url, restart_s
        self._reached = False
        self._local_key = local_key
        self._key: ContextVar[str | None] = ContextVar("idempotency_key", default=None)
        self._http = httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            transport=httpx.HTTPTransport(retries=2),
        )

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None, *, params: Mapping[str, Any] | None = None) -> Any:
        """Return the decoded JSON of the response, None for an empty one. Raises the server's error as a ShoalError."""
        content = None if body is None else _encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        response = self._send(method, path, lambda: content, headers, params=params)
        return orjson.loads(response.content) if response.content else None

    def request_record(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """As `call`, parsed as a record."""
        return parse_record(kind, self.call(method, path, body, params=params))

    def request_records(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> list[Answer]:
        """As `call`, with the `results` of a list parsed as records."""
        return [parse_record(kind, item) for item in self.call(method, path, body, params=params)["results"]]

    def upload(
        self, method: str, path: str, chunks: Callable[[], Iterator[bytes]], media: str, params: Mapping[str, Any]
    ) -> Any:
        """Send a body that is generated while it is sent; `chunks` starts it anew for each attempt, always the same."""
        response = self._send(method, path, chunks, {"Content-Type": media}, params=params, timeout=None)
        return orjson.loads(response.content)

    def download(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        """Return the bytes of a response; a broken download is repeated."""
        return self._send("GET", path, lambda: None, {}, params=params, timeout=None).content

    @contextmanager
    def use_key(self, key: str) -> Iterator[None]:
        """Send the first write in the block under this idempotency key: if it was done before, its response is
        repeated."""
        token = self._key.set(key)
        try:
            yield
        finally:
            self._key.reset(token)

    def _send(
        self, method: str, path: str, content: Callable[[], Any], headers: Mapping[str, str], **options: Any
    ) -> httpx.Response:
        key = None
        if method != "GET":
            key = self._key.get() or uuid.uuid4().hex
            self._key.set(None)
            headers = {**headers, "Idempotency-Key": key}
        attempts = self._new_attempts(method)
        while True:
            self._take_local_key()
            try:
                with _translate_errors(self.base_url):
                    response = self._http.request(method, path, content=content(), headers=headers, **options)
            except Unavailable as error:
                pause = attempts.pause_after_error(error)
                if pause is None:
                    raise _add_idempotency_key(
                        error, key, attempts.hung_up or isinstance(error.__cause__, _CUT)
                    ) from error
            else:
                self._reached = True
                if response.status_code == httpx.codes.UNAUTHORIZED and self._take_local_key():
                    continue  # the server wrote its first key after the request was sent
                if (
                    response.is_success
                    or (pause := attempts.pause_after_answer(response, lasting=_is_lasting(response))) is None
                ):
                    break
            time.sleep(pause)
        if not (
            attempts.hung_up and method == "DELETE" and response.status_code == 404
        ):  # else an earlier attempt removed it
            self._check_key(response)
            _raise_for_status(response, key)
        return response

    def _new_attempts(self, method: str) -> Attempts:
        if self._local_key is not None and not self._reached:  # `shoal serve &` a moment ago
            return Attempts(min(self._restart_s, _STARTING_SECONDS), reached=True, reads=method == "GET")
        return Attempts(self._restart_s, reached=self._reached, reads=method == "GET")

    def _take_local_key(self) -> bool:
        """Read the local key, and return whether one was found that was not there before."""
        if self._local_key is None or "Authorization" in self._http.headers or (key := self._local_key.read()) is None:
            return False
        self._http.headers["Authorization"] = f"Bearer {key}"
        return True

    def _check_key(self, response: httpx.Response) -> None:
        """Raise Unauthorized where there was no key to send or the local key is wrong, naming where it was looked
        for."""
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        if "Authorization" in self._http.headers:
            if self._local_key is not None:
                message = str(_parse_error(response)["message"])
                hint = f"It was read from {self._local_key.file}: is it that server's folder? Else give api_key, or set"
                raise _build_error(Unauthorized, f"{message} {hint} SHOAL_API_KEY or SHOAL_DATA.", {}, 401)
            return
        where = "" if self._local_key is None else f" ({self._local_key.file} has none: is it that server's folder?)"
        raise _build_error(
            Unauthorized, f"There is no key for {self.base_url}{where}. Give api_key, or set SHOAL_API_KEY.", {}, 401
        )


def _is_lasting(response: httpx.Response) -> bool:
    return _parse_error(response).get("code") in _LASTING


def _add_idempotency_key(error: Unavailable, key: str | None, may_be_done: bool) -> Unavailable:
    """Return the error; where the request may have been carried out, with its key and how to find out."""
    if key is None or not may_be_done:
        return error
    return Unavailable(
        f"{error.message} It is unknown whether it was done. Repeat the call within `client.repeating(error)`: it is "
        "done now, or answered as it was done before.",
        idempotency_key=key,
    )


def path_segment(ref: str) -> str:
    """Quote an id or a name as one path segment. Raises InvalidRequest for one that would change the route."""
    if ref in ("", ".", ".."):
        raise InvalidRequest("An id or a name is required here, not an empty text.")
    return quote(ref, safe="")


def drop_none(**values: object) -> dict[str, object]:
    """Return the values that are not None, NumPy numbers converted to Python's."""
    return {name: unwrap(value) for name, value in values.items() if value is not None}


def _encode(body: object) -> bytes:
    """Serialize as JSON, with null for the missing values of pandas and NumPy. Raises InvalidField for other
    objects."""
    try:
        return orjson.dumps(body, _json_default, orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        remedy = "Send text, numbers, truth values, dates, lists and objects."
        raise InvalidField("body", f"has no JSON representation ({error})", remedy=remedy) from None


def _json_default(value: object) -> object:
    """Convert what orjson does not serialize itself."""
    if is_missing(value):
        return None
    if isinstance(value, datetime):  # pandas.Timestamp, which orjson does not serialize
        return value.isoformat()
    if isinstance(value, np.ndarray):  # in a layout that orjson rejects, or of objects
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a {type(value).__name__}")


def parse_record(kind: type[Answer], raw: object) -> Answer:
    """Parse a response as a record, ignoring fields that a newer server added.

    Raises ShoalError where this version does not understand it.
    """
    try:
        return kind.model_validate(raw, context=READING)
    except ValidationError as error:
        raise ShoalError(
            f"The server's answer is no {kind.__name__} this client understands; are server and client of one version? "
            f"({error.errors()[0]['msg']})"
        ) from error


@contextmanager
def _translate_errors(base_url: str) -> Iterator[None]:
    """Translate connection errors."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Unavailable(f"{base_url} did not answer in time.") from error
    except httpx.TransportError as error:
        raise Unavailable(f"Cannot reach {base_url} ({error}). Is `shoal serve` running there?") from error


def _raise_for_status(response: httpx.Response, key: str | None = None) -> None:
    """Raise the error of the server, or of a gateway in front of it."""
    if response.is_success:
        return
    error = _parse_error(response)
    if response.status_code in (502, 504) and is_from_gateway(response):
        raise _add_idempotency_key(
            Unavailable(f"A gateway answered {response.status_code} instead of the server."), key, True
        )
    kind = _BY_CODE.get(str(error.get("code")), _BY_STATUS.get(response.status_code, ShoalError))
    details = error.get("details")
    raise _build_error(
        kind, str(error["message"]), details if isinstance(details, Mapping) else {}, response.status_code
    )


def _parse_error(response: httpx.Response) -> Mapping[str, Any]:
    try:
        error = orjson.loads(response.content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        error = None
    if isinstance(error, Mapping) and error.get("message"):
        return error
    return {"message": f"The server answered {response.status_code} without saying why. Is it a Shoal server?"}


def _build_error(kind: type[ShoalError], message: str, details: Mapping[str, object], status: int) -> ShoalError:
    """Build an error of a class from the server's own message, bypassing constructors that compose one."""
    error = kind.__new__(kind)
    ShoalError.__init__(error, message, **{**details, "status": status})
    return error
