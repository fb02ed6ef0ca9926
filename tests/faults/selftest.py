"""The harness tested: each planted bug has to be found by the cheapest run that can find it, every time.

A bug is in the victims only: the folder they are given was prepared without it. What a run says without any bug is
tested beside it, so that a harness that cries wolf fails as well.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from faults import io_faults, power_loss
from faults.disk import quick_folder
from faults.invariants import Violated
from faults.sweep import Fault, Swept
from faults.template import Template

__all__ = ["PLANTED", "SAYS", "found", "runs", "said_of"]

_FOLDER: Final = Path(__file__).with_name("planted")
Run = Callable[[Template], str | None]


def found(base: Template, bug: str, run: str) -> str | None:
    """What the run says of victims with the bug; None where it finds nothing wrong. `base` is the set-up."""
    environ = {"SHOAL_PLANTED": bug, "PYTHONPATH": str(_FOLDER)}
    if run == "power loss":
        environ |= io_faults.preloaded()
    with quick_folder() as folder, Template(folder, environ, like=base) as template:
        return _RUNS[run](template)


def said_of(template: Template, run: str) -> str | None:
    """What the run says of these victims, who have no bug and are preloaded for a power loss."""
    return _RUNS[run](template)


def runs() -> list[str]:
    """The runs that have to find a bug, each once."""
    return list(dict.fromkeys(PLANTED.values()))


def _struck(arm: str) -> Run:
    def run(template: Template) -> str | None:
        swept = Swept()
        swept.take(template, Fault(arm=arm))
        return "; ".join(swept.violations) or None

    return run


def _no_fault(template: Template) -> str | None:
    with template.case() as case:
        case.act()
        try:
            case.recover(go_on=False)
        except Violated as violated:
            return str(violated)
    return None


def _taken_over(template: Template) -> str | None:
    with template.case() as case:
        try:
            case.zombie()
        except Violated as violated:
            return str(violated)
    return None


def _power(template: Template) -> str | None:
    _, violations = power_loss.sweep(template, count=0, seed=1, most=6)
    return "; ".join(violations) or None


_RUNS: Final[Mapping[str, Run]] = {
    "crash before the commit": _struck("ingest.appended=crash@1"),
    "crash before the manifest": _struck("artifact.before_manifest=crash@1"),
    "crash after a batch of enrichment": _struck("enrich.batch_committed=crash@1"),
    "crash after a deletion": _struck("remove.committed=crash@3"),
    "no fault": _no_fault,
    "worker taken over": _taken_over,
    "power loss": _power,
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
"""Each planted bug and the run that has to find it."""

SAYS: Final[Mapping[str, str]] = {
    "reply_before_commit": "was acknowledged and is lost",
    "flip_before_artifacts": "I5: the artifacts of the visible run",
    "tenant_clause_dropped": "I12",
    "idempotency_reply_not_saved": "I7: one key gave two runs",
    "enrichment_without_intent": "I8: results of rich were written back",
    "removal_without_tombstone": "I10: folders of namespaces that nobody knows",
    "no_fsync": "was acknowledged and is lost",
    "fencing_ignored": "a worker that was taken over changed",
}
"""What has to be said of it: a bug that is found as something else was not understood."""
