"""Failing system calls: the n-th write, sync or rename below a folder answers with an error, or all are recorded.

`shim()` compiles failing_io.c with the system's C compiler. A process that was started with it (`preloaded`) is armed
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

__all__ = ["CALLS", "fail", "mark", "preloaded", "preloaded_where_possible", "record", "seen", "shim", "why_not"]

CALLS: Final = {"write": "w", "sync": "s", "rename": "r", "truncate": "t", "create": "om", "remove": "ud"}
"""The letters of failing_io.c by what they mean."""
_SOURCE: Final = Path(__file__).with_name("failing_io.c")


def why_not() -> str | None:
    """Why system calls cannot be made to fail here; None where they can."""
    if os.uname().sysname != "Linux":
        return "LD_PRELOAD is for Linux"
    return None if _compiler() else "there is no C compiler"


def shim() -> Path:
    """The compiled library, made once for each version of its source."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"failing_io-{os.getuid()}-{digest}.so"
    if not built.exists():
        beside = built.with_suffix(f".{os.getpid()}")
        command = [_compiler() or "cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(beside)]
        subprocess.run([*command, str(_SOURCE), "-ldl", "-lpthread"], check=True)
        beside.replace(built)
    return built


def preloaded() -> dict[str, str]:
    """The environment of a process in which calls can fail."""
    return {"LD_PRELOAD": str(shim())}


def preloaded_where_possible() -> dict[str, str]:
    """The same, empty where calls cannot be made to fail."""
    return {} if why_not() else preloaded()


def fail(folder: Path, calls: str, nth: int, error: str, *, times: int = 1) -> None:
    """Make the n-th of these calls (letters) below the folder fail with `EIO` or `ENOSPC`, and `times` - 1 after it; 0
    makes all fail from there on. With n = 0 they are only counted anew. In a preloaded process."""
    _library().io_arm(os.fsencode(folder), calls.encode(), nth, times, getattr(errno, error))


def seen() -> int:
    """How many of the calls that may fail were made since `fail`."""
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
        raise RuntimeError("This process was started without the library that fails.")
    library = ctypes.CDLL(path)
    library.io_arm.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int]
    library.io_seen.restype = ctypes.c_long
    library.io_record.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.io_mark.argtypes = [ctypes.c_char_p]
    return library
