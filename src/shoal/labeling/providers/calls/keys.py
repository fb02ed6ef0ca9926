"""Keys of providers, from variables and files; no text form, error or pickle holds one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField

__all__ = ["Key", "looks_like_key", "read_key", "read_server_key"]

_SECRET: Final = re.compile(r"(?i)(sk-|sk_|xai-|gsk_|aiza|hf_)[\w-]{12,}")
"""Texts that look like keys: where someone writes one in place of a model, it is not repeated."""
_LARGEST_FILE: Final = 64 * 1024
_LONGEST_KEY: Final = 4096
_ALONE: Final = "It has to hold the key and nothing else."


class Key:
    """A key that no text form shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the key, for the wire."""
        return self._text

    def hide(self, text: str) -> str:
        """Replace the key in a text that a server sent."""
        return text.replace(self._text, "***") if self._text else text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Key(***)" if self._text else "Key()"

    def __reduce__(self) -> str:
        raise TypeError("A key is not pickled.")


def looks_like_key(text: str) -> bool:
    """Whether a text that should name a model holds what looks like a key."""
    return _SECRET.search(text) is not None


def read_key(environ: Mapping[str, str], name: str, *others: str) -> Key:
    """Read a key from the file that `NAME_FILE` names, else from a variable."""
    path = environ.get(f"{name}_FILE")
    if path:
        return _check_key(_read_key_file(f"{name}_FILE", path), f"{name}_FILE", path)
    variable = next((each for each in (name, *others) if environ.get(each, "").strip()), None)
    return Key() if variable is None else _check_key(environ[variable], variable, None)


def _read_key_file(name: str, path: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            text = file.read(_LARGEST_FILE).decode()
    except PermissionError:
        remedy = "Let the account that runs Shoal read it: chown, then chmod 400."
        raise InvalidField(name, "cannot be read", value=path, remedy=remedy) from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = "is not a text file" if isinstance(error, ValueError) else "cannot be read"
        raise InvalidField(name, reason, value=path, remedy=_ALONE) from None
    if not text.strip():
        raise InvalidField(name, "names an empty file", value=path, remedy=_ALONE)
    return text


def _check_key(text: str, name: str, path: str | None) -> Key:
    """Refuse what no header can carry, without repeating it."""
    key = text.strip().removeprefix("\ufeff")
    if len(key) > _LONGEST_KEY or not re.fullmatch(r"[\x21-\x7e]+", key):
        remedy = "A key is one line of plain characters without spaces."
        raise InvalidField(name, "does not hold a key", value=path, remedy=remedy)
    return Key(key)


def read_server_key(where: str, path: object, variable: str, environ: Mapping[str, str]) -> Key:
    """Read the key of a server: from a file, else from a variable; empty if it has none."""
    if path:
        return _check_key(_read_key_file(f"{where}.key_file", str(path)), f"{where}.key_file", str(path))
    text = environ.get(variable, "")
    return _check_key(text, variable, None) if text.strip() else Key()
