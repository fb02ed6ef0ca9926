"""Addresses of files elsewhere, kept as they were written: a `Path` would fold `//` and `/./` in them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from shoal.errors import InvalidField

__all__ = ["Address", "Place", "Places", "as_place", "check_here", "is_address", "is_folded"]

_SCHEME: Final = re.compile(r"(https?|s3)://(?=[^/])", re.IGNORECASE)
_FOLDED: Final = re.compile(r"(https?|s3):/[^/]", re.IGNORECASE)
_SHORT: Final = re.compile(r"(https?|s3):/?(?=[^/])", re.IGNORECASE)
"""A scheme with a slash too few."""
_OTHER: Final = re.compile(r"([a-z][a-z0-9+.\-]+)://", re.IGNORECASE)
_OURS: Final = "Shoal reads https://, http:// and s3://; copy other files here first."
_S3: Final = "s3"
_READ: Final = ("https", "http", _S3)
_SUCH: Final = {"s3": "Such as s3://bucket/docs.csv."}
_S3_KEYS: Final = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile, and leave them out of the address."
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a file lies elsewhere.

    Parameters
    ----------
    text
        As it was written, `https://…`, `http://…` or `s3://…`, with whatever is secret in it.
    """

    text: str

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def scheme(self) -> str:
        """`https`, `http` or `s3`."""
        return self.text.partition(":")[0]

    @property
    def bucket_and_key(self) -> tuple[str, str]:
        """Of an address in S3, where `?` and `#` are characters of the key. What is before an `@` is no bucket."""
        bucket, _, key = self.text.partition("://")[2].partition("/")
        return bucket.rpartition("@")[2], key.rstrip("/")

    @property
    def name(self) -> str:
        """The last part without a query: it names the file in errors, and says its format."""
        if self.scheme == _S3:
            bucket, path = self.bucket_and_key
        else:
            parts = urlsplit(self.text)
            bucket, path = parts.hostname or "", unquote(parts.path)
        name = PurePosixPath(path).name.replace("\0", "")
        return name if name not in ("", "..") else bucket or "download"

    @property
    def shown(self) -> str:
        """Without user, password, query and fragment, which hold keys and signatures."""
        if self.scheme == _S3:
            bucket, key = self.bucket_and_key
            return f"s3://{bucket}/{key}"
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def holds_secrets(self) -> bool:
        """Whether it cannot be shown whole."""
        return self.shown != self.text


Place: TypeAlias = Path | Address
"""A file, a folder or a pattern, here or elsewhere."""
Places: TypeAlias = Place | Sequence[Place]


def is_address(given: object) -> bool:
    """Whether a text is an address of a kind that is read."""
    return isinstance(given, str) and _SCHEME.match(given) is not None


def as_place(given: str | os.PathLike[str]) -> Place:
    """The path or the address that a caller wrote; `file://` is a path.

    Raises InvalidField for what is no address of a kind that is read, and for one that went through `Path`. It shows
    nothing of it, as that may hold keys.
    """
    text = os.fspath(given)
    if isinstance(given, str) and (scheme := _SCHEME.match(text)) is not None:
        address = Address(scheme[0].lower() + text[scheme.end() :])
        _check(address)
        return address
    if isinstance(given, str) and (other := _OTHER.match(text)) is not None and not Path(given).exists():
        if other[1].lower() == "file" and (parts := urlsplit(text)).netloc in ("", "localhost"):
            return Path(unquote(parts.path))
        if other[1].lower() in _READ:
            raise InvalidField(f"{other[0].lower()}…", "is no address", remedy=_such(other[1]))
        raise InvalidField(f"{other[0].lower()}…", "is an address of a kind that Shoal does not read", remedy=_OURS)
    path = Path(given)
    if isinstance(given, str) and (short := _SHORT.match(text)) is not None and not path.exists():
        raise InvalidField(f"{short[0].lower()}…", "is no address", remedy=f"Write {short[1].lower()}://…")
    if is_folded(path):
        problem = "is an address in a Path, which folds the slashes in it"
        name = path.name.partition("?")[0].rpartition("@")[2]
        raise InvalidField(name, problem, remedy="Give it as text: 'https://…'.")
    return path


def is_folded(path: Path) -> bool:
    """Whether a path is no file but an address, of which it has folded the slashes."""
    return _FOLDED.match(str(path)) is not None and not path.exists()


def check_here(path: str | os.PathLike[str], field: str) -> None:
    """Raises InvalidField about `field` for an address where a file has to lie here."""
    if is_folded(Path(path)):
        raise InvalidField(field, "is an address, and has to be a file here", remedy="Copy it here first.")


def _check(address: Address) -> None:
    host = address.text.partition("://")[2].partition("/")[0]
    if address.scheme == _S3 and ("@" in host or (":" in host and not host.startswith("arn:"))):
        raise InvalidField("s3://…", "holds keys, or no bucket", remedy=_S3_KEYS)
    try:
        fine = address.scheme == _S3 or (urlsplit(address.text).hostname and (urlsplit(address.text).port or True))
    except ValueError:
        fine = False
    if not fine or any(ord(letter) < 32 for letter in address.text):
        raise InvalidField(f"{address.scheme}://…", "is no address", remedy=_such(address.scheme))


def _such(scheme: str) -> str:
    return _SUCH.get(scheme.lower(), "Such as https://host/docs.csv.")
