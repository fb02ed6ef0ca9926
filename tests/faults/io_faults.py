"""Failing system calls: the n-th write, sync or rename below a folder fails, or all are recorded.

`shim()` compiles failing_io.c with the system's C compiler. A process started with it (`preload_environ`) is armed
by `fail` or `record`, at any moment.
"""

import ctypes
import errno
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

__all__ = [
    "CALLS",
    "count_calls",
    "fail",
    "find_obstacle",
    "mark",
    "preload_environ",
    "preload_environ_if_possible",
    "record",
    "shim",
]

CALLS: Final = {"write": "w", "sync": "s", "rename": "r", "truncate": "t", "create": "om", "remove": "ud"}
"""Letters of failing_io.c by meaning."""
_SOURCE: Final = Path(__file__).with_name("failing_io.c")


def find_obstacle() -> str | None:
    """Return why system calls cannot be made to fail here; None if they can."""
    if os.uname().sysname != "Linux":
        return "LD_PRELOAD is for Linux"
    return None if _compiler() else "there is no C compiler"


def shim() -> Path:
    """Compile the library, once per version of its source, and return its path."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"failing_io-{os.getuid()}-{digest}.so"
    if not library.exists():
        partial = library.with_suffix(f".{os.getpid()}")
        command = [_compiler() or "cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(partial)]
        subprocess.run([*command, str(_SOURCE), "-ldl", "-lpthread"], check=True)
        partial.replace(library)
    return library


def preload_environ() -> dict[str, str]:
    """Return the environment of a process in which calls can fail."""
    return {"LD_PRELOAD": str(shim())}


def preload_environ_if_possible() -> dict[str, str]:
    """Like `preload_environ`, but empty if calls cannot be made to fail."""
    return {} if find_obstacle() else preload_environ()


def fail(folder: Path, calls: str, nth: int, error: str, *, times: int = 1) -> None:
    """Make the n-th of these calls (letters) below the folder, and `times` - 1 more, fail with `EIO` or `ENOSPC`;
    with `times` 0 all fail from there on. With `nth` 0 calls are only counted anew. Needs a preloaded process."""
    _library().io_arm(os.fsencode(folder), calls.encode(), nth, times, getattr(errno, error))


def count_calls() -> int:
    """Count the failable calls made since `fail`."""
    return int(_library().io_seen())


def record(folder: Path, log: Path) -> None:
    """Write every call below the folder to `log` from now on."""
    if _library().io_record(os.fsencode(folder), os.fsencode(log)):
        raise OSError(f"{log} cannot be written")


def mark(text: str) -> None:
    """Put a mark into the record."""
    _library().io_mark(text.encode())


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def _library() -> ctypes.CDLL:
    path = os.environ.get("LD_PRELOAD")
    if path is None:
        raise RuntimeError("This process was started without the preloaded library.")
    library = ctypes.CDLL(path)
    library.io_arm.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int]
    library.io_seen.restype = ctypes.c_long
    library.io_record.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.io_mark.argtypes = [ctypes.c_char_p]
    return library
