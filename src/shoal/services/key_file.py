"""The file that holds the admin key of the first start."""

from pathlib import Path

from shoal.durable import atomic_write
from shoal.records.key import hash_of

__all__ = ["key_in", "write_key"]


def key_in(key_file: Path) -> str | None:
    """The digest of the key in a file; None where there is none."""
    try:
        return hash_of(key_file.read_text().strip())
    except (OSError, UnicodeDecodeError):
        return None


def write_key(key_file: Path, secret: str) -> None:
    """Put a key into its file, private and whole."""
    with atomic_write(key_file, private=True) as file:
        file.write(f"{secret}\n".encode())
