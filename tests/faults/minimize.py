"""Reduce a failure to a short script in which the same fault still violates the same invariant."""

from collections.abc import Sequence
from dataclasses import dataclass

from faults.inside import SCRIPT
from faults.sweep import Fault, strike
from faults.template import Template

__all__ = ["MinimalFailure", "minimize"]

Step = tuple[str, int]
_TRIES = 60


@dataclass(frozen=True, slots=True)
class MinimalFailure:
    """The remaining script, and how to reproduce the failure."""

    fault: Fault
    script: tuple[Step, ...]
    violated: str

    def __str__(self) -> str:
        steps = ", ".join(f"{number} {kind}({with_})" for number, (kind, with_) in enumerate(self.script, 1))
        command = f'python -m faults.run --only points --arm "{self.fault.arm}"' if self.fault.arm else ""
        return f"{self.violated}\n  fault: {self.fault}\n  operations: {steps}\n  {command}".rstrip()


def minimize(template: Template, fault: Fault, script: Sequence[Step] = SCRIPT) -> MinimalFailure | None:
    """Remove operations, halves first and then single ones, while the same invariant is violated. Returns None if the
    fault violates nothing."""
    violated = strike(template, fault, script)
    if violated is None:
        return None
    remaining, size, tries = list(script), len(script) // 2, 0
    while size and tries < _TRIES:
        start = 0
        while start < len(remaining) and tries < _TRIES:
            shorter = remaining[:start] + remaining[start + size :]
            tries += 1
            violation = strike(template, fault, shorter) if shorter else None
            if violation is not None and violation.partition(":")[0] == violated.partition(":")[0]:
                remaining, violated = shorter, violation
            else:
                start += size
        size //= 2
    return MinimalFailure(fault, tuple(remaining), violated)
