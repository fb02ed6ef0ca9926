"""D2: a fault at every named point, and at every single system call, one after the other until none is left.

`points` walks FAILPOINTS: a crash, EIO, ENOSPC at the first, second and last pass of each. `calls` lets the n-th write,
sync, rename, … fail, for n = 1, 2, 3, …: the method of SQLite's tests. After each fault the folder is opened again and
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

__all__ = ["ACTIONS", "ELSEWHERE", "Fault", "Swept", "calls", "passes", "points", "strike", "sweep", "unreached"]

ACTIONS: Final = ("crash", "err:EIO", "err:ENOSPC")
ELSEWHERE: Final = {
    **{f"migrate.{step}": "storage/test_old_folders.py" for step in ("copied", "step", "before_commit")},
    "migrate.adopted": "storage/test_adoption.py",
}
"""Failpoints that no data of today pass, and the test that crashes at them with data of an earlier release."""
_KILLED: Final = -9
_CALLS: Final = "wsrtomud"


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
class Swept:
    """What came of a sweep."""

    done: int = 0
    violations: list[str] = field(default_factory=list)
    failed: list[Fault] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """The answers that were no success."""

    def take(self, template: Template, fault: Fault) -> None:
        """Carry out one fault in a copy of the folder, recover, check."""
        self.done += 1
        violated = strike(template, fault, SCRIPT, self.statuses)
        if violated is not None:
            self.failed.append(fault)
            self.violations.append(f"{fault}: {violated}")


def strike(
    template: Template, fault: Fault, script: Sequence[tuple[str, int]], statuses: Counter[int] | None = None
) -> str | None:
    """What is violated when the fault strikes in the middle of the script; None where nothing is."""
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


def passes(template: Template) -> dict[str, int]:
    """How often the script passes each failpoint when nothing goes wrong."""
    with template.case() as case:
        code, told = case.act()
        if code != 0:
            raise RuntimeError(f"The script ended with {code} without any fault; see {template.log}")
        case.recover()
    passed: dict[str, int] = told["passed"]
    return passed


def unreached(passed: dict[str, int]) -> list[str]:
    """The failpoints that nothing passes: nobody knows what a fault there does."""
    return [name for name in FAILPOINTS if not passed.get(name) and name not in ELSEWHERE]


def points(passed: dict[str, int], actions: Sequence[str] = ACTIONS) -> Iterator[Fault]:
    """A fault of each kind at the first, second and last pass of each point."""
    for name in FAILPOINTS:
        for at in sorted({1, 2, passed[name]} & set(range(1, passed[name] + 1))):
            yield from (Fault(arm=f"{name}={action}@{at}") for action in actions)


def calls(template: Template, *, step: int = 1, start: int = 1) -> Iterator[Fault]:
    """The n-th call fails, for n = start, start + step, … to the last; EIO and ENOSPC take turns, and every fourth time
    the disk stays broken until the restart. The victims have to be preloaded."""
    with template.case() as case:
        code, told = case.act(fail={"calls": _CALLS, "nth": 0, "error": "EIO"})
        if code != 0 or not told["calls"]:
            raise RuntimeError(f"The calls of the script cannot be counted: {code}, {told}")
    for number, nth in enumerate(range(start, told["calls"] + 1, step)):
        error = ("EIO", "ENOSPC")[number % 2]
        yield Fault(nth=nth, error=error, times=0 if number % 4 == 3 else 1)


def sweep(template: Template, faults: Iterator[Fault], *, most: int | None = None) -> Swept:
    """Carry them out one after the other."""
    swept = Swept()
    for fault in islice(faults, most):
        swept.take(template, fault)
    return swept


def _act(case: Case, fault: Fault, script: Sequence[tuple[str, int]]) -> None:
    """Follow the script with the fault. A victim that ends by itself does what a server does that cannot go on: what
    counts is what the next start finds."""
    if not fault.arm:
        about = {"calls": _CALLS, "nth": fault.nth, "error": fault.error, "times": fault.times}
        case.act(fail=about, script=script)
        return
    code, _ = case.act(arm=fault.arm, script=script)
    if "=crash" in fault.arm and code != _KILLED and script is SCRIPT:
        raise Violated("I7", f"the victim was not killed there: it ended with {code}")
