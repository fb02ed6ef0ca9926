"""Self-test of the harness: the cheapest run that can find a planted bug must find it every time.

A bug is in the victims only: their folder was prepared without it. Each run is also tried without a bug, so that a
harness that raises false alarms fails as well.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from faults import io_faults, power_loss
from faults.disk import quick_folder
from faults.invariants import Violated
from faults.sweep import Fault, SweepResult
from faults.template import Template

__all__ = ["MESSAGES", "PLANTED", "run_with_bug", "run_without_bug", "runs"]

_FOLDER: Final = Path(__file__).with_name("planted")
Run = Callable[[Template], str | None]


def run_with_bug(base: Template, bug: str, run: str) -> str | None:
    """Return what the run reports about victims with the bug; None if nothing. `base` provides the set-up."""
    environ = {"SHOAL_PLANTED": bug, "PYTHONPATH": str(_FOLDER)}
    if run == "power loss":
        environ |= io_faults.preload_environ()
    with quick_folder() as folder, Template(folder, environ, like=base) as template:
        return _RUNS[run](template)


def run_without_bug(template: Template, run: str) -> str | None:
    """Return what the run reports about victims without a bug, preloaded for power loss."""
    return _RUNS[run](template)


def runs() -> list[str]:
    """List the runs that must find a bug, each once."""
    return list(dict.fromkeys(PLANTED.values()))


def _strike_at(arm: str) -> Run:
    def run(template: Template) -> str | None:
        result = SweepResult()
        result.run(template, Fault(arm=arm))
        return "; ".join(result.violations) or None

    return run


def _no_fault(template: Template) -> str | None:
    with template.case() as case:
        case.act()
        try:
            case.recover(keep_working=False)
        except Violated as violated:
            return str(violated)
    return None


def _take_over_worker(template: Template) -> str | None:
    with template.case() as case:
        try:
            case.zombie()
        except Violated as violated:
            return str(violated)
    return None


def _lose_power(template: Template) -> str | None:
    _, violations = power_loss.sweep(template, count=0, seed=1, most=6)
    return "; ".join(violations) or None


_RUNS: Final[Mapping[str, Run]] = {
    "crash before the commit": _strike_at("ingest.appended=crash@1"),
    "crash before the manifest": _strike_at("artifact.before_manifest=crash@1"),
    "crash after a batch of enrichment": _strike_at("enrich.batch_committed=crash@1"),
    "crash after a deletion": _strike_at("remove.committed=crash@3"),
    "no fault": _no_fault,
    "worker taken over": _take_over_worker,
    "power loss": _lose_power,
}
PLANTED: Final[Mapping[str, str]] = {
    "reply_before_commit": "crash before the commit",
    "flip_before_artifacts": "crash before the manifest",
    "tenant_clause_dropped": "no fault",
    "idempotency_reply_not_saved": "no fault",
    "enrichment_without_intent": "crash after a batch of enrichment",
    "removal_without_tombstone": "crash after a deletion",
    "no_fsync": "power loss",
    "fencing_ignored": "worker taken over",
}
"""Each planted bug and the run that must find it."""

MESSAGES: Final[Mapping[str, str]] = {
    "reply_before_commit": "was acknowledged and is lost",
    "flip_before_artifacts": "I5: the artifacts of the visible run",
    "tenant_clause_dropped": "I12",
    "idempotency_reply_not_saved": "I7: one key gave two runs",
    "enrichment_without_intent": "I8: results of rich were written back",
    "removal_without_tombstone": "I10: folders of unknown namespaces",
    "no_fsync": "was acknowledged and is lost",
    "fencing_ignored": "a worker that was taken over changed",
}
"""The message that identifies each bug: one found as something else was not understood."""
