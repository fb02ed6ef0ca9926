"""Layers of granularity: the same rows in few large groups and in many small ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shoal.columns import Labels, Rows
from shoal.engine.labels import by_size

__all__ = ["Layer", "Layers"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One granularity: `labels` (n,), -1 for noise, numbered by size as ever; `resolution` of its communities."""

    labels: Labels
    resolution: float

    @property
    def clusters(self) -> int:
        return int(self.labels.max(initial=-1)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """From coarse to fine, each nested in the one before but for noise. `layers[chosen]` are the labels of the
    clustering; `reason` says why, in words; `clear` is False where no clear structure was seen."""

    layers: Sequence[Layer]
    chosen: int
    reason: str
    clear: bool
    agreement: float
    """How far independent runs agree on which neighbours belong together, 0..1."""

    def summary(self) -> dict[str, object]:
        """All but the labels, ready for JSON."""
        return {
            "clusters": [layer.clusters for layer in self.layers],
            "chosen": self.chosen,
            "reason": self.reason,
            "clear": self.clear,
            "agreement": self.agreement,
        }

    def settled(self, fitted: Rows | None, labels: Labels) -> "Layers":
        """The same among all n rows, the chosen layer being `labels` (n,); rows that were not `fitted` are noise in all
        others."""
        placed = []
        for layer in self.layers:
            own = np.full(len(labels), -1, np.int32)
            own[slice(None) if fitted is None else fitted] = by_size(layer.labels)
            placed.append(replace(layer, labels=own))
        placed[self.chosen] = replace(placed[self.chosen], labels=labels)
        return replace(self, layers=placed)

    def taken(self, rows: Rows) -> "Layers":
        """Row i of the answer is row `rows[i]`."""
        return replace(self, layers=[replace(layer, labels=layer.labels[rows]) for layer in self.layers])
