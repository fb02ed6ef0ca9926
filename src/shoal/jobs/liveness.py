"""Liveness of workers and servers by file locks.

A process holds a lock on a file named after it while it is alive. The operating system releases the lock with the
process, so others see at once that it has ended, without waiting for the lease of a worker to expire.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_dead_locks", "hold_alive_lock", "is_alive", "list_alive", "process_name"]


def process_name() -> str:
    """Return a name that is unique among all processes, past and future."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def hold_alive_lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock file of a process during a block."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process with a name holds its lock. Removes the file of a dead process."""
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


def list_alive(folder: Path) -> list[str]:
    """Return the names of the processes that are alive."""
    return [path.stem for path in sorted(folder.glob("*.lock")) if _is_held(path)]


def find_dead_locks(folder: Path) -> list[Path]:
    """Return the lock files of dead processes."""
    return [path for path in sorted(folder.glob("*.lock")) if not _is_held(path)]


def _is_held(path: Path) -> bool:
    # A shared lock, released at once: a process that is just starting waits for it instead of failing. The file stays,
    # because that process may have opened it already.
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
