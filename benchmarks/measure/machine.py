"""Where a benchmark ran, and with which versions."""

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from measure.process import available_cores
from shoal.engine import kernels

__all__ = ["describe", "one_line"]

_PEERS = ("scikit-learn", "scikit-learn-intelex", "faiss-cpu", "hdbscan", "fast-hdbscan", "evoc", "umap-learn")
_UNDER_THEM = ("pynndescent", "numba", "numpy", "scipy")
_INSTRUCTIONS = ("avx512_vnni", "avx_vnni", "avx512bw", "avx2", "asimddp", "asimd")
"""Of these the best two or three of the machine are reported."""


def describe() -> dict[str, Any]:
    """Processor, cores, instruction sets, memory in GiB, load at this moment, versions, date."""
    about = _processor()
    flags = set(about.get("flags", about.get("Features", "")).split())
    return {
        "processor": about.get("model name", platform.processor() or platform.machine()),
        "cores": available_cores(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load": os.getloadavg()[0],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": _versions(("shoal", *_PEERS, *_UNDER_THEM)),
        "revision": _revision(),
        "kernels": kernels.describe(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def one_line(about: dict[str, Any]) -> str:
    """For beneath a table."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    return (
        f"{about['cores']} cores, {about['processor']} ({' '.join(about['instructions']) or 'instructions unknown'}), "
        f"{about['memory_gib']} GiB, {about['system']}; Shoal {about['kernels']}, revision {about['revision']}; "
        f"Python {about['python']}, {versions}"
    )


def _processor() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in reversed(lines))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _versions(names: Iterable[str]) -> dict[str, str | None]:
    result: dict[str, str | None] = {}
    for name in names:
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            result[name] = None
    return result


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        output = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return output.stdout.strip()
