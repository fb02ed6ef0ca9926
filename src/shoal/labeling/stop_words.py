"""Stop words of the user: words that no name or keyword contains."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField

__all__ = ["read_stop_words"]

_MOST_BYTES: Final = 1_000_000
_MOST_WORDS: Final = 10_000
_LONGEST: Final = 60
_REMEDY: Final = "Give a list of words, or the path of a file with a word on each line."


def read_stop_words(source: object, field: str = "stop_words") -> frozenset[str]:
    """Return case-folded stop words from a list, or from a text file (UTF-8) with words on each line.

    What follows a # in a file is a comment. Negations among them are accepted, but stay in names: without them a name
    would say the opposite.

    Parameters
    ----------
    source : iterable of str, path, or None
        At most 10,000 words of at most 60 characters; a file of at most 1 MB.
    field : str
        What the user calls the argument, for errors.

    Raises
    ------
    InvalidField
        For a file that cannot be read, for values that are no words, and for too many.
    """
    if source is None:
        return frozenset()
    if isinstance(source, (str, os.PathLike)):
        entries: list[object] = list(_read_file(Path(source), field))
    elif isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray)):
        entries = list(source)
    else:
        raise InvalidField(field, "must be words", value=source, remedy=_REMEDY)
    words = frozenset(word for position, entry in enumerate(entries) for word in _words(entry, position, field))
    if len(words) > _MOST_WORDS:
        raise InvalidField(field, f"has {len(words):,} words", remedy=f"At most {_MOST_WORDS:,} are accepted.")
    return words


def _read_file(path: Path, field: str) -> list[str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidField(field, "is larger than 1 MB", value=str(path), remedy=_REMEDY)
        text = path.read_text("utf-8-sig")
    except OSError as error:
        problem = f"cannot be read ({error.strerror or type(error).__name__})"
        raise InvalidField(field, problem, value=str(path), remedy=_REMEDY) from None
    except UnicodeDecodeError:
        raise InvalidField(field, "is not UTF-8 text", value=str(path), remedy="Save the file as UTF-8.") from None
    return [line.partition("#")[0] for line in text.splitlines()]


def _words(entry: object, position: int, field: str) -> list[str]:
    if not isinstance(entry, str):
        raise InvalidField(f"{field}[{position}]", "must be a word", value=entry, remedy=_REMEDY)
    words = [word.replace("\u2019", "'") for word in entry.casefold().split()]
    for word in words:
        if len(word) > _LONGEST:
            raise InvalidField(f"{field}[{position}]", f"is longer than {_LONGEST} characters", value=word)
    return words
