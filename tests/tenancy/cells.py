"""Counts of the matrix's comparisons, for the summary at the end of the session and the figures in the docs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

__all__ = ["Cells", "comparable"]

_MAY_DIFFER: Final = ("date", "x-request-id", "x-ratelimit-")


@dataclass
class Cells:
    """A cell is one request whose complete response was compared with the expected one."""

    checked: Counter[str] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    failed: int = 0
    """The number of failed tests of the session."""

    def count(self, kind: str, operation: str) -> None:
        self.checked[kind] += 1
        self.operations.add(operation)

    def note(self, line: str) -> None:
        """Print the summary line at the end of the session."""
        self.notes.append(line)

    def lines(self) -> list[str]:
        return [*([self.summary()] if self.checked else []), *self.notes]

    def summary(self) -> str:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.checked.items()))
        total = f"{self.checked.total():,} cells over {len(self.operations)} operations"
        outcome = f"{self.failed} tests failed" if self.failed else "all as expected"
        return f"route matrix: {total}, {outcome} ({kinds})"


def comparable(answer: httpx.Response, echoed: str = "") -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body without what differs between requests: their ids, the time, and the reference sent."""
    headers = {name: value for name, value in answer.headers.items() if not name.startswith(_MAY_DIFFER)}
    body = answer.content
    return answer.status_code, headers, body.replace(echoed.encode(), b"<sent>") if echoed else body
