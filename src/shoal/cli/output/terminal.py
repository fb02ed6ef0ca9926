"""What may reach the terminal: nothing in a document, a file name or an error steers it.

Every line that a command prints goes through `PlainStream`, which `main` puts in place of standard output and error.
Only tables and progress bars write past it, and their cells are made of `table.plain` text.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

__all__ = ["PlainStream", "escape_controls", "plain_output", "unfiltered"]

_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_JSON: Final = {code: f"\\u{code:04x}" for code in (*range(127, 160), *range(0x202A, 0x202F))}


class PlainStream:
    """A text stream that leaves out control and direction characters, but for tabs and line breaks."""

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write the text without what could steer a terminal; returns the length of `text`."""
        self.unfiltered.write(_STEERING.sub("", text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Nothing that this process prints within the block steers the terminal."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, PlainStream(unfiltered(stream))) for stream in (out, err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def unfiltered(stream: TextIO) -> TextIO:
    """The stream behind a `PlainStream`, for colours and progress bars; any other stream itself."""
    return stream.unfiltered if isinstance(stream, PlainStream) else stream


def escape_controls(json: bytes) -> bytes:
    """JSON with the control and direction characters escaped that JSON itself allows in strings."""
    return json.decode().translate(_CONTROL_IN_JSON).encode()
