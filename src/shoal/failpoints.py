"""Failpoints: named places where tests can inject a fault, to stop a process exactly between two steps.

`SHOAL_FAILPOINTS` holds `name=action` pairs, separated by `;`: `run.before_flip=crash`, `enrich.batch=crash@3` (at the
third pass), `ingest.committed=sleep:0.5`, `artifact.table=err:ENOSPC`. With `SHOAL_FAILPOINTS_ONCE` (a folder) each
fires once across all processes that share the folder. Without the variable a pass costs one lookup in an empty mapping.
"""

import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["FAILPOINTS", "hit"]

FAILPOINTS: Final = (
    "ingest.appended",
    "ingest.synced",
    "ingest.committed",
    "idempotency.intent",
    "idempotency.before_save",
    "execute.queued",
    "run.claimed",
    "run.loaded",
    "run.checkpoint.written",
    "run.fuse.kept",
    "run.cluster.kept",
    "run.layout.kept",
    "run.group.kept",
    "run.identified",
    "run.name.kept",
    "artifact.table",
    "artifact.before_manifest",
    "artifact.manifest",
    "run.output_written",
    "run.before_flip",
    "run.after_flip",
    "run.cleared",
    "enrich.intent",
    "enrich.batch",
    "enrich.batch_committed",
    "enrich.cursor",
    "enrich.clear",
    "enrich.cleared",
    "enrich.done",
    "run.before_complete",
    "run.after_complete",
    "remove.recorded",
    "remove.committed",
    "remove.generation",
    "remove.collections",
    "remove.renamed",
    "remove.runs",
    "remove.results",
    "remove.moved",
    "remove.documents",
    "remove.artifacts",
    "remove.checkpoints",
    "migrate.copied",
    "migrate.step",
    "migrate.before_commit",
    "migrate.adopted",
)
"""All failpoints; the sweep in `tests/faults` crashes at each."""


@dataclass(slots=True)
class _Fault:
    action: str
    at: int
    passed: int = 0


def _parse_faults(text: str) -> dict[str, _Fault]:
    faults = {}
    for part in filter(None, text.split(";")):
        name, _, action = part.partition("=")
        action, _, at = action.partition("@")
        if name not in FAILPOINTS:
            raise ValueError(f"SHOAL_FAILPOINTS: there is no failpoint {name!r}")
        faults[name] = _Fault(action, int(at or 1))
    return faults


_faults: Final = _parse_faults(os.environ.get("SHOAL_FAILPOINTS", ""))
_once: Final = os.environ.get("SHOAL_FAILPOINTS_ONCE")


def hit(name: str) -> None:
    """Pass a failpoint: does nothing unless a fault is set for it. Raises OSError if that is the fault."""
    fault = _faults.get(name)
    if fault is None:
        return
    fault.passed += 1
    if fault.passed == fault.at and _is_first(name):
        _act(fault.action)


def _is_first(name: str) -> bool:
    """Whether this is the first time, across all processes that share the folder, that the failpoint fires."""
    if _once is None:
        return True
    try:
        (Path(_once) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _act(action: str) -> None:
    kind, _, argument = action.partition(":")
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "sleep":
        time.sleep(float(argument))
    elif kind == "err":
        number = getattr(errno, argument)
        raise OSError(number, os.strerror(number))
    else:
        raise ValueError(f"SHOAL_FAILPOINTS: there is no action {action!r}")
