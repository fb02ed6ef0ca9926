"""What facets would take of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shoal.encoders import estimate_encoding
from shoal.errors import InvalidField
from shoal.labeling import Volume
from shoal.labeling.providers import Connection
from shoal.labeling.providers.facets import estimate_facet
from shoal.quantities import plural
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.facets import Facet
from shoal.records.collection import Collection
from shoal.records.scope import Scope
from shoal.runs.config.facet_config import facet_encoder, facets_of, replaces_vectors
from shoal.runs.config.naming_cost import MODEL_BYTES, NamingCost, budget_of, labeling_of
from shoal.runs.encoders import PermittedEncoders
from shoal.runs.models.answers import MAX_ANSWERS
from shoal.runs.models.connected import ConnectedModels
from shoal.runs.models.spending import Spendings

__all__ = ["FacetCost", "plan_facets"]

_ANSWER_BYTES: Final = 400
"""Memory of an answer."""


@dataclass(frozen=True, slots=True)
class FacetCost:
    """What the model and the encoder take, and what the facets add to the space that is clustered."""

    model: NamingCost = field(default_factory=NamingCost)
    dimensions: Sequence[int] = ()
    alone: bool = False
    """Whether the vectors of the documents are not clustered."""
    cpu_seconds: float = 0.0
    bytes: float = 0.0

    def sizes(self, of_vectors: list[int]) -> list[int]:
        """Return the dimensions of all features, by those of the vectors."""
        return [*([] if self.alone else of_vectors), *self.dimensions]


def plan_facets(
    models: ConnectedModels,
    spendings: Spendings,
    encoders: PermittedEncoders,
    scope: Scope,
    cluster: Cluster,
    request: Mapping[str, Any],
    sources: Sequence[Collection],
    text: Volume,
) -> FacetCost:
    """Estimate what the facets of a run would take for these texts. Raises InvalidField where no model is connected."""
    facets, labeling = facets_of(cluster, request), labeling_of(cluster, request)
    choice = models.choose(labeling)
    if choice.connection is None:
        remedy = "The operator of the server connects models with SHOAL_LLM. An empty list of facets clusters without."
        raise InvalidField("facets", f"need a language model, and {choice.reason}", remedy=remedy)
    connection, documents = choice.connection, text.documents
    length = text.held_bytes / max(documents, 1)
    expected = [estimate_facet(connection, facet.question, documents, length) for facet in facets]
    calls = sum(each.calls for each in expected)
    costs = [each.cost for each in expected if each.cost is not None]
    cost, budget = sum(costs) if costs else None, budget_of(models, spendings, scope, labeling, connection)
    uri = facet_encoder(encoders, sources)
    seconds, working = estimate_encoding(encoders.open(uri), calls, _ANSWER_BYTES * calls)
    dimension = encoders.dimension(uri)
    return FacetCost(
        NamingCost(
            llm_calls=calls,
            llm_model=connection.name,
            llm_input_tokens=sum(each.input_tokens for each in expected),
            llm_output_tokens=sum(each.output_tokens for each in expected),
            llm_cost=cost,
            llm_budget=budget,
            seconds=sum(each.seconds for each in expected),
            longest_seconds=connection.limits.total * len(facets),
            bytes=MODEL_BYTES,
            notes=_notes(facets, connection, expected[0].price_note, calls, cost, budget),
        ),
        [dimension] * len(facets),
        alone=replaces_vectors(facets),
        cpu_seconds=seconds,
        bytes=working + len(facets) * documents * (4.0 * dimension + _ANSWER_BYTES),
    )


def _notes(
    facets: Sequence[Facet],
    connection: Connection,
    price_note: str | None,
    calls: int,
    cost: float | None,
    budget: float | None,
) -> list[str]:
    notes = [] if price_note is None else [f"The cost of {connection.name} is by its {price_note}."]
    counted = None if cost is None else cost * connection.margin
    if counted is not None and budget is not None and counted > budget:
        notes.append(
            f"Asking {connection.name} {plural(len(facets), 'question')} about each document would count about "
            f"${counted:,.2f}; the run may spend ${budget:,.2f}. Documents beyond it have their own text."
        )
    if calls > MAX_ANSWERS:
        notes.append(
            f"A namespace keeps {MAX_ANSWERS:,} answers, and the run makes up to {calls:,}: another run asks again."
        )
    return notes
