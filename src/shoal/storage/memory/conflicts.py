"""Conflicts on request, so that tests see every transaction run again."""

import random
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NO_CONFLICTS", "Conflicts"]


@dataclass(slots=True)
class Conflicts:
    """Decides which commits are refused although nothing is in their way.

    Parameters
    ----------
    rate
        The probability that a commit is refused, drawn from a generator seeded with `seed`.
    seed
        The seed of that generator.
    most
        How many attempts of one transaction are refused at most, so that none of them gives up for this reason.
    """

    rate: float = 0.0
    seed: int = 0
    most: int = 4
    refused: int = 0
    """How many commits were refused."""
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
