"""The key that `shoal serve` keeps in its data folder, for clients on the same machine."""

from typing import Final
from urllib.parse import urlsplit

from shoal.settings import Settings

__all__ = ["LocalKey"]

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class LocalKey:
    """Where a server on this machine keeps its first key. A server that starts for the first time has yet to write it,
    so the file is looked for again until it is there."""

    def __init__(self) -> None:
        self.file = Settings.read().data / "key"

    @staticmethod
    def of(address: str) -> "LocalKey | None":
        """None for an address of another machine: the key is never sent there."""
        return LocalKey() if urlsplit(address).hostname in _LOOPBACK else None

    def read(self) -> str | None:
        """The key; None where there is none yet."""
        try:
            return self.file.read_text().strip() or None
        except OSError:
            return None
