"""What names by a language model would take of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shoal.labeling.providers import Connection, Estimate, estimate
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.labeling import Labeling, merge_labeling, read_labeling
from shoal.records.scope import Scope
from shoal.runs.models.connected import ConnectedModels, instructions_of
from shoal.runs.models.spending import Spendings

__all__ = ["MODEL_BYTES", "NamingCost", "budget_of", "labeling_of", "plan_naming"]

_BRIEFS: Final = 2
"""Of a clustering: its layers, and the levels of groups above them."""
MODEL_BYTES: Final = 128 * 2**20
"""Memory of what speaks with a provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingCost:
    """The fields of a RunPlan about a language model, under the same names, with `seconds` and notes."""

    llm_calls: int = 0
    llm_model: str | None = None
    llm_input_tokens: int = 0
    llm_output_tokens: int = 0
    llm_cost: float | None = None
    llm_budget: float | None = None
    seconds: float = 0.0
    longest_seconds: float = 0.0
    """After which what is not named yet is named from words."""
    bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: "NamingCost") -> "NamingCost":
        """Add what the same model takes for something else."""
        costs = [each.llm_cost for each in (self, other) if each.llm_cost is not None]
        budgets = [each.llm_budget for each in (self, other) if each.llm_budget is not None]
        return NamingCost(
            llm_calls=self.llm_calls + other.llm_calls,
            llm_model=self.llm_model or other.llm_model,
            llm_input_tokens=self.llm_input_tokens + other.llm_input_tokens,
            llm_output_tokens=self.llm_output_tokens + other.llm_output_tokens,
            llm_cost=sum(costs) if costs else None,
            llm_budget=min(budgets, default=None),
            seconds=self.seconds + other.seconds,
            longest_seconds=self.longest_seconds + other.longest_seconds,
            bytes=max(self.bytes, other.bytes),
            notes=list(dict.fromkeys([*self.notes, *other.notes])),
        )


def labeling_of(cluster: Cluster, request: Mapping[str, Any]) -> Labeling:
    """Return the configuration of naming of a run: that of the cluster, as the run overrides it."""
    return merge_labeling(cluster.llm_labeling, read_labeling(request.get("llm_labeling")))


def budget_of(
    models: ConnectedModels, spendings: Spendings, scope: Scope, labeling: Labeling, connection: Connection
) -> float | None:
    """Return what a run may spend, in US dollars; None without a limit."""
    left = None if connection.price is None else spendings.left(scope)
    limits = [models.run_budget(labeling, connection), left]
    return min((max(limit, 0.0) for limit in limits if limit is not None), default=None)


def plan_naming(
    models: ConnectedModels,
    spendings: Spendings,
    scope: Scope,
    cluster: Cluster,
    request: Mapping[str, Any],
    clusters: list[int],
    documents: int,
) -> NamingCost:
    """Estimate the calls, tokens and cost of naming so many clusters of each layer."""
    labeling = labeling_of(cluster, request)
    if not labeling.enabled:
        return NamingCost()
    choice = models.choose(labeling)
    if choice.connection is None:
        reason = choice.reason[:1].upper() + choice.reason[1:]
        return NamingCost(notes=[f"{reason}: labels come from the documents' own words."])
    connection = choice.connection
    if cluster.cluster_type == "attribute" or request.get("mode") == "assign":
        return NamingCost(llm_model=connection.name)
    expected = estimate(connection, instructions_of(labeling), clusters, documents=documents)
    budget = budget_of(models, spendings, scope, labeling, connection)
    return NamingCost(
        llm_calls=expected.calls,
        llm_model=connection.name,
        llm_input_tokens=expected.input_tokens,
        llm_output_tokens=expected.output_tokens,
        llm_cost=expected.cost,
        llm_budget=budget,
        seconds=expected.seconds,
        longest_seconds=connection.limits.total * max(len(clusters), 1) * _BRIEFS,
        bytes=MODEL_BYTES,
        notes=_notes(connection, expected, budget),
    )


def _notes(connection: Connection, expected: Estimate, budget: float | None) -> list[str]:
    notes = [] if expected.price_note is None else [f"The cost of {connection.name} is by its {expected.price_note}."]
    counted = None if expected.cost is None else expected.cost * connection.margin
    if counted is None or budget is None or counted <= budget:
        return notes
    return [
        *notes,
        f"Names by {connection.name} would count about ${counted:,.2f}; the run may spend ${budget:,.2f}. Clusters "
        "beyond it are named from their documents' own words. The operator of the server can raise "
        "SHOAL_LLM_RUN_BUDGET and SHOAL_LLM_MONTH_BUDGET.",
    ]
