"""Addresses of remote files, kept verbatim: a `Path` would collapse `//` and `/./` in them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from shoal.errors import InvalidField

__all__ = ["Address", "Place", "Places", "check_is_local", "is_address", "is_folded", "parse_place"]

_SCHEME: Final = re.compile(r"(https?|s3)://(?=[^/])", re.IGNORECASE)
_FOLDED: Final = re.compile(r"(https?|s3):/[^/]", re.IGNORECASE)
_MISSING_SLASH: Final = re.compile(r"(https?|s3):/?(?=[^/])", re.IGNORECASE)
"""A scheme that lacks a slash."""
_OTHER: Final = re.compile(r"([a-z][a-z0-9+.\-]+)://", re.IGNORECASE)
_SUPPORTED: Final = "Shoal reads https://, http:// and s3://; copy other files here first."
_S3: Final = "s3"
_SCHEMES: Final = ("https", "http", _S3)
_EXAMPLES: Final = {"s3": "Such as s3://bucket/docs.csv."}
_S3_KEYS: Final = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile, and leave them out of the address."
)


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a remote file.

    Parameters
    ----------
    text
        The address as written, `https://…`, `http://…` or `s3://…`, including any credentials.
    """

    text: str

    def __repr__(self) -> str:
        return f"Address({self.redacted!r})"

    @property
    def scheme(self) -> str:
        """`https`, `http` or `s3`."""
        return self.text.partition(":")[0]

    @property
    def bucket_and_key(self) -> tuple[str, str]:
        """Bucket and key of an S3 address. `?` and `#` belong to the key; text before an `@` is not part of the
        bucket."""
        bucket, _, key = self.text.partition("://")[2].partition("/")
        return bucket.rpartition("@")[2], key.rstrip("/")

    @property
    def name(self) -> str:
        """The last path segment, without the query. It names the file in errors and implies its format."""
        if self.scheme == _S3:
            bucket, path = self.bucket_and_key
        else:
            parts = urlsplit(self.text)
            bucket, path = parts.hostname or "", unquote(parts.path)
        name = PurePosixPath(path).name.replace("\0", "")
        return name if name not in ("", "..") else bucket or "download"

    @property
    def redacted(self) -> str:
        """The address without user, password, query and fragment, which may hold keys and signatures."""
        if self.scheme == _S3:
            bucket, key = self.bucket_and_key
            return f"s3://{bucket}/{key}"
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def holds_secrets(self) -> bool:
        """Whether the address cannot be shown in full."""
        return self.redacted != self.text


Place: TypeAlias = Path | Address
"""A local or remote file, folder or pattern."""
Places: TypeAlias = Place | Sequence[Place]


def is_address(value: object) -> bool:
    """Return whether a value is an address with a supported scheme."""
    return isinstance(value, str) and _SCHEME.match(value) is not None


def parse_place(value: str | os.PathLike[str]) -> Place:
    """Parse a path or an address; `file://` is a path.

    Raises InvalidField for an address with another scheme, and for one that went through `Path`. The error never quotes
    the address, which may hold credentials.
    """
    text = os.fspath(value)
    if isinstance(value, str) and (scheme := _SCHEME.match(text)) is not None:
        address = Address(scheme[0].lower() + text[scheme.end() :])
        _check_address(address)
        return address
    if isinstance(value, str) and (scheme_match := _OTHER.match(text)) is not None and not Path(value).exists():
        if scheme_match[1].lower() == "file" and (parts := urlsplit(text)).netloc in ("", "localhost"):
            return Path(unquote(parts.path))
        if scheme_match[1].lower() in _SCHEMES:
            raise InvalidField(
                f"{scheme_match[0].lower()}…", "is not an address", remedy=_example_remedy(scheme_match[1])
            )
        raise InvalidField(
            f"{scheme_match[0].lower()}…", "is an address of a kind that Shoal does not read", remedy=_SUPPORTED
        )
    path = Path(value)
    if isinstance(value, str) and (short := _MISSING_SLASH.match(text)) is not None and not path.exists():
        raise InvalidField(f"{short[0].lower()}…", "is not an address", remedy=f"Write {short[1].lower()}://…")
    if is_folded(path):
        problem = "is an address in a Path, which folds the slashes in it"
        name = path.name.partition("?")[0].rpartition("@")[2]
        raise InvalidField(name, problem, remedy="Give it as text: 'https://…'.")
    return path


def is_folded(path: Path) -> bool:
    """Return whether a path is really an address whose slashes `Path` has collapsed."""
    return _FOLDED.match(str(path)) is not None and not path.exists()


def check_is_local(path: str | os.PathLike[str], field: str) -> None:
    """Raise InvalidField about `field` where a local file is required and an address is given."""
    if is_folded(Path(path)):
        raise InvalidField(field, "is an address, and has to be a file here", remedy="Copy it here first.")


def _check_address(address: Address) -> None:
    host = address.text.partition("://")[2].partition("/")[0]
    if address.scheme == _S3 and ("@" in host or (":" in host and not host.startswith("arn:"))):
        raise InvalidField("s3://…", "holds keys, or no bucket", remedy=_S3_KEYS)
    try:
        valid = address.scheme == _S3 or (urlsplit(address.text).hostname and (urlsplit(address.text).port or True))
    except ValueError:
        valid = False
    if not valid or any(ord(letter) < 32 for letter in address.text):
        raise InvalidField(f"{address.scheme}://…", "is not an address", remedy=_example_remedy(address.scheme))


def _example_remedy(scheme: str) -> str:
    return _EXAMPLES.get(scheme.lower(), "Such as https://host/docs.csv.")
