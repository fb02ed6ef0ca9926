"""Data folders of victims: in memory where only processes die, on a small file system where disks fill up."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["NoDisk", "quick_folder", "small_disk"]

_SHARED_MEMORY: Final = Path("/dev/shm")
_NEEDED: Final = 512 * 2**20


class NoDisk(Exception):
    """No file system can be mounted here; the message says why."""


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Create a folder, in memory if possible: sync is free there, and a killed process loses nothing that it wrote,
    synced or not. Removed afterwards unless the block raised."""
    has_space = _SHARED_MEMORY.is_dir() and os.access(_SHARED_MEMORY, os.W_OK)
    has_space = has_space and shutil.disk_usage(_SHARED_MEMORY).free > _NEEDED
    folder = Path(tempfile.mkdtemp(prefix="shoal-faults-", dir=_SHARED_MEMORY if has_space else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def small_disk(mib: int, *, inodes: int = 0) -> Iterator[Path]:
    """Mount a file system of that many MiB (and inodes, if not 0). Raises NoDisk if none can be mounted."""
    place = Path(tempfile.mkdtemp(prefix="shoal-disk-"))
    options = f"size={mib}m,mode=0700" + (f",nr_inodes={inodes}" if inodes else "")
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "shoal-faults", str(place)], capture_output=True, text=True, check=False
    )
    if mount.returncode != 0:
        place.rmdir()
        raise NoDisk(f"A small file system needs the right to mount one: {mount.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()
