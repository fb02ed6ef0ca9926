"""Requests and answers: headers, retries, and errors as Shoal's own tree.

A request is sent again where the server is busy for a moment, hung up before it answered or is starting again
(`attempts.py`). Every POST, and every change of many documents, carries an idempotency key, so that it is done once,
however often it is sent; what sets or removes one thing comes to the same when it is repeated. An error that leaves
open whether a write was done holds its key.
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

from shoal.client.attempts import Attempts, is_gateways
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

__all__ = ["Transport", "given", "parsed", "segment"]

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
"""Busy for as long as runs take: whoever asked decides whether to wait."""
_STARTING_SECONDS: Final = 10.0
_CUT: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadTimeout, httpx.WriteTimeout)


class Transport:
    """One pool of connections to one server, for one key and one namespace. Safe to use from several threads."""

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
        """The decoded JSON of the answer, None for an empty one. Raises what the server said, as a ShoalError."""
        content = None if body is None else _encoded(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        response = self._sent(method, path, lambda: content, headers, params=params)
        return orjson.loads(response.content) if response.content else None

    def ask(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """As `call`, as a record."""
        return parsed(kind, self.call(method, path, body, params=params))

    def asks(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> list[Answer]:
        """The `results` of a list, as records."""
        return [parsed(kind, item) for item in self.call(method, path, body, params=params)["results"]]

    def upload(
        self, method: str, path: str, chunks: Callable[[], Iterator[bytes]], media: str, params: Mapping[str, Any]
    ) -> Any:
        """Send a body that is made while it is sent; `chunks` begins it anew for each try, always the same."""
        response = self._sent(method, path, chunks, {"Content-Type": media}, params=params, timeout=None)
        return orjson.loads(response.content)

    def download(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        """The bytes of an answer; one that breaks off is asked for again."""
        return self._sent("GET", path, lambda: None, {}, params=params, timeout=None).content

    @contextmanager
    def under_key(self, key: str) -> Iterator[None]:
        """The first write inside is sent under this idempotency key: one that was sent before is answered again."""
        token = self._key.set(key)
        try:
            yield
        finally:
            self._key.reset(token)

    def _sent(
        self, method: str, path: str, content: Callable[[], Any], headers: Mapping[str, str], **options: Any
    ) -> httpx.Response:
        key = None
        if method != "GET":
            key = self._key.get() or uuid.uuid4().hex
            self._key.set(None)
            headers = {**headers, "Idempotency-Key": key}
        attempts = self._attempts(method)
        while True:
            self._take_local_key()
            try:
                with _speaking_shoal(self.base_url):
                    response = self._http.request(method, path, content=content(), headers=headers, **options)
            except Unavailable as error:
                pause = attempts.pause_after_error(error)
                if pause is None:
                    raise _given_up(error, key, attempts.hung_up or isinstance(error.__cause__, _CUT)) from error
            else:
                self._reached = True
                if response.status_code == httpx.codes.UNAUTHORIZED and self._take_local_key():
                    continue  # the server wrote its first key after the request had been sent
                if (
                    response.is_success
                    or (pause := attempts.pause_after_answer(response, lasting=_lasts(response))) is None
                ):
                    break
            time.sleep(pause)
        if not (
            attempts.hung_up and method == "DELETE" and response.status_code == 404
        ):  # else an earlier try removed it
            self._check_key(response)
            _check(response, key)
        return response

    def _attempts(self, method: str) -> Attempts:
        if self._local_key is not None and not self._reached:  # `shoal serve &` a moment ago
            return Attempts(min(self._restart_s, _STARTING_SECONDS), reached=True, reads=method == "GET")
        return Attempts(self._restart_s, reached=self._reached, reads=method == "GET")

    def _take_local_key(self) -> bool:
        """Whether a key was found that was not there before."""
        if self._local_key is None or "Authorization" in self._http.headers or (key := self._local_key.read()) is None:
            return False
        self._http.headers["Authorization"] = f"Bearer {key}"
        return True

    def _check_key(self, response: httpx.Response) -> None:
        """Raise Unauthorized, with the place that was looked at, where there was no key to send or its key is wrong."""
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        if "Authorization" in self._http.headers:
            if self._local_key is not None:
                said = str(_error_of(response)["message"])
                hint = f"It was read from {self._local_key.file}: is it that server's folder? Else give api_key, or set"
                raise _as_told(Unauthorized, f"{said} {hint} SHOAL_API_KEY or SHOAL_DATA.", {}, 401)
            return
        where = "" if self._local_key is None else f" ({self._local_key.file} has none: is it that server's folder?)"
        raise _as_told(
            Unauthorized, f"There is no key for {self.base_url}{where}. Give api_key, or set SHOAL_API_KEY.", {}, 401
        )


def _lasts(response: httpx.Response) -> bool:
    return _error_of(response).get("code") in _LASTING


def _given_up(error: Unavailable, key: str | None, unknown: bool) -> Unavailable:
    """The same error; where the request may have been carried out, with its key and the way to find out."""
    if key is None or not unknown:
        return error
    return Unavailable(
        f"{error.message} Whether it was done is not known. Repeat the call within `client.repeating(error)`: it is "
        "done now, or answered as it was done before.",
        idempotency_key=key,
    )


def segment(ref: str) -> str:
    """An id or a name as one segment of a path. Raises InvalidRequest for what would name another route."""
    if ref in ("", ".", ".."):
        raise InvalidRequest("An id or a name is needed here, not an empty text.")
    return quote(ref, safe="")


def given(**values: object) -> dict[str, object]:
    """The values that are not None; numbers of NumPy as the numbers they are."""
    return {name: unwrap(value) for name, value in values.items() if value is not None}


def _encoded(body: object) -> bytes:
    """JSON; what pandas and NumPy have for missing values becomes null. Raises InvalidField for what has no form."""
    try:
        return orjson.dumps(body, _plain, orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        remedy = "Send text, numbers, truth values, dates, lists and objects."
        raise InvalidField("body", f"has no form in JSON ({error})", remedy=remedy) from None


def _plain(value: object) -> object:
    """For orjson, of a value that it does not know."""
    if is_missing(value):
        return None
    if isinstance(value, datetime):  # pandas.Timestamp, which orjson leaves to us
        return value.isoformat()
    if isinstance(value, np.ndarray):  # laid out as orjson does not take it, or of objects
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a {type(value).__name__}")


def parsed(kind: type[Answer], raw: object) -> Answer:
    """An answer as a record, without fields that a newer server added.

    Raises ShoalError where it is not what this version understands.
    """
    try:
        return kind.model_validate(raw, context=READING)
    except ValidationError as error:
        raise ShoalError(
            f"The server's answer is no {kind.__name__} this client understands; are server and client of one version? "
            f"({error.errors()[0]['msg']})"
        ) from error


@contextmanager
def _speaking_shoal(base_url: str) -> Iterator[None]:
    """Errors of the connection, in our words."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Unavailable(f"{base_url} did not answer in time.") from error
    except httpx.TransportError as error:
        raise Unavailable(f"Cannot reach {base_url} ({error}). Is `shoal serve` running there?") from error


def _check(response: httpx.Response, key: str | None = None) -> None:
    """Raise what the server said, or what a gateway before it said."""
    if response.is_success:
        return
    told = _error_of(response)
    if response.status_code in (502, 504) and is_gateways(response):
        raise _given_up(Unavailable(f"A gateway answered {response.status_code} instead of the server."), key, True)
    kind = _BY_CODE.get(str(told.get("code")), _BY_STATUS.get(response.status_code, ShoalError))
    details = told.get("details")
    raise _as_told(kind, str(told["message"]), details if isinstance(details, Mapping) else {}, response.status_code)


def _error_of(response: httpx.Response) -> Mapping[str, Any]:
    try:
        error = orjson.loads(response.content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        error = None
    if isinstance(error, Mapping) and error.get("message"):
        return error
    return {"message": f"The server answered {response.status_code} without saying why. Is it a Shoal server?"}


def _as_told(kind: type[ShoalError], message: str, details: Mapping[str, object], status: int) -> ShoalError:
    """An error of that class with the server's own words, past the constructors that compose a sentence."""
    error = kind.__new__(kind)
    ShoalError.__init__(error, message, **{**details, "status": status})
    return error
