"""What a job's process may use. The limit is on its own memory, so that one run cannot take the machine down."""

import os
import resource
import sys
from pathlib import Path
from typing import Final

from shoal.settings import Settings

__all__ = ["OUT_OF_MEMORY", "limit_memory", "machine_memory_mib", "run_memory_mib"]

OUT_OF_MEMORY: Final = 79
"""The exit code of a job's process that met its limit: the next attempt would as well, so there is none."""

_MIB: Final = 1024 * 1024
_LEAST_MIB: Final = 256
_SHARE: Final = 0.8
_CGROUP: Final = Path("/sys/fs/cgroup/memory.max")


def limit_memory(mib: int) -> None:
    """Let this process take `mib` MiB more of private writable memory than it has now; beyond, allocations fail.

    RLIMIT_DATA, not RLIMIT_AS: files that are mapped to be read (vectors, artifacts, libraries) are shared with
    everybody and can be dropped by the kernel at any time, but RLIMIT_AS counts every byte of them. Linux counts
    private mappings under RLIMIT_DATA since 4.7; elsewhere this bounds less.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _private_bytes() + mib * _MIB
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def machine_memory_mib() -> int:
    """The memory of this machine or of the container around it, in MiB."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(pages, _container_limit(_CGROUP)) // _MIB


def run_memory_mib(settings: Settings, *, several: bool = False) -> int:
    """What a run may have: the setting or else, for each of the workers, its part of four fifths of the memory. With
    `several` organisations there is one worker more (`jobs/supervisor.py`)."""
    share = int(machine_memory_mib() * _SHARE) // (max(settings.workers, 1) + several)
    return settings.run_memory_mib or max(share, _LEAST_MIB)


def _container_limit(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return sys.maxsize
    return int(text) if text.isdigit() else sys.maxsize


def _private_bytes() -> int:
    """What counts under RLIMIT_DATA already: libraries with their thread stacks and buffers, some 300 MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
