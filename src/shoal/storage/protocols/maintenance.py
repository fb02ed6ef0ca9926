"""What those who run an installation ask of a store."""

from collections.abc import Mapping
from typing import Protocol

from shoal.records.scope import Scope

__all__ = ["CounterReader", "CounterWriter", "Journal", "Maintenance", "RunFiles"]


class CounterReader(Protocol):
    """Figures for operators."""

    def counters(self) -> Mapping[tuple[str, ...], tuple[int, float]]:
        """Every counter with its sum."""


class CounterWriter(Protocol):
    """Counts what a transaction did."""

    def count(self, *name: str, amount: float = 0.0) -> None:
        """Add one to a counter, and `amount` to its sum. Counting is never in another transaction's way. Names must be
        few and tell of nobody."""


class Journal(Protocol):
    """What a store writes beside its data before it moves it there."""

    def checkpoint(self) -> None:
        """Give the room of journals back to the disk as far as nobody reads from them."""

    def journal_bytes(self) -> int:
        """The size of journals beside the data, for operators; 0 for a store without."""


class RunFiles(Protocol):
    """What stores keep of runs, for those who clean up."""

    def runs(self) -> list[tuple[Scope, str]]:
        """All runs of which something is kept, in every scope."""

    def delete(self, scope: Scope, run_id: str) -> None:
        """Remove everything of a run; nothing happens where there is nothing."""


class Maintenance(Journal, Protocol):
    """Upkeep of a store."""

    def close(self) -> None:
        """Release everything; later calls raise Unavailable. May be called twice."""
