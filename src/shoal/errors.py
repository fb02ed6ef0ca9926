"""Every error Shoal raises on purpose, as one tree. No HTTP here: `api/errors.py` maps the tree to status codes.

ShoalError
├── InvalidRequest          the request as a whole makes no sense
│   └── InvalidField        one field has a wrong value: names the field, the value and the remedy
├── Unauthorized            no key, or a key that is not known
├── Forbidden               a known key without the permission
├── NotFound                no such thing in this scope (also: it belongs to somebody else)
├── Conflict                the state of the thing forbids the move
│   ├── AlreadyExists       the name or id is taken
│   │   └── KeyReused       an idempotency key that was sent with another request
│   └── StaleVersion        somebody else wrote first: read again and retry
├── TooLarge                the body or the batch is over its limit
├── TooSlow                 the body did not arrive in time
├── RateLimited             more requests than are allowed: retry later
├── QueueFull               more runs than may wait: retry later
├── Unavailable             a store did not answer in time: retry later
│   ├── Contended           others changed the same data each time it was tried: retry later
│   ├── InsufficientStorage the disk has no room for it: free some, then retry
│   ├── Overloaded          too many requests at once: retry later
│   └── OutOfTime           a request needs longer than it may take: ask for less
├── Corrupt                 stored bytes are not what was written
├── Cancelled               the run was asked to stop
└── RunFailed               a run ended with an error that is told to its owner
"""

from collections.abc import Mapping

__all__ = [
    "AlreadyExists",
    "Cancelled",
    "Conflict",
    "Contended",
    "Corrupt",
    "Forbidden",
    "InsufficientStorage",
    "InvalidField",
    "InvalidRequest",
    "KeyReused",
    "NotFound",
    "OutOfTime",
    "Overloaded",
    "QueueFull",
    "RateLimited",
    "RunFailed",
    "ShoalError",
    "StaleVersion",
    "TooLarge",
    "TooSlow",
    "Unauthorized",
    "Unavailable",
]

_SHOWN = 80
_MOST_BITS = 1024


class ShoalError(Exception):
    """A sentence for people in `message`; JSON-safe facts, never a secret, in `details`."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class InvalidRequest(ShoalError):
    """The request as a whole makes no sense."""


class InvalidField(InvalidRequest):
    """One field has a wrong value.

    `field` is the dotted path as the caller wrote it (`documents[3].vectors.text`), `remedy` says what to do.
    """

    def __init__(self, field: str, problem: str, *, value: object = None, remedy: str = "") -> None:
        shown = "" if value is None else f", got {shorten(value)}"
        super().__init__(
            f"{field}: {problem}{shown}.{' ' + remedy if remedy else ''}",
            field=field,
            value=None if value is None else shorten(value),
            remedy=remedy or None,
        )
        self.field = field
        self.problem = problem

    def about(self, document_id: str) -> "InvalidField":
        """The same error, told of this document as well."""
        self.details = {**self.details, "document_id": document_id}
        return self

    def move(self, field: str, problem: str) -> None:
        """Let it be about another field, such as the row of one file of several, with the same value and remedy."""
        self.message = f"{field}: {problem}" + self.message.removeprefix(f"{self.field}: {self.problem}")
        self.args = (self.message,)
        self.field, self.problem, self.details = field, problem, {**self.details, "field": field}


class Unauthorized(ShoalError):
    """No key, or a key that is not known."""


class Forbidden(ShoalError):
    """A known key that lacks the permission for this call."""


class NotFound(ShoalError):
    """No such thing in this scope. `near` is the name that was meant perhaps, for those who may read."""

    def __init__(self, resource: str, ref: str, hint: str = "", *, near: str | None = None) -> None:
        self.near = near
        super().__init__(
            f"No {resource} {shorten(ref)} here.{' ' + hint if hint else ''}", resource=resource, id=ref[:_SHOWN]
        )


class Conflict(ShoalError):
    """The present state of the thing forbids the move."""


class AlreadyExists(Conflict):
    """The name or id is taken."""

    def __init__(self, resource: str, ref: str, **details: object) -> None:
        super().__init__(
            f"{_article(resource)} {resource} called {shorten(ref)} exists already. Choose another name.",
            resource=resource,
            id=ref[:_SHOWN],
            **details,
        )


class KeyReused(AlreadyExists):
    """An idempotency key stands for one request: another one was sent with it before."""

    def __init__(self, key: str) -> None:
        ShoalError.__init__(
            self,
            f"The idempotency key {shorten(key)} was used for another request: the route, its parameters or the body "
            "differ. Use a new key for each new request.",
            idempotency_key=key[:_SHOWN],
        )


class StaleVersion(Conflict):
    """Somebody else wrote first: read again and retry."""


class TooLarge(ShoalError):
    """The body or the batch is over its limit."""


class TooSlow(ShoalError):
    """The body did not arrive in time."""


class RateLimited(ShoalError):
    """More requests than are allowed. Retry after `retry_after_seconds`."""

    def __init__(self, message: str, *, limit: int, window: int, retry_after_seconds: int) -> None:
        super().__init__(
            message,
            limit=limit,
            window=window,
            retry_after=retry_after_seconds,
            retry_after_seconds=retry_after_seconds,
            retryable=True,
        )


class QueueFull(ShoalError):
    """As many runs wait as may. Retry after `retry_after_seconds`."""

    def __init__(self, message: str, *, queued: int, limit: int, retry_after_seconds: int) -> None:
        super().__init__(message, queued=queued, limit=limit, retry_after_seconds=retry_after_seconds, retryable=True)


class Unavailable(ShoalError):
    """A store did not answer in time. Retry after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: int = 1, **details: object) -> None:
        super().__init__(message, retryable=True, retry_after_seconds=retry_after_seconds, **details)


