"""The file with the admin key of the first start."""

from pathlib import Path

from shoal.durable import atomic_write
from shoal.records.key import hash_of

__all__ = ["read_key_digest", "write_key"]


def read_key_digest(key_file: Path) -> str | None:
    """Return the digest of the key in a file, None where there is none."""
    try:
        return hash_of(key_file.read_text().strip())
    except (OSError, UnicodeDecodeError):
        return None


def write_key(key_file: Path, secret: str) -> None:
    """Write a key to its file, atomically and readable by its owner only."""
    with atomic_write(key_file, private=True) as file:
        file.write(f"{secret}\n".encode())
