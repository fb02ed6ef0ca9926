"""What names by a model are likely to take, before anything is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.labeling.providers.calls.connection import Connection
from shoal.labeling.providers.calls.prices import price_note
from shoal.labeling.providers.calls.usage import Tokens
from shoal.labeling.providers.instructions import Instructions
from shoal.quantities import PICODOLLARS

__all__ = ["Estimate", "estimate", "likely_thoughts"]

_RULES, _ANSWER, _LABEL_ONLY = 650, 120, 40
_CHARACTERS: Final = 4
"""Characters of a token."""
_TRIES: Final = 1.1
"""Questions a cluster: some answers have to be asked for again."""
_OF_MEDIA: Final = 1200
_PLAIN_ANSWER: Final = 600
"""Models that may answer longer think; a quarter of what they may is likely."""
_SECONDS_A_CALL: Final = 2.0
"""Of waiting for an answer of a few words."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The likely calls, tokens and cost in US dollars, None without a known price."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    price_note: str | None = None
    """How far the price can be relied on; None for a price that the operator set."""
    seconds: float = 0.0
    """Of waiting for the answers."""

    @staticmethod
    def of(connection: Connection, calls: int, tokens: Tokens) -> "Estimate":
        """Price these tokens."""
        cost = None if connection.price is None else connection.price.of(tokens) / PICODOLLARS
        note = price_note() if connection.price is not None and connection.margin > 1 else None
        seconds = calls * _SECONDS_A_CALL / max(connection.limits.concurrency, 1)
        return Estimate(calls, tokens.input, tokens.output, cost, note, seconds)


def likely_thoughts(connection: Connection) -> int:
    """Return the tokens that a model is likely to think with before an answer."""
    return max(connection.output_tokens - _PLAIN_ANSWER, 0) // 4


def estimate(
    connection: Connection, instructions: Instructions, clusters: Sequence[int], *, documents: int = 0, media: int = 0
) -> Estimate:
    """Estimate the calls for these numbers of clusters, one a layer.

    Parameters
    ----------
    connection : Connection
    instructions : Instructions
    clusters : sequence of int
        Clusters of each layer.
    documents : int
        All documents; 0 if that is not known.
    media : int
        Images and the like of a cluster that are shown.
    """
    calls = round(sum(clusters) * _TRIES)
    samples = instructions.max_samples or (
        min(20, max(3, documents // max(max(clusters, default=1), 1))) if documents else 10
    )
    shown = samples * 1.5 * (instructions.sample_text_length / _CHARACTERS + 8)
    own = (len(instructions.context) + len(instructions.prompt)) / _CHARACTERS
    own += sum(len(label) + len(each) + 4 for label, each in instructions.candidates.items()) / _CHARACTERS
    answer = _ANSWER if instructions.include_summary or instructions.include_keywords else _LABEL_ONLY
    tokens = Tokens(
        round(calls * (_RULES + shown + own + media * _OF_MEDIA)), calls * (answer + likely_thoughts(connection))
    )
    return Estimate.of(connection, calls, tokens)
