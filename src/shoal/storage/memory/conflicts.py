"""Injected conflicts, so that tests see every transaction retried."""

import random
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NO_CONFLICTS", "Conflicts"]


@dataclass(slots=True)
class Conflicts:
    """Decides which commits are refused without a real conflict.

    Parameters
    ----------
    rate
        The probability that a commit is refused, drawn from a generator seeded with `seed`.
    seed
        The seed of that generator.
    most
        Maximum number of refused attempts of one transaction, so that none runs out of retries.
    """

    rate: float = 0.0
    seed: int = 0
    most: int = 4
    refused: int = 0
    """Number of refused commits."""
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def refuses(self, attempt: int) -> bool:
        """Whether the commit of an attempt, counted from 0, is refused."""
        if not self.rate or attempt >= self.most or self._random.random() >= self.rate:
            return False
        self.refused += 1
        return True


NO_CONFLICTS: Final = Conflicts()
