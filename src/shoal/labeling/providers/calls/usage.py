"""What calls of a model took, and prices, in whole picodollars so that sums are exact in any order."""

from dataclasses import dataclass

from shoal.quantities import PICODOLLARS

__all__ = ["Price", "Tokens", "Usage"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model, in US dollars for a million tokens."""

    input: float
    output: float

    def of(self, tokens: Tokens) -> int:
        """Return the price of these tokens in picodollars."""
        return round(self.input * 10**6) * tokens.input + round(self.output * 10**6) * tokens.output


@dataclass(frozen=True, slots=True)
class Usage:
    """What naming took of a model so far. Sums of two are made by `+`.

    Attributes
    ----------
    calls : int
        Requests that were sent, those that failed included.
    cached : int
        Answers that were at hand, for which nothing was sent.
    input_tokens, output_tokens : int
        As the provider reported them.
    picodollars : int
        The price of these tokens; 0 where no price is known.
    unreported : int
        Requests without a report of their tokens, because the answer never came or broke off.
    unreported_picodollars, unreported_tokens : int
        What these may have taken at most, and by how much the others may have cost more at a
        price that was not checked. It counts towards a budget.
    """

    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    picodollars: int = 0
    unreported: int = 0
    unreported_picodollars: int = 0
    unreported_tokens: int = 0

    @property
    def cost(self) -> float:
        """The reported cost in US dollars."""
        return self.picodollars / PICODOLLARS

    @property
    def highest_cost(self) -> float:
        """The cost in US dollars if every request without a report was billed in full, and unchecked prices are low."""
        return (self.picodollars + self.unreported_picodollars) / PICODOLLARS

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.cached + other.cached,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.picodollars + other.picodollars,
            self.unreported + other.unreported,
            self.unreported_picodollars + other.unreported_picodollars,
            self.unreported_tokens + other.unreported_tokens,
        )
