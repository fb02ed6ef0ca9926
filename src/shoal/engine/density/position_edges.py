"""Edges between rows that are referred to by position."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PositionEdges"]

Floats = NDArray[np.float64]
Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PositionEdges:
    """Pairs `left`, `right` (m,) int32 of positions and their distances `length` (m,) float64."""

    left: Places
    right: Places
    length: Floats

    def concat(self, other: "PositionEdges") -> "PositionEdges":
        return PositionEdges(
            np.concatenate([self.left, other.left]),
            np.concatenate([self.right, other.right]),
            np.concatenate([self.length, other.length]),
        )

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "PositionEdges":
        return PositionEdges(self.left[chosen], self.right[chosen], self.length[chosen])

    def relocate(self, place: Places) -> "PositionEdges":
        """The same pairs after row p moved to place[p]."""
        return PositionEdges(place[self.left], place[self.right], self.length)

    def mutual_reachability(self, core: Floats) -> Floats:
        return np.maximum(self.length, np.maximum(core[self.left], core[self.right]))
