"""The user a key belongs to, known by an e-mail address alone."""

import hashlib

from shoal.errors import InvalidField

__all__ = ["check_email", "user_id"]


def check_email(email: str) -> None:
    """Raises InvalidField where it is none."""
    name, _, host = email.partition("@")
    if not name or not host or len(email) > 254 or not email.isprintable() or "/" in email or " " in email:
        raise InvalidField("user_email", "must be an e-mail address", value=email)


def user_id(email: str) -> str:
    """Users are not stored: the same address always gives the same id."""
    return "usr_" + hashlib.blake2b(email.encode(), digest_size=8).hexdigest()
