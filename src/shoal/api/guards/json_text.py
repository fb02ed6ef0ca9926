"""Strict parsing of JSON bodies with orjson, within the quota of the route.

The standard library's parser accepts NaN, Infinity and lone surrogates, turns 1e999 into infinity and raises
RecursionError on deep nesting. orjson does none of this, but holds the GIL for the whole parse: a second for 60 MiB of
vectors, in which no other request is answered. So the values are counted first, without the GIL, and a large body is
parsed in chunks.
"""

import contextlib
import re
import secrets
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shoal import deadline
from shoal.api.guards.body_quota import SMALL_QUOTA, BodyQuota
from shoal.errors import InvalidRequest, TooLarge

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH: Final = 64
"""The maximum nesting of lists and objects."""

_CONTAINERS: Final = frozenset({dict, list})
_TOO_DEEP: Final = ("depth", "recursion", "allocate")
"""Words in the errors of orjson about more than its own 1,024 levels; they vary by version and kind of container."""
_CHUNK_BYTES: Final = 2**20
_MAX_CHUNK_BYTES: Final = 8 * 2**20
_ONE_LIST: Final = (
    f"A JSON body of more than {_MAX_CHUNK_BYTES // 2**20} MiB must be an object with one long list of objects, each "
    "of them smaller than that."
)
_BETWEEN: Final = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*\"")
_DEEP: Final = re.compile(rb'(?:[\s\[{]|"[^"\\]*"\s*:){200}')
"""A body that begins with nothing but opening brackets and keys."""
_NOT_ESCAPE: Final = re.compile(rb"[^\\]")
_MARK: Final = secrets.token_hex(16)
"""A string that no caller can guess."""


def parse_json(body: bytes, quota: BodyQuota = SMALL_QUOTA) -> Any:
    """Parse a JSON text; an empty one is `{}`. Raises InvalidRequest with the line and column of the fault, TooLarge
    where it exceeds the quota."""
    if not body.strip():
        return {}
    _check_quota(body, quota)
    if len(body) <= _MAX_CHUNK_BYTES:
        return _parse(body)
    return _parse_in_chunks(body)


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_quota(body: bytes, quota: BodyQuota) -> None:
    """Raise TooLarge where the quota is exceeded. Strings are skipped only where the count with them is too high."""
    if (
        len(body) <= quota.containers
        or _fits(_count_tokens(body), quota)
        or _fits(_count_tokens_outside_strings(body), quota)
    ):
        return
    if _DEEP.match(body):
        raise _depth_error()
    raise TooLarge(
        f"The body holds more than {quota.values:,} JSON values or {quota.containers:,} lists and objects. "
        "Send it in several parts.",
        most_values=quota.values,
        most_containers=quota.containers,
    )


TokenCounts = tuple[int, int]
"""The number of commas and colons, and of opening brackets and braces."""


def _fits(counts: TokenCounts, quota: BodyQuota) -> bool:
    return sum(counts) < quota.values and counts[1] <= quota.containers


def _count_tokens(text: bytes) -> TokenCounts:
    between = containers = 0
    for start in range(0, len(text), _CHUNK_BYTES):
        chunk = np.frombuffer(text, np.uint8, min(_CHUNK_BYTES, len(text) - start), start)
        between += sum(int(np.count_nonzero(chunk == sign)) for sign in b",:")
        containers += sum(int(np.count_nonzero(chunk == sign)) for sign in b"[{")
    return between, containers


def _count_tokens_outside_strings(body: bytes) -> TokenCounts:
    between = containers = start = 0
    inside = False
    while start < len(body):
        end = _NOT_ESCAPE.search(body, min(start + _CHUNK_BYTES, len(body)))
        stop = len(body) if end is None else end.end()
        plain = body[start:stop].replace(rb"\\", b"").replace(rb"\"", b"")
        parts = plain.split(b'"')
        counts = _count_tokens(b"".join(parts[int(inside) :: 2]))
        between, containers = between + counts[0], containers + counts[1]
        inside ^= len(parts) % 2 == 0
        start = stop
    return between, containers


