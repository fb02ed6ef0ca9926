"""D2: a fault at every failpoint and at every system call, one at a time.

`points` covers FAILPOINTS: a crash, EIO, ENOSPC at the first, second and last pass of each. `calls` makes the n-th
write, sync, rename, … fail, for n = 1, 2, 3, …, as in SQLite's tests. After each fault the folder is opened again and
all invariants are checked.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from faults.inside import SCRIPT
from faults.invariants import Violated
from faults.template import Case, Template
from shoal.failpoints import FAILPOINTS

__all__ = [
    "ACTIONS",
    "ELSEWHERE",
    "Fault",
    "SweepResult",
    "calls",
    "count_passes",
    "find_unreached",
    "points",
    "strike",
    "sweep",
]

ACTIONS: Final = ("crash", "err:EIO", "err:ENOSPC")
ELSEWHERE: Final = {
    **{f"migrate.{step}": "storage/test_old_folders.py" for step in ("copied", "step", "before_commit")},
    "migrate.adopted": "storage/test_adoption.py",
}
"""Failpoints that only data of an earlier release pass, and the test that crashes at them."""
_KILLED: Final = -9
_FAILABLE: Final = "wsrtomud"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: at a point (`name=action@pass`), or at a system call (`nth`, `error`)."""

    arm: str = ""
    nth: int = 0
    error: str = ""
    times: int = 1

    def __str__(self) -> str:
        return self.arm or f"call {self.nth} fails with {self.error}{'' if self.times == 1 else ', and all after it'}"


@dataclass(slots=True)
class SweepResult:
    """Outcome of a sweep."""

    done: int = 0
    violations: list[str] = field(default_factory=list)
    failed: list[Fault] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """Error answers by status."""

    def run(self, template: Template, fault: Fault) -> None:
        """Inject one fault in a copy of the folder, recover and check."""
        self.done += 1
        violated = strike(template, fault, SCRIPT, self.statuses)
        if violated is not None:
            self.failed.append(fault)
            self.violations.append(f"{fault}: {violated}")


def strike(
    template: Template, fault: Fault, script: Sequence[tuple[str, int]], statuses: Counter[int] | None = None
) -> str | None:
    """Return the violation when the fault strikes during the script; None if there is none."""
    try:
        with template.case() as case:
            _act(case, fault, script)
            if statuses is not None:
                book = case.entries()
                statuses.update(e.reply["status"] for e in book.entries.values() if e.reply.get("status", 0) >= 400)
                book.close()
            case.recover()
    except (Violated, TimeoutError) as problem:
        return str(problem)
    return None


def count_passes(template: Template) -> dict[str, int]:
    """Count how often the script passes each failpoint without a fault."""
    with template.case() as case:
        code, report = case.act()
        if code != 0:
            raise RuntimeError(f"The script ended with {code} without any fault; see {template.log}")
        case.recover()
    passed: dict[str, int] = report["passed"]
    return passed


def find_unreached(passed: dict[str, int]) -> list[str]:
    """List the failpoints that nothing passes, so that faults there are untested."""
    return [name for name in FAILPOINTS if not passed.get(name) and name not in ELSEWHERE]


def points(passed: dict[str, int], actions: Sequence[str] = ACTIONS) -> Iterator[Fault]:
    """Iterate over faults of each kind at the first, second and last pass of each failpoint."""
    for name in FAILPOINTS:
        for at in sorted({1, 2, passed[name]} & set(range(1, passed[name] + 1))):
            yield from (Fault(arm=f"{name}={action}@{at}") for action in actions)


def calls(template: Template, *, step: int = 1, start: int = 1) -> Iterator[Fault]:
    """Iterate over faults of the n-th call, for n = start, start + step, … to the last; EIO and ENOSPC alternate, and
    every fourth fault lasts until the restart. The victims must be preloaded."""
    with template.case() as case:
        code, report = case.act(fail={"calls": _FAILABLE, "nth": 0, "error": "EIO"})
        if code != 0 or not report["calls"]:
            raise RuntimeError(f"The calls of the script cannot be counted: {code}, {report}")
    for number, nth in enumerate(range(start, report["calls"] + 1, step)):
        error = ("EIO", "ENOSPC")[number % 2]
        yield Fault(nth=nth, error=error, times=0 if number % 4 == 3 else 1)


def sweep(template: Template, faults: Iterator[Fault], *, most: int | None = None) -> SweepResult:
    """Inject the faults one after the other."""
    result = SweepResult()
    for fault in islice(faults, most):
        result.run(template, fault)
    return result


def _act(case: Case, fault: Fault, script: Sequence[tuple[str, int]]) -> None:
    """Follow the script with the fault. A victim may exit, as a server does that cannot continue: what counts is the
    state at the next start."""
    if not fault.arm:
        failure = {"calls": _FAILABLE, "nth": fault.nth, "error": fault.error, "times": fault.times}
        case.act(fail=failure, script=script)
        return
    code, _ = case.act(arm=fault.arm, script=script)
    if "=crash" in fault.arm and code != _KILLED and script is SCRIPT:
        raise Violated("I7", f"the victim was not killed there: it ended with {code}")
