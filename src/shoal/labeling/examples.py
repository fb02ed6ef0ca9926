"""Examples of the documents of a cluster: the beginning of a text, on one line."""

import unicodedata
from typing import Final

from shoal.labeling.text import ESCAPE, compose

__all__ = ["LONGEST_SHOWN", "abridge", "capitalize", "visible"]

LONGEST_SHOWN: Final = 160
"""Characters of an example."""
_READ: Final = 4 * LONGEST_SHOWN
_LEAST: Final = LONGEST_SHOWN * 3 // 4
"""A longer text is cut between words, unless that would leave less than this."""


def abridge(text: str) -> str:
    """Return the beginning of a text on one line: at most `LONGEST_SHOWN` characters, with an ellipsis if it was cut.

    Line breaks and tabs become spaces; control and direction characters are left out.
    """
    line = " ".join(visible(text[:_READ]).split())
    if len(line) <= LONGEST_SHOWN and len(text) <= _READ:
        return line
    cut = line[: LONGEST_SHOWN - 1]
    between = cut.rfind(" ")
    return f"{(cut[:between] if between >= _LEAST else cut).rstrip()}…"


def capitalize(text: str) -> str:
    """Return a text with a capital first letter, unless its first word has capitals of its own: iPhone, eBay."""
    first = text[: text.find(" ")] if " " in text else text
    return text if any(map(str.isupper, first)) else text[:1].upper() + text[1:]


def visible(text: str) -> str:
    """Remove control and direction characters and terminal escapes from a text, and replace white space by spaces."""
    if text.isascii() and text.isprintable():
        return text
    plain = compose(ESCAPE.sub("", text) if "\x1b" in text else text)
    return "".join(" " if c.isspace() else c for c in plain if c.isspace() or _shows(c))


def _shows(character: str) -> bool:
    # Joiners are invisible, but combine several characters to one emoji or ligature.
    return unicodedata.category(character)[0] != "C" or character in "\u200c\u200d"
