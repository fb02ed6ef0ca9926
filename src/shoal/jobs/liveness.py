"""A worker or server holds a lock on a file named after it for as long as it lives; the operating system drops the lock
with the process, so others see at once that it is gone, and need not wait for the lease of a worker to end."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

__all__ = ["dead_locks", "held_alive", "is_alive", "living", "process_name"]


def process_name() -> str:
    """A name that no other process has or will have."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def held_alive(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock file of the process of that name."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of that name holds its lock. Its file is removed once it is known to be dead."""
    path = folder / f"{name}.lock"
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    path.unlink(missing_ok=True)
    return False


def living(folder: Path) -> list[str]:
    """The names of those whose lock is held."""
    return [path.stem for path in sorted(folder.glob("*.lock")) if _is_held(path)]


def dead_locks(folder: Path) -> list[Path]:
    """The lock files that nobody holds."""
    return [path for path in sorted(folder.glob("*.lock")) if not _is_held(path)]


def _is_held(path: Path) -> bool:
    # A shared lock, let go of at once: a process that is just starting waits for it and is not turned away. The
    # file stays, because that process may have it open already.
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
