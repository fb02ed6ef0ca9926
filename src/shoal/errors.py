"""Every error that Shoal raises on purpose, as one tree. No HTTP here: `api/errors.py` maps the tree to status codes.

ShoalError
├── InvalidRequest          the request as a whole makes no sense
│   └── InvalidField        one field has a wrong value: names the field, the value and the remedy
├── Unauthorized            no key, or an unknown one
├── Forbidden               a valid key without the permission
├── NotFound                no such resource in this scope (it may belong to another tenant)
├── Conflict                the state of the resource does not allow the operation
│   ├── AlreadyExists       the name or id is taken
│   │   └── KeyReused       an idempotency key that was sent with another request
│   └── StaleVersion        another writer was first: read again and retry
├── TooLarge                the body or the batch is over its limit
├── TooSlow                 the body did not arrive in time
├── RateLimited             more requests than are allowed: retry later
├── QueueFull               too many runs are waiting: retry later
├── Unavailable             a store did not answer in time: retry later
│   ├── Contended           every attempt of a transaction met a conflict: retry later
│   ├── InsufficientStorage the disk is full: free some space, then retry
│   ├── Overloaded          too many requests at once: retry later
│   └── OutOfTime           a request exceeded its time limit: narrow it down
├── Corrupt                 stored bytes are not what was written
├── Cancelled               the run was asked to stop
├── EncoderFailed           an encoder cannot be opened or does not answer: texts get no vectors
└── RunFailed               a run failed with an error that its owner may see
"""

from collections.abc import Mapping

__all__ = [
    "AlreadyExists",
    "Cancelled",
    "Conflict",
    "Contended",
    "Corrupt",
    "EncoderFailed",
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
    """Base class: a sentence for people in `message`; JSON-safe facts, never a secret, in `details`."""

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
        """Add the id of the document to the details and return the error."""
        self.details = {**self.details, "document_id": document_id}
        return self

    def move(self, field: str, problem: str) -> None:
        """Change the field and the problem, for instance to the row of one of several files; value and remedy stay."""
        self.message = f"{field}: {problem}" + self.message.removeprefix(f"{self.field}: {self.problem}")
        self.args = (self.message,)
        self.field, self.problem, self.details = field, problem, {**self.details, "field": field}


class Unauthorized(ShoalError):
    """No key, or an unknown one."""


class Forbidden(ShoalError):
    """A valid key that lacks the permission for this call."""


class NotFound(ShoalError):
    """No such resource in this scope. `near` is the most similar name, shown to callers that may read."""

    def __init__(self, resource: str, ref: str, hint: str = "", *, near: str | None = None) -> None:
        self.near = near
        super().__init__(
            f"No {resource} {shorten(ref)} here.{' ' + hint if hint else ''}", resource=resource, id=ref[:_SHOWN]
        )


class Conflict(ShoalError):
    """The state of the resource does not allow the operation."""


class AlreadyExists(Conflict):
    """The name or id is taken."""

    def __init__(self, resource: str, ref: str, **details: object) -> None:
        super().__init__(
            f"{_article(resource)} {resource} called {shorten(ref)} already exists. Choose another name.",
            resource=resource,
            id=ref[:_SHOWN],
            **details,
        )


class KeyReused(AlreadyExists):
    """An idempotency key that was already used for a different request."""

    def __init__(self, key: str) -> None:
        ShoalError.__init__(
            self,
            f"The idempotency key {shorten(key)} was used for another request: the route, its parameters or the body "
            "differ. Use a new key for each new request.",
            idempotency_key=key[:_SHOWN],
        )


class StaleVersion(Conflict):
    """Another writer was first: read again and retry."""


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
    """The maximum number of runs is waiting. Retry after `retry_after_seconds`."""

    def __init__(self, message: str, *, queued: int, limit: int, retry_after_seconds: int) -> None:
        super().__init__(message, queued=queued, limit=limit, retry_after_seconds=retry_after_seconds, retryable=True)


class Unavailable(ShoalError):
    """A store did not answer in time. Retry after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: int = 1, **details: object) -> None:
        super().__init__(message, retryable=True, retry_after_seconds=retry_after_seconds, **details)


class Contended(Unavailable):
    """Every attempt of a transaction met a conflict with other writers; nothing of it is stored."""


class InsufficientStorage(Unavailable):
    """The disk is full. Reads and deletions still work; writes resume once there is space again."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message, retry_after_seconds=5, **details)


class Overloaded(Unavailable):
    """Too many requests at once. Retry after `retry_after_seconds`."""


class OutOfTime(Unavailable):
    """The request exceeded its time limit. Unchanged, it would again, so it is not retryable."""

    def __init__(self, seconds: float) -> None:
        ShoalError.__init__(
            self,
            f"The request took longer than {seconds:g} s and was given up; nothing of it was stored. Narrow it down: "
            "fewer conditions, filters that SQLite can answer (eq, in, gt, lt, exists) before regex and words, fewer "
            "fields, or smaller collections. The operator of the server can raise SHOAL_REQUEST_SECONDS.",
            limit_seconds=seconds,
            retryable=False,
        )


class Corrupt(ShoalError):
    """Stored bytes differ from what was written."""


class Cancelled(ShoalError):
    """The run was cancelled."""


class EncoderFailed(ShoalError):
    """An encoder could not be opened, or did not encode: documents go without vectors, and nothing else is wrong."""


class RunFailed(ShoalError):
    """A run failed with an error that its owner may see."""


def shorten(value: object) -> str:
    """Return the repr of a value for an error message, cut to 80 characters without building the whole."""
    text = _beginning(value, _SHOWN + 1)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _beginning(value: object, most: int) -> str:
    """Return at least the first `most` characters of the repr: that of a whole large body would take seconds."""
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
