"""A failure made small: the shortest script in which the same fault still violates the same invariant."""

from collections.abc import Sequence
from dataclasses import dataclass

from faults.inside import SCRIPT
from faults.sweep import Fault, strike
from faults.template import Template

__all__ = ["Smaller", "minimize"]

Step = tuple[str, int]
_TRIES = 60


@dataclass(frozen=True, slots=True)
class Smaller:
    """What is left of the script, and how to see it fail again."""

    fault: Fault
    script: tuple[Step, ...]
    violated: str

    def __str__(self) -> str:
        steps = ", ".join(f"{number} {kind}({with_})" for number, (kind, with_) in enumerate(self.script, 1))
        again = f'python -m faults.run --only points --arm "{self.fault.arm}"' if self.fault.arm else ""
        return f"{self.violated}\n  fault: {self.fault}\n  operations: {steps}\n  {again}".rstrip()


def minimize(template: Template, fault: Fault, script: Sequence[Step] = SCRIPT) -> Smaller | None:
    """Leave out operations, halves first and then single ones, as long as the same invariant is violated. None where
    the fault violates nothing."""
    violated = strike(template, fault, script)
    if violated is None:
        return None
    left, size, tries = list(script), len(script) // 2, 0
    while size and tries < _TRIES:
        start = 0
        while start < len(left) and tries < _TRIES:
            shorter = left[:start] + left[start + size :]
            tries += 1
            again = strike(template, fault, shorter) if shorter else None
            if again is not None and again.partition(":")[0] == violated.partition(":")[0]:
                left, violated = shorter, again
            else:
                start += size
        size //= 2
    return Smaller(fault, tuple(left), violated)
