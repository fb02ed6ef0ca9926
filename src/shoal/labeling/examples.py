"""A document's text as people are shown it beside a cluster: its beginning, on one line."""

import unicodedata
from typing import Final

from shoal.labeling.text import ESCAPE

__all__ = ["LONGEST_SHOWN", "abridge", "visible"]

LONGEST_SHOWN: Final = 160
"""Characters of an example."""
_READ: Final = 4 * LONGEST_SHOWN
_LEAST: Final = LONGEST_SHOWN * 3 // 4
"""A longer text is cut between words, unless the last word would take more than what is left beyond this."""


def abridge(text: str) -> str:
    """The beginning of a text on one line, at most `LONGEST_SHOWN` characters, an ellipsis where it was cut.

    Line breaks and tabs become spaces; control and direction characters are left out.
    """
    line = " ".join(visible(text[:_READ]).split())
    if len(line) <= LONGEST_SHOWN and len(text) <= _READ:
        return line
    cut = line[: LONGEST_SHOWN - 1]
    between = cut.rfind(" ")
    return f"{(cut[:between] if between >= _LEAST else cut).rstrip()}…"


def visible(text: str) -> str:
    """The text without control and direction characters and the colours of terminals, and with a plain space for each
    kind of blank."""
    if text.isascii() and text.isprintable():
        return text
    plain = ESCAPE.sub("", text) if "\x1b" in text else text
    return "".join(" " if c.isspace() else c for c in plain if c.isspace() or _shows(c))


def _shows(character: str) -> bool:
    """Joiners show nothing by themselves, but make one emoji, or one ligature, of several characters."""
    return unicodedata.category(character)[0] != "C" or character in "\u200c\u200d"
