"""What those who run an installation ask of a store."""

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Counters", "Maintenance"]


class Counters(Protocol):
    """Figures for operators."""

    def count(self, *name: str, amount: float = 0.0) -> None:
        """Add one to a counter, and `amount` to its sum. Joins the transaction that is open. For operators' figures:
        names must be few and tell of nobody."""

    def counters(self) -> Mapping[tuple[str, ...], tuple[int, float]]:
        """Every counter with its sum."""


class Maintenance(Protocol):
    """Upkeep of a store."""

    def checkpoint(self) -> None:
        """Give the room of journals back to the disk as far as nobody reads from them."""

    def close(self) -> None: ...