# ── parsing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse(text: bytes) -> Any:
    """Raises InvalidRequest."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _syntax_error(error) from None
    _check_depth(value)
    return value


def _parse_in_chunks(body: bytes) -> Any:
    """Parse a large body: an object with one long list of objects, which holds most of its bytes.

    The body is cut between elements of that list. Where the first chunk, closed by `]}`, the middle ones, as lists, and
    the last one, opened by `{"…":[`, are all valid JSON, every cut was between elements of one list, and the result is
    that of the whole: after the first chunk the parser is in a list in an object, and stays there. So a cut may be
    guessed; one within a string or deeper down leaves an invalid chunk, and then the right place is searched for. Each
    chunk but the first is parsed with a leading null, in place of the element before its comma, because an element has
    to follow that comma.
    """
    first, start = _parse_chunk(body, 0, b"", b',"%s"]}' % _MARK.encode())
    name = next(name for name, value in first.items() if isinstance(value, list) and value[-1:] == [_MARK])
    items: list[Any] = first[name]
    items.pop()
    while len(body) - start > _CHUNK_BYTES:
        deadline.check()
        more, stop = _parse_chunk(body, start, b"[null,", b"]")
        if stop == len(body):
            break
        items += more[1:]
        start = stop
    opening = b'{"%s":[null,' % _MARK.encode()
    try:
        last = orjson.loads(opening + body[start:])
    except orjson.JSONDecodeError as error:
        raise _syntax_error(error, body[:start], len(opening)) from None
    _check_depth(last)
    items += last.pop(_MARK)[1:]
    return {**first, **last}


def _parse_chunk(body: bytes, start: int, opening: bytes, closing: bytes) -> tuple[Any, int]:
    """Return the next elements and the start of those after them, or the end of the body where few are left. Raises
    InvalidRequest, TooLarge."""
    guess = _BETWEEN.search(body, start + _CHUNK_BYTES, start + _MAX_CHUNK_BYTES)
    if guess is not None:
        with contextlib.suppress(orjson.JSONDecodeError):
            return _parse_elements(body, start, guess.start() + 1, opening, closing)
    cut = _last_comma(body, start, in_list=bool(opening))
    if cut is None:
        if opening and len(body) - start <= _MAX_CHUNK_BYTES:
            return [], len(body)
        raise TooLarge(f"{_ONE_LIST} Send it in several parts.", limit_mib=_MAX_CHUNK_BYTES // 2**20)
    try:
        return _parse_elements(body, start, cut, opening, closing)
    except orjson.JSONDecodeError as error:
        raise _syntax_error(error, body[:start], len(opening), f" {_ONE_LIST}") from None


def _parse_elements(body: bytes, start: int, cut: int, opening: bytes, closing: bytes) -> tuple[Any, int]:
    value = orjson.loads(opening + body[start:cut] + closing)
    _check_depth([value])
    return value, body.index(b",", cut) + 1


def _last_comma(body: bytes, start: int, *, in_list: bool) -> int | None:
    """Return the last comma between elements of the list in the next megabytes, None where there is none. `start` is
    the beginning of an element or, with `in_list` false, of the body."""
    depth = 0 if in_list else 2
    size = _CHUNK_BYTES
    while size <= _MAX_CHUNK_BYTES:
        commas = start + np.flatnonzero(_commas_at(depth, np.frombuffer(body, np.uint8)[start : start + size]))
        if len(commas) and commas[-1] < len(body) - _CHUNK_BYTES:
            return int(commas[-1])
        size *= 2
    return None


def _commas_at(depth: int, text: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (n,) bool: the commas outside of strings that are `depth` levels below the start of the text, as long as
    the text does not leave the container in which it starts."""
    places = np.arange(len(text), dtype=np.int32)
    escapes = text == ord("\\")
    before = np.maximum.accumulate(np.where(escapes, np.int32(-1), places))  # the last byte that is not a backslash
    run = places - 1 - np.concatenate([[np.int32(-1)], before[:-1]])
    outside = np.cumsum((text == ord('"')) & (run % 2 == 0), dtype=np.int32) % 2 == 0
    opens, closes = (text == ord("[")) | (text == ord("{")), (text == ord("]")) | (text == ord("}"))
    level = np.cumsum((opens & outside).astype(np.int8) - (closes & outside).astype(np.int8), dtype=np.int32)
    stays = np.minimum.accumulate(level) >= 0
    commas: NDArray[np.bool_] = (text == ord(",")) & outside & (level == depth) & stays
    return commas


def _check_depth(value: Any) -> None:
    """Check the nesting level by level. `isdisjoint` runs in C: no Python step for each number of a vector."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [child for container in level for child in _containers_in(container)]
        if not level:
            return
    raise _depth_error()


def _containers_in(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    values = container.values() if isinstance(container, dict) else container
    if _CONTAINERS.isdisjoint(map(type, values)):
        return ()
    return [value for value in values if type(value) in _CONTAINERS]


def _depth_error() -> InvalidRequest:
    return InvalidRequest(f"The JSON body is nested more than {MAX_DEPTH} deep.", max_depth=MAX_DEPTH)


def _syntax_error(
    error: orjson.JSONDecodeError, before: bytes = b"", added: int = 0, remedy: str = ""
) -> InvalidRequest:
    """Return the error with the line and column in the whole body: `before` precedes the chunk, and the chunk was
    parsed with `added` extra characters."""
    if any(word in error.msg.lower() for word in _TOO_DEEP):
        return _depth_error()
    problem = error.msg
    if error.doc[max(0, error.pos - 1) :].lstrip(" :,[-").startswith(("NaN", "Infinity")):
        problem = "NaN and Infinity are not JSON; leave the value out or send null"
    line, column = error.lineno + before.count(b"\n"), error.colno
    if error.lineno == 1:
        column += len(before) - (before.rfind(b"\n") + 1) - added
    return InvalidRequest(
        f"The body is not valid JSON at line {line}, column {column}: {problem}.{remedy}",
        line=line,
        column=column,
        problem=problem,
    )
