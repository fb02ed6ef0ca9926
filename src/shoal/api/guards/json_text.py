"""JSON bodies, read strictly: orjson instead of the standard library, within the room that a route has for them.

The standard parser takes NaN and Infinity, turns 1e999 into infinity, accepts lone surrogates and dies with a
RecursionError on deep nesting. orjson does none of this, but it holds the interpreter's lock from the first byte to the
last, a second for 60 MiB of vectors, in which no other request is answered. So the values are counted first, without
the lock, and a large body is parsed piece by piece.
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
from shoal.api.guards.rooms import SMALL, Room
from shoal.errors import InvalidRequest, TooLarge

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH: Final = 64
"""How deep lists and objects may be nested."""

_CONTAINERS: Final = frozenset({dict, list})
_TOO_DEEP: Final = ("depth", "recursion", "allocate")
"""How orjson words more than its own 1,024 levels, by version and by kind of container."""
_PIECE: Final = 2**20
_LARGEST_PIECE: Final = 8 * 2**20
_ONE_LIST: Final = (
    f"A JSON body of more than {_LARGEST_PIECE // 2**20} MiB must be an object with one long list of objects, each of "
    "them smaller than that."
)
_BETWEEN: Final = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*\"")
_DEEP: Final = re.compile(rb'(?:[\s\[{]|"[^"\\]*"\s*:){200}')
"""Opening signs only, which begin nothing but a nest."""
_NOT_ESCAPE: Final = re.compile(rb"[^\\]")
_MARK: Final = secrets.token_hex(16)
"""A text that no caller can know."""


def parse_json(body: bytes, room: Room = SMALL) -> Any:
    """The value of a JSON text; an empty one is `{}`. Raises InvalidRequest with the line and column of the fault,
    TooLarge where it holds more than there is room for."""
    if not body.strip():
        return {}
    _check_room(body, room)
    if len(body) <= _LARGEST_PIECE:
        return _parsed(body)
    return _parsed_by_pieces(body)


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_room(body: bytes, room: Room) -> None:
    """Raises TooLarge. Signs within texts are told apart only where all signs together are too many."""
    if len(body) <= room.containers or _fits(_signs(body), room) or _fits(_signs_outside_texts(body), room):
        return
    if _DEEP.match(body):
        raise _too_deep()
    raise TooLarge(
        f"The body holds more than {room.values:,} JSON values or {room.containers:,} lists and objects. "
        "Send it in several parts.",
        most_values=room.values,
        most_containers=room.containers,
    )


Signs = tuple[int, int]
"""How many commas and colons there are, and how many opening brackets and braces."""


def _fits(signs: Signs, room: Room) -> bool:
    return sum(signs) < room.values and signs[1] <= room.containers


def _signs(text: bytes) -> Signs:
    between = containers = 0
    for start in range(0, len(text), _PIECE):
        piece = np.frombuffer(text, np.uint8, min(_PIECE, len(text) - start), start)
        between += sum(int(np.count_nonzero(piece == sign)) for sign in b",:")
        containers += sum(int(np.count_nonzero(piece == sign)) for sign in b"[{")
    return between, containers


def _signs_outside_texts(body: bytes) -> Signs:
    between = containers = start = 0
    inside = False
    while start < len(body):
        end = _NOT_ESCAPE.search(body, min(start + _PIECE, len(body)))
        stop = len(body) if end is None else end.end()
        plain = body[start:stop].replace(rb"\\", b"").replace(rb"\"", b"")
        parts = plain.split(b'"')
        found = _signs(b"".join(parts[int(inside) :: 2]))
        between, containers = between + found[0], containers + found[1]
        inside ^= len(parts) % 2 == 0
        start = stop
    return between, containers


# ── parsing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(text: bytes) -> Any:
    """Raises InvalidRequest."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _malformed(error) from None
    _check_depth(value)
    return value


