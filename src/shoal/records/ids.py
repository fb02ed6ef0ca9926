"""How each id is made and recognised (contract.md#identifiers). Random part: 16 characters of [a-z0-9], 82 bits."""

import re
import secrets
import string
import uuid
from typing import Final

from shoal.errors import InvalidField

__all__ = ["MAX_ID_BYTES", "check_id", "check_label", "check_name", "looks_like_id", "new_id", "new_task_id"]

_ALPHABET: Final = string.ascii_lowercase + string.digits
_RANDOM: Final = 16
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_INVISIBLE: Final = re.compile(
    "[\x80-\x9f\u00ad\u180e\u200b\u200e\u200f\u2028\u2029\u2060-\u2064\ufeff\U000e0000-\U000e007f]"
)
"""Characters that nobody sees: with one, two names look the same. Joiners within a word are not among them."""
MAX_ID_BYTES: Final = 255


def new_id(prefix: str) -> str:
    """A fresh id such as `clust_k3v9q0c2m1x7a8b4`; unguessable, and free of `_` and `-` after the prefix."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))}"


def new_task_id() -> str:
    """Tasks are UUIDs on the wire."""
    return str(uuid.uuid4())


def looks_like_id(text: str, prefix: str) -> bool:
    """Whether a name has exactly the shape of the ids of its own kind of resource, so that it could shadow one
    (contract.md#names-and-ids). `doc_topics` and `run_times` are names like any other."""
    return re.fullmatch(rf"{prefix}_[{_ALPHABET}]{{{_RANDOM}}}", text) is not None


def check_id(field: str, value: object) -> str:
    """A document or object id given by the caller: non-empty text of at most 255 bytes without control characters.

    Raises InvalidField.
    """
    if not isinstance(value, str):
        raise InvalidField(field, "must be text", value=value)
    if not value or _CONTROL.search(value):
        raise InvalidField(field, "must be non-empty and free of control characters", value=value)
    if len(encoded(field, value)) > MAX_ID_BYTES:
        raise InvalidField(field, f"must be at most {MAX_ID_BYTES} bytes", value=value)
    return value


def check_name(
    field: str, value: str, prefix: str, *, shortest: int = 1, reserved: frozenset[str] = frozenset()
) -> str:
    """A resource name: `shortest` to 100 characters, no control characters, not shaped like an id of this kind of
    resource (those begin with `prefix` and `_`), not reserved.

    Raises InvalidField.
    """
    if not shortest <= len(value) <= 100:
        raise InvalidField(field, f"must have {shortest} to 100 characters", value=value)
    if value != value.strip():
        raise InvalidField(field, "must not begin or end with a space", value=value, remedy=f"Use {value.strip()!r}.")
    if value in (".", ".."):
        raise InvalidField(field, "must not be a step in a path", value=value, remedy="Choose a name with a letter.")
    if _CONTROL.search(value) or "/" in value:
        raise InvalidField(field, "must not hold control characters or '/'", value=value)
    if (unseen := _INVISIBLE.search(value)) is not None:
        code = f"U+{ord(unseen[0]):04X}"
        raise InvalidField(field, f"holds a character that nobody sees ({code})", value=value, remedy="Leave it out.")
    encoded(field, value)
    if looks_like_id(value, prefix):
        remedy = f"Choose a name that is not {prefix}_ and {_RANDOM} letters and digits."
        raise InvalidField(field, "has the shape of an id", value=value, remedy=remedy)
    if value in reserved:
        raise InvalidField(field, "is a word of the routes", value=value, remedy="Choose another name.")
    return value


def check_label(field: str, value: str) -> str:
    """A label that a person gives: visible text, in lines or not, without other control characters. Raises
    InvalidField."""
    text = " ".join(value.split())
    if not _INVISIBLE.sub("", text) or _CONTROL.search(text):
        remedy = "Write a label of visible characters, or '' to take it away."
        raise InvalidField(field, "holds what nobody sees", value=value, remedy=remedy)
    return value


def encoded(field: str, value: str) -> bytes:
    """UTF-8 bytes of a text; a lone surrogate is refused. Raises InvalidField."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidField(field, "is not valid Unicode (lone surrogate)") from None
