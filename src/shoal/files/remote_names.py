"""Addresses of files elsewhere, as text: what they are called, and how they are shown without what is secret."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

__all__ = ["remote_address", "remote_name", "shown_address"]

_ADDRESS: Final = re.compile(r"(https?|s3):/{1,2}(?=[^/])", re.IGNORECASE)


def remote_address(path: Path | Sequence[Path]) -> str | None:
    """The address that a path stands for: `https://…`, `http://…` or `s3://…`, of which `Path` drops a slash; None for
    a path on this machine."""
    if not isinstance(path, Path) or _ADDRESS.match(str(path)) is None:
        return None
    return _ADDRESS.sub(lambda found: f"{found[1].lower()}://", str(path), count=1)


def remote_name(address: str) -> str:
    """The last part of an address, without a query: it names the file in errors, and says its format."""
    name = PurePosixPath(unquote(urlsplit(address).path)).name.replace("\0", "")
    return name if name not in ("", "..") else urlsplit(address).hostname or "download"


def shown_address(address: str) -> str:
    """An address without user, password and query, which hold keys and signatures."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
