"""The key that `shoal serve` keeps in its data folder, for clients on the same machine."""

from typing import Final
from urllib.parse import urlsplit

from shoal.settings import Settings

__all__ = ["LocalKey"]

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class LocalKey:
    """Where a server on this machine keeps its first key.

    A server that starts for the first time has yet to write the file, so it is read again until it exists.
    """

    def __init__(self) -> None:
        self.file = Settings.read().data / "key"

    @staticmethod
    def for_address(address: str) -> "LocalKey | None":
        """Return the key of a local server; None for a remote address, to which the key is never sent."""
        return LocalKey() if urlsplit(address).hostname in _LOOPBACK else None

    def read(self) -> str | None:
        """Return the key; None where there is none yet."""
        try:
            return self.file.read_text().strip() or None
        except OSError:
            return None
