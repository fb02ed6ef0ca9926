"""The owner of a key, identified by an e-mail address."""

import hashlib

from shoal.errors import InvalidField

__all__ = ["check_email", "user_id"]


def check_email(email: str) -> None:
    """Raise InvalidField for an invalid e-mail address."""
    name, _, host = email.partition("@")
    if not name or not host or len(email) > 254 or not email.isprintable() or "/" in email or " " in email:
        raise InvalidField("user_email", "must be an e-mail address", value=email)


def user_id(email: str) -> str:
    """Return the id of a user. Users are not stored: the id is derived from the address."""
    return "usr_" + hashlib.blake2b(email.encode(), digest_size=8).hexdigest()
