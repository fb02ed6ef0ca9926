"""Operations of a store for operators: counters, journals, cleanup, closing."""

from collections.abc import Mapping
from typing import Protocol

from shoal.records.scope import Scope

__all__ = ["CounterReader", "CounterWriter", "Journal", "Maintenance", "RunFiles"]


class CounterReader(Protocol):
    """Figures for operators."""

    def counters(self) -> Mapping[tuple[str, ...], tuple[int, float]]:
        """Return the count and the sum of every counter."""


class CounterWriter(Protocol):
    """Counters that a transaction increments."""

    def count(self, *name: str, amount: float = 0.0) -> None:
        """Add one to a counter, and `amount` to its sum.

        Counting never conflicts with another transaction. Names must be few and must not identify a tenant.
        """


class Journal(Protocol):
    """The write-ahead log of a store."""

    def checkpoint(self) -> None:
        """Truncate journals, unless readers still need them."""

    def journal_bytes(self) -> int:
        """Return the size of the journals; 0 for a store without."""


class RunFiles(Protocol):
    """The files of runs, for cleanup."""

    def runs(self) -> list[tuple[Scope, str]]:
        """Return all runs that have files, in every scope."""

    def delete(self, scope: Scope, run_id: str) -> None:
        """Delete all files of a run; does nothing if there are none."""


class Maintenance(Journal, Protocol):
    """Upkeep of a store."""

    def close(self) -> None:
        """Release all resources; later calls raise Unavailable. May be called twice."""