def _parsed_by_pieces(body: bytes) -> Any:
    """A large body: an object with one long list of objects, in which most of its bytes lie.

    It is cut between elements of that list. Where the first piece, closed by `]}`, the ones between, as lists, and the
    last one, opened by `{"…":[`, are each valid JSON, then all cuts were between elements of one list, and what was
    read is what the whole says: after the first piece a reader stands in a list in an object, and stays there. So a cut
    may be guessed; one within a text or deeper down leaves a piece that is not valid, and the right place is sought.
    A null stands before each piece but the first, for the element before its comma: after that comma one must follow.
    """
    first, start = _piece(body, 0, b"", b',"%s"]}' % _MARK.encode())
    name = next(name for name, value in first.items() if isinstance(value, list) and value[-1:] == [_MARK])
    items: list[Any] = first[name]
    items.pop()
    while len(body) - start > _PIECE:
        deadline.check()
        more, stop = _piece(body, start, b"[null,", b"]")
        if stop == len(body):
            break
        items += more[1:]
        start = stop
    opening = b'{"%s":[null,' % _MARK.encode()
    try:
        last = orjson.loads(opening + body[start:])
    except orjson.JSONDecodeError as error:
        raise _malformed(error, body[:start], len(opening)) from None
    _check_depth(last)
    items += last.pop(_MARK)[1:]
    return {**first, **last}


def _piece(body: bytes, start: int, opening: bytes, closing: bytes) -> tuple[Any, int]:
    """The value of the next elements, and where those after them begin; the end of the body where only few are left.
    Raises InvalidRequest, TooLarge."""
    guess = _BETWEEN.search(body, start + _PIECE, start + _LARGEST_PIECE)
    if guess is not None:
        with contextlib.suppress(orjson.JSONDecodeError):
            return _elements(body, start, guess.start() + 1, opening, closing)
    cut = _last_comma(body, start, in_list=bool(opening))
    if cut is None:
        if opening and len(body) - start <= _LARGEST_PIECE:
            return [], len(body)
        raise TooLarge(f"{_ONE_LIST} Send it in several parts.", limit_mib=_LARGEST_PIECE // 2**20)
    try:
        return _elements(body, start, cut, opening, closing)
    except orjson.JSONDecodeError as error:
        raise _malformed(error, body[:start], len(opening), f" {_ONE_LIST}") from None


def _elements(body: bytes, start: int, cut: int, opening: bytes, closing: bytes) -> tuple[Any, int]:
    value = orjson.loads(opening + body[start:cut] + closing)
    _check_depth([value])
    return value, body.index(b",", cut) + 1


def _last_comma(body: bytes, start: int, *, in_list: bool) -> int | None:
    """The last comma between elements of the list, in the next megabytes; None where there is none. `start` is the
    beginning of an element or, with `in_list` false, of the body."""
    depth = 0 if in_list else 2
    size = _PIECE
    while size <= _LARGEST_PIECE:
        commas = start + np.flatnonzero(_commas_at(depth, np.frombuffer(body, np.uint8)[start : start + size]))
        if len(commas) and commas[-1] < len(body) - _PIECE:
            return int(commas[-1])
        size *= 2
    return None


def _commas_at(depth: int, text: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n,) bool: commas outside of texts within `depth` more lists and objects than where the text begins, as long as
    it does not leave the place where it begins."""
    places = np.arange(len(text), dtype=np.int32)
    escapes = text == ord("\\")
    before = np.maximum.accumulate(np.where(escapes, np.int32(-1), places))  # the last byte that is no backslash
    run = places - 1 - np.concatenate([[np.int32(-1)], before[:-1]])
    outside = np.cumsum((text == ord('"')) & (run % 2 == 0), dtype=np.int32) % 2 == 0
    opens, closes = (text == ord("[")) | (text == ord("{")), (text == ord("]")) | (text == ord("}"))
    level = np.cumsum((opens & outside).astype(np.int8) - (closes & outside).astype(np.int8), dtype=np.int32)
    stays = np.minimum.accumulate(level) >= 0
    found: NDArray[np.bool_] = (text == ord(",")) & outside & (level == depth) & stays
    return found


def _check_depth(value: Any) -> None:
    """Level by level. `isdisjoint` runs in C, so that a long vector costs no Python step per number."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [child for container in level for child in _containers_in(container)]
        if not level:
            return
    raise _too_deep()


def _containers_in(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    values = container.values() if isinstance(container, dict) else container
    if _CONTAINERS.isdisjoint(map(type, values)):
        return ()
    return [value for value in values if type(value) in _CONTAINERS]


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The JSON body is nested more than {MAX_DEPTH} deep.", max_depth=MAX_DEPTH)


def _malformed(error: orjson.JSONDecodeError, before: bytes = b"", added: int = 0, remedy: str = "") -> InvalidRequest:
    """With the line and column in the whole body, of which `before` came first; the parser saw `added` characters more
    than were sent."""
    if any(word in error.msg.lower() for word in _TOO_DEEP):
        return _too_deep()
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
