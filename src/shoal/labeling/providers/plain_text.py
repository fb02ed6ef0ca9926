"""Plain text from what models and documents write: no markup, addresses, control or bidirectional characters."""

import html
import re
import unicodedata
from typing import Final

from shoal.labeling import examples
from shoal.scripts import UNSPACED

__all__ = ["capitalize", "plain", "same_label", "words_of"]

_LONGEST: Final = 20_000
_LINK: Final = re.compile(r"!?\[([^\[\]]{0,300})\]\([^()]{0,1000}\)")
_TAG: Final = re.compile(
    r"(?s)<(script|style)\b(?:(?!<(?:script|style)\b).){0,5000}?</\1\s{0,9}>|<!--(?:(?!<!--).){0,5000}?-->"
    r"|</?[a-zA-Z!?][^<>]{0,1000}>"
)
"""No part of a text is read by several attempts, or the time would grow as its square."""
_ADDRESS: Final = re.compile(
    r"(?i)\b[a-z][a-z0-9+.-]{1,15}:/{1,3}\S+|\b(?:javascript|data|vbscript|mailto|tel):\S+|\bwww\.\S+"
    r"|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]+|\b[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}\.(?:com|net|org|io|ru|cn|info|biz|xyz|"
    r"top|site|online|dev|app|co|me|ly|test|example|invalid)\b(?:/\S*)?|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?:/\S*)?"
)
_MARKDOWN: Final = re.compile(r"(?m)^\s{0,3}(?:#{1,6}|>|[-*+]|\d{1,3}\.)\s+|\*+|`+|~~+|(?<!\w)_+|_+(?!\w)|\|")
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
"""Letters of Persian and of Indic scripts need them, but only between letters."""
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_UNSPACED: Final = re.compile(f"[{UNSPACED}]")


def plain(text: str) -> str:
    """Return one line of plain text, of a long text its first 20,000 characters."""
    text = unicodedata.normalize("NFC", html.unescape(text[:_LONGEST]))
    text = "".join(_safe(character, position, text) for position, character in enumerate(text))
    for _ in range(2):  # what is removed may leave a tag or an address behind
        text = _ADDRESS.sub(" ", _TAG.sub(" ", _LINK.sub(r"\1", text)))
    text = _MARKDOWN.sub(" ", text).replace("<", " ").replace(">", " ")
    return " ".join(text.split())


def _safe(character: str, position: int, text: str) -> str:
    category = unicodedata.category(character)
    if category not in _UNSAFE:
        return character
    if (
        character in _JOINERS
        and 0 < position < len(text) - 1
        and text[position - 1].isalpha()
        and text[position + 1].isalpha()
    ):
        return character
    return " " if category in ("Cc", "Zl", "Zp") else ""


def capitalize(label: str) -> str:
    """Return a label without quotes and full stop, with a capital at its start."""
    label = label.strip(" \t\"'“”‘’«»„`.,;:!-–—")
    return examples.capitalize(label)


def words_of(text: str) -> list[str]:
    """Return the words of a text, case-folded and cut to their first six letters, so that inflections agree; of scripts
    without spaces pairs of characters."""
    words = list[str]()
    for match in _WORD.finditer(text):
        word = match[0].casefold()
        if _UNSPACED.search(word):
            words += [word[i : i + 2] for i in range(max(len(word) - 1, 1))]
        else:
            words.append(stem(word))
    return words


def stem(word: str) -> str:
    """Cut a case-folded word so that its inflections agree."""
    word = word.replace("\u2019", "'").removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:6] if not any(map(str.isdigit, word)) else word


def same_label(label: str) -> tuple[str, ...]:
    """Return what two labels that say the same have in common: their words, in any order."""
    return tuple(sorted(set(words_of(label)))) or (label.casefold(),)
