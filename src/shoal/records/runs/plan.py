"""The estimated cost of a run."""

from pydantic import Field

from shoal.records.base import Record

__all__ = ["RunPlan"]


class RunPlan(Record):
    """The answer to `POST .../plan`. Seconds are meant within a factor of two; memory and disk lie above."""

    cluster_id: str | None = None
    mode: str = "full"
    algorithm: str
    documents: int
    """Documents that match; those without the vector are among them."""
    dimensions: int
    seconds: float
    """Of the run itself, once a worker takes it up, on this machine as fast as it was when it was asked."""
    seconds_limit: float = 0.0
    """Longest an attempt may take before it is given up as failed; 0 where there is no limit."""
    peak_memory_bytes: int
    memory_limit_bytes: int
    """What a run may use here."""
    disk_bytes: int
    """For results, output documents and what is kept in case of a crash."""
    disk_free_bytes: int
    llm_calls: int
    """Requests to a language model, if nothing is at hand from earlier runs."""
    llm_model: str | None = None
    """The model that would name the clusters, as `provider:model`; null for labels from words."""
    llm_input_tokens: int = 0
    llm_output_tokens: int = 0
    llm_cost: float | None = None
    """In US dollars; null where no model is asked, or no price is known."""
    llm_budget: float | None = None
    """What naming may cost, in US dollars; null without a limit. Clusters beyond it are named from words."""
    fits: bool
    """Whether execute would accept it."""
    notes: list[str] = Field(default_factory=list)
