"""Keeps untrusted text (documents, file names, errors) from controlling the terminal.

Every line that a command prints goes through `PlainStream`, which `main` installs as standard output and error. Only
tables and progress bars bypass it, with cells of `table.strip_controls` text.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

__all__ = ["PlainStream", "escape_controls", "plain_output", "underlying_stream"]

_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_JSON: Final = {code: f"\\u{code:04x}" for code in (*range(127, 160), *range(0x202A, 0x202F))}


class PlainStream:
    """A text stream that drops control and direction characters, except tabs and line breaks."""

    def __init__(self, stream: TextIO) -> None:
        self.underlying = stream

    def write(self, text: str) -> int:
        """Write the text without control characters; returns the length of `text`."""
        self.underlying.write(_STEERING.sub("", text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.underlying, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Filter everything that this process prints in the block."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, PlainStream(underlying_stream(stream))) for stream in (out, err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def underlying_stream(stream: TextIO) -> TextIO:
    """Return the stream behind a `PlainStream`, for colors and progress bars; any other stream unchanged."""
    return stream.underlying if isinstance(stream, PlainStream) else stream


def escape_controls(json: bytes) -> bytes:
    """Escape the control and direction characters that JSON allows in strings."""
    return json.decode().translate(_CONTROL_IN_JSON).encode()
