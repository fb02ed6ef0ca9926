"""Locates the values of a JSON document without parsing them; the file is memory-mapped."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import orjson

__all__ = [
    "Data",
    "Member",
    "Unterminated",
    "find_end",
    "is_list_of",
    "iter_containers",
    "iter_members",
    "iter_sequence",
    "map_file",
    "skip_space",
]

Data: TypeAlias = bytes | mmap.mmap

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_COLON: Final = re.compile(rb"\s*:\s*")
_SPACE: Final = re.compile(rb"[\s]*")
_OPENING, _CLOSING = b"[{", b"]}"


class Unterminated(Exception):
    """A document ends inside a value; `at` is the offset where the value starts."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Member(NamedTuple):
    """A member of an object: its key, and where its value starts.

    `stop` is where a list or an object ends; for other values it equals `start`.
    """

    key: str
    start: int
    stop: int

    @property
    def is_container(self) -> bool:
        """Whether the value is a list or an object."""
        return self.stop > self.start


def map_file(path: Path) -> Data:
    """Memory-map a file that is not empty."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def skip_space(data: Data, start: int) -> int:
    """Return the first offset from `start` on that is not white space; the end where there is none."""
    space = _SPACE.match(data, start)
    return space.end() if space else start


def iter_containers(data: Data, start: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of the lists and objects directly inside the container at `start`; the last span is the container
    itself.

    Raises Unterminated where it has no end.
    """
    for token, place in _iter_tokens(data, start):
        if place is not None:
            yield place, token.end()


def _iter_tokens(data: Data, start: int) -> Iterator[tuple[re.Match[bytes], int | None]]:
    """Yield the tokens directly inside the container at `start`.

    Strings come with None; the ends of nested containers, and of the container itself, with the offset where each
    starts. Raises Unterminated where the container has no end.
    """
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
    raise Unterminated(begin)


def find_end(data: Data, start: int) -> int:
    """Return where the list or object at `start` ends. Raises Unterminated."""
    stop = start
    for _, stop in iter_containers(data, start):  # noqa: B007  # the last is the whole
        pass
    return stop


def iter_sequence(data: Data, start: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of the lists and objects that follow each other from `start` on. Raises Unterminated."""
    while (start := skip_space(data, start)) < len(data):
        if data[start] not in _OPENING:
            raise Unterminated(start)
        stop = find_end(data, start)
        yield start, stop
        start = stop


def iter_members(data: Data, start: int) -> Iterator[Member]:
    """Yield the members of the object at `start`. Raises Unterminated."""
    key = ""
    for token, place in _iter_tokens(data, start):
        if place is not None:
            if place != start:
                yield Member(key, place, token.end())
        elif (colon := _COLON.match(data, token.end())) is not None:
            key = str(orjson.loads(token[0]))
            if data[colon.end() : colon.end() + 1] not in (b"[", b"{"):
                yield Member(key, colon.end(), colon.end())


def is_list_of(data: Data, start: int, inside: bytes) -> bool:
    """Return whether a list starts at `start` and its first value starts with one of the characters of `inside`."""
    if data[start : start + 1] != b"[":
        return False
    first = skip_space(data, start + 1)
    return data[first : first + 1] != b"" and data[first : first + 1] in inside
