"""What naming by a language model keeps: its answers, and what an organisation spends in a month."""

from pydantic import Field

from shoal.records.base import Record, Timestamp

__all__ = ["KeptAnswer", "Reservation", "Spending"]


class KeptAnswer(Record):
    """An answer of a model, under a hash of the question."""

    schema_version: int = 1
    answer_id: str
    answer: str
    cluster_id: str | None = None
    """The cluster that it goes with, for what was derived from its documents."""
    created_at: Timestamp
    expires_at: Timestamp


class Reservation(Record):
    """What an active run may spend in total, and has spent, in picodollars."""

    namespace_id: str
    limit: int
    spent: int = 0


class Spending(Record):
    """What an organisation spent on language models in a month of UTC, and what its active runs may still spend."""

    schema_version: int = 1
    month: str
    """Such as `2026-11`."""
    picodollars: int = 0
    calls: int = 0
    tokens: int = 0
    reservations: dict[str, Reservation] = Field(default_factory=dict)
    """By run."""
