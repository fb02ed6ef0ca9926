"""The memory limit of a job's process, so that one run cannot take the machine down."""

import os
import resource
import sys
from pathlib import Path
from typing import Final

from shoal.settings import Settings

__all__ = ["OUT_OF_MEMORY", "limit_memory", "machine_memory_mib", "run_memory_mib"]

OUT_OF_MEMORY: Final = 79
"""The exit code of a job's process that reached its limit; it is not retried, since the next attempt would as well."""

_MIB: Final = 1024 * 1024
_MIN_MIB: Final = 256
_SHARE: Final = 0.8
_CGROUP: Final = Path("/sys/fs/cgroup/memory.max")


def limit_memory(mib: int) -> None:
    """Limit this process to `mib` MiB of private writable memory beyond its present use; then allocations fail.

    RLIMIT_DATA, not RLIMIT_AS: files that are mapped for reading (vectors, artifacts, libraries) are shared between
    processes and can be evicted by the kernel at any time, but RLIMIT_AS counts every byte of them. Linux counts
    private mappings under RLIMIT_DATA since 4.7; elsewhere the limit covers less."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _private_bytes() + mib * _MIB
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def machine_memory_mib() -> int:
    """Return the memory of this machine, or of its container, in MiB."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(pages, _container_limit(_CGROUP)) // _MIB


def run_memory_mib(settings: Settings, *, several: bool = False) -> int:
    """Return the memory limit of a run in MiB: the setting, or else an equal share of four fifths of the memory for
    each worker. With `several` organisations there is one more worker (`jobs/supervisor.py`)."""
    share = int(machine_memory_mib() * _SHARE) // (max(settings.workers, 1) + several)
    return settings.run_memory_mib or max(share, _MIN_MIB)


def _container_limit(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return sys.maxsize
    return int(text) if text.isdigit() else sys.maxsize


def _private_bytes() -> int:
    """Return the present size under RLIMIT_DATA: libraries with their thread stacks and buffers, some 300 MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
