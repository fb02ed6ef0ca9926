"""The contents of a namespace in memory, and atomic writes of several documents.

The store has no transactions. A write is staged out of sight of readers, then committed by one assignment (the flip),
then its documents are put in place one by one. The next call drops what was staged but not flipped, and completes what
was. Each put is a whole document and may be repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shoal.errors import InvalidField
from shoal.storage.memory.document import Document
from shoal.storage.memory.faults import Faults

__all__ = ["Change", "Fence", "Namespace", "Receipt"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer of a named write; None for one that was withdrawn."""

    answer: Any
    at: datetime


@dataclass(frozen=True, slots=True)
class Fence:
    """The latest run of a cluster that wrote results into a collection."""

    sequence: int
    run_id: str
    written_at: datetime


@dataclass(slots=True)
class Change:
    """A staged write: documents by (collection, id), None for deleted ones."""

    puts: dict[tuple[str, str], Document | None] = field(default_factory=dict)
    dimensions: dict[str, int] = field(default_factory=dict)
    fences: dict[tuple[str, str], Fence] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)


@dataclass(slots=True)
class Namespace:
    """The documents of a namespace, by collection and id."""

    collections: dict[str, dict[str, Document]] = field(default_factory=dict)
    dimensions: dict[str, int] = field(default_factory=dict)
    fences: dict[tuple[str, str], Fence] = field(default_factory=dict)
    """By (collection, cluster)."""
    receipts: dict[str, Receipt] = field(default_factory=dict)
    flipped: Change | None = None
    """A committed write that may not be in place yet."""

    def document(self, change: Change, collection: str, id: str) -> Document | None:
        """Return a document as the change leaves it."""
        if (collection, id) in change.puts:
            return change.puts[collection, id]
        return self.collections.get(collection, {}).get(id)

    def declare(self, change: Change, name: str, dimension: int) -> None:
        """Fix the dimension of a vector name. Raises InvalidField if it already has another one."""
        fixed = {**self.dimensions, **change.dimensions}.get(name, dimension)
        if fixed != dimension:
            raise InvalidField(
                f"vectors.{name}",
                f"has {dimension} dimensions, but vectors of this name have {fixed} in this namespace",
                remedy=f"Send {fixed} numbers, or use another vector name.",
            )
        change.dimensions[name] = dimension

    def commit(self, change: Change, faults: Faults) -> None:
        """Commit a staged write atomically."""
        faults.step("staged")
        self.flipped = change
        faults.step("flipped")
        self.settle(faults)

    def settle(self, faults: Faults) -> None:
        """Put a committed write in place."""
        change = self.flipped
        if change is None:
            return
        for (collection, id), document in change.puts.items():
            self._put(collection, id, document)
            faults.step("put")
        self._adopt(change)
        self.flipped = None

    def _put(self, collection: str, id: str, document: Document | None) -> None:
        if document is not None:
            self.collections.setdefault(collection, {})[id] = document
            return
        there = self.collections.get(collection, {})
        there.pop(id, None)
        if not there:
            self.drop(collection)

    def _adopt(self, change: Change) -> None:
        self.dimensions |= change.dimensions
        self.receipts |= change.receipts
        self.fences |= change.fences

    def drop(self, collection: str) -> None:
        """Remove a collection and its fences."""
        self.collections.pop(collection, None)
        self.fences = {key: fence for key, fence in self.fences.items() if key[0] != collection}

    def generations(self) -> Mapping[str, list[str]]:
        """Return the generations of each output collection."""
        generations: dict[str, list[str]] = {}
        for key in self.collections:
            id, at, generation = key.partition("@")
            if at:
                generations.setdefault(id, []).append(generation)
        return generations
