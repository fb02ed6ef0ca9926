"""Where the values of a JSON document begin and end, found without reading them: a file is mapped, not held."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import orjson

__all__ = [
    "Data",
    "Member",
    "Unfinished",
    "end_of",
    "first_at",
    "is_list_of",
    "mapped_file",
    "members",
    "sequence",
    "values",
]

Data: TypeAlias = bytes | mmap.mmap

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_COLON: Final = re.compile(rb"\s*:\s*")
_SPACE: Final = re.compile(rb"[\s]*")
_OPENING, _CLOSING = b"[{", b"]}"


class Unfinished(Exception):
    """A document ends inside of a value; `at` is where the value begins."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Member(NamedTuple):
    """A member of an object: its key, and where its value begins. `stop` is where a list or an object ends, else
    where it begins."""

    key: str
    start: int
    stop: int

    @property
    def is_container(self) -> bool:
        """Whether the value is a list or an object."""
        return self.stop > self.start


def mapped_file(path: Path) -> Data:
    """The content of a file that is not empty."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def first_at(data: Data, start: int) -> int:
    """The first place from `start` on that is no white space; the end where there is none."""
    found = _SPACE.match(data, start)
    return found.end() if found else start


def values(data: Data, start: int) -> Iterator[tuple[int, int]]:
    """Where the lists and objects lie that are directly inside of the list or object at `start`; the last pair is the
    whole, from `start` to its end. Raises Unfinished where it has none."""
    for token, place in _tokens(data, start):
        if place is not None:
            yield place, token.end()


def _tokens(data: Data, start: int) -> Iterator[tuple[re.Match[bytes], int | None]]:
    """The tokens directly inside of the list or object at `start`: texts with None, and the ends of what is inside and
    of the whole, each with the place where it begins. Raises Unfinished where the whole has no end."""
    depth, begin = 0, start
    for token in _TOKEN.finditer(data, start):
        char = data[token.start()]
        if char in _OPENING:
            depth += 1
            if depth == 2:
                begin = token.start()
        elif char in _CLOSING:
            depth -= 1
            if depth == 1:
                yield token, begin
            elif depth == 0:
                yield token, start
                return
        elif depth == 1:
            yield token, None
    raise Unfinished(begin)


def end_of(data: Data, start: int) -> int:
    """Where the list or object at `start` ends. Raises Unfinished."""
    stop = start
    for _, stop in values(data, start):  # noqa: B007  # the last is the whole
        pass
    return stop


def sequence(data: Data, start: int) -> Iterator[tuple[int, int]]:
    """Where the lists and objects lie that follow each other from `start` on. Raises Unfinished."""
    while (start := first_at(data, start)) < len(data):
        if data[start] not in _OPENING:
            raise Unfinished(start)
        stop = end_of(data, start)
        yield start, stop
        start = stop


def members(data: Data, start: int) -> Iterator[Member]:
    """The members of the object at `start`. Raises Unfinished."""
    key = ""
    for token, place in _tokens(data, start):
        if place is not None:
            if place != start:
                yield Member(key, place, token.end())
        elif (colon := _COLON.match(data, token.end())) is not None:
            key = str(orjson.loads(token[0]))
            if data[colon.end() : colon.end() + 1] not in (b"[", b"{"):
                yield Member(key, colon.end(), colon.end())


def is_list_of(data: Data, start: int, inside: bytes) -> bool:
    """Whether a list begins at `start` whose first value begins with one of these characters."""
    if data[start : start + 1] != b"[":
        return False
    first = first_at(data, start + 1)
    return data[first : first + 1] != b"" and data[first : first + 1] in inside
