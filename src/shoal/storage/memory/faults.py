"""Injected failures: a store in memory passes a numbered step wherever a real one could lose its connection."""

import random
from dataclasses import dataclass, field
from typing import Final

from shoal.errors import Unavailable

__all__ = ["NO_FAULTS", "Faults"]


@dataclass(slots=True)
class Faults:
    """Raises Unavailable between two steps.

    Parameters
    ----------
    at : int, optional
        The number of the step that fails, counted from 1 over the life of this object. 0 for none.
    rate : float, optional
        The probability with which each other step fails, drawn from a generator seeded with `seed`.
    seed : int, optional
        The seed of that generator.
    """

    at: int = 0
    rate: float = 0.0
    seed: int = 0
    passed: int = 0
    """Number of steps passed, including the failed ones."""
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def step(self, name: str) -> None:
        """Pass one step. Raises Unavailable if it is to fail."""
        self.passed += 1
        if self.passed == self.at or (self.rate and self._random.random() < self.rate):
            raise Unavailable(f"The store in memory failed on request, at {name}.")


NO_FAULTS: Final = Faults()
