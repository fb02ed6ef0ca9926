"""Generation and validation of ids and names (contract.md#identifiers). Ids have 16 random characters, 82 bits."""

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
"""Invisible characters, which make different names look the same. Joiners within a word are allowed."""
MAX_ID_BYTES: Final = 255


def new_id(prefix: str) -> str:
    """Generate an id such as `clust_k3v9q0c2m1x7a8b4`: unguessable, without `_` and `-` after the prefix."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))}"


def new_task_id() -> str:
    """Generate the id of a task: a UUID on the wire."""
    return str(uuid.uuid4())


def looks_like_id(text: str, prefix: str) -> bool:
    """Whether a name has the exact form of an id of its kind of resource, so that it could shadow one
    (contract.md#names-and-ids). `doc_topics` and `run_times` do not."""
    return re.fullmatch(rf"{prefix}_[{_ALPHABET}]{{{_RANDOM}}}", text) is not None


def check_id(field: str, value: object) -> str:
    """Check the id of a document or object: non-empty text of at most 255 bytes without control characters.

    Raises InvalidField.
    """
    if not isinstance(value, str):
        raise InvalidField(field, "must be text", value=value)
    if not value or _CONTROL.search(value):
        raise InvalidField(field, "must be non-empty and free of control characters", value=value)
    if len(encode_text(field, value)) > MAX_ID_BYTES:
        raise InvalidField(field, f"must be at most {MAX_ID_BYTES} bytes", value=value)
    return value


def check_name(
    field: str, value: str, prefix: str, *, shortest: int = 1, reserved: frozenset[str] = frozenset()
) -> str:
    """Check a resource name: `shortest` to 100 characters, no control characters, not reserved, and not of the form of
    an id of this kind of resource (which begins with `prefix` and `_`).

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
        raise InvalidField(field, f"contains an invisible character ({code})", value=value, remedy="Remove it.")
    encode_text(field, value)
    if looks_like_id(value, prefix):
        remedy = f"Choose a name that is not {prefix}_ and {_RANDOM} letters and digits."
        raise InvalidField(field, "has the form of an id", value=value, remedy=remedy)
    if value in reserved:
        raise InvalidField(field, "is a word of the routes", value=value, remedy="Choose another name.")
    return value


def check_label(field: str, value: str) -> str:
    """Check a custom label: visible text, with line breaks or not, without other control characters.

    Raises InvalidField.
    """
    text = " ".join(value.split())
    if not _INVISIBLE.sub("", text) or _CONTROL.search(text):
        remedy = "Write a label of visible characters, or '' to remove it."
        raise InvalidField(field, "must consist of visible characters", value=value, remedy=remedy)
    return value


def encode_text(field: str, value: str) -> bytes:
    """Encode a text as UTF-8. Raises InvalidField for a lone surrogate."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidField(field, "is not valid Unicode (lone surrogate)") from None