class Contended(Unavailable):
    """Others changed the same data each time a transaction was tried; nothing of it is stored."""


class InsufficientStorage(Unavailable):
    """The disk has no room for this. Reading and deleting go on; writes do once there is room again."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message, retry_after_seconds=5, **details)


class Overloaded(Unavailable):
    """Too many requests at once. Retry after `retry_after_seconds`."""


class OutOfTime(Unavailable):
    """The request needs longer than it may take. The same one would again, so it is not to be repeated as it is."""

    def __init__(self, seconds: float) -> None:
        ShoalError.__init__(
            self,
            f"The request took longer than {seconds:g} s and was given up; nothing of it was stored. Narrow it down: "
            "fewer conditions, filters that SQLite can answer (eq, in, gt, lt, exists) before regex and words, fewer "
            "fields, or smaller collections. Whoever runs the server can raise SHOAL_REQUEST_SECONDS.",
            limit_seconds=seconds,
            retryable=False,
        )


class Corrupt(ShoalError):
    """Stored bytes are not what was written."""


class Cancelled(ShoalError):
    """The run was asked to stop."""


class RunFailed(ShoalError):
    """A run ended with an error that is told to its owner."""


def shorten(value: object) -> str:
    """A value as shown in an error: its repr, at most 80 characters, however large it is."""
    text = _beginning(value, _SHOWN + 1)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _beginning(value: object, most: int) -> str:
    """At least the first `most` characters of the repr: the whole of a large body would take seconds."""
    if isinstance(value, (str, bytes)):
        return repr(value[: max(most, 0)])
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:  # Python refuses to write such a number down
        return f"an integer of {value.bit_length():,} bits"
    if type(value) is not dict and type(value) is not list:
        return repr(value)
    text, end = ("{", "}") if type(value) is dict else ("[", "]")
    for item in value:
        if len(text) > most:
            return text
        text += ", " if len(text) > 1 else ""
        if type(value) is dict:
            text += f"{_beginning(item, most - len(text))}: "
            text += _beginning(value[item], most - len(text))
        else:
            text += _beginning(item, most - len(text))
    return text + end


def _article(noun: str) -> str:
    return "An" if noun[0] in "aeiouAEIOU" else "A"
