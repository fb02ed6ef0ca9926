"""Which workers live on a data folder, told by the locks they hold."""

import fcntl
from pathlib import Path

__all__ = ["dead_locks", "living_workers"]


def living_workers(folder: Path) -> list[str]:
    """The names of the workers whose lock is held."""
    return [path.stem for path in sorted(folder.glob("*.lock")) if _is_held(path)]


def dead_locks(folder: Path) -> list[Path]:
    """The lock files that nobody holds."""
    return [path for path in sorted(folder.glob("*.lock")) if not _is_held(path)]


def _is_held(path: Path) -> bool:
    # A shared lock, let go of at once: a worker that is just starting waits for it and is not turned away. The file
    # stays, because that worker may have it open already.
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
