"""An execution of a cluster: its states, the transitions between them, and its results."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, computed_field

from shoal.quantities import PICODOLLARS
from shoal.records.base import Body, Flag, Integral, Number, Record, Timestamp
from shoal.records.clusters.facets import Facets
from shoal.records.clusters.label_source import LabelSource, Representative
from shoal.records.clusters.labeling import Labeling, TextFields
from shoal.records.queries.filter_body import Filters
from shoal.records.task import Status

__all__ = [
    "ACTIVE",
    "LABEL_FIELDS",
    "MOVES",
    "PERSON_LABEL",
    "STATUS_ON_TASK",
    "Centroid",
    "ClusterData",
    "ExecuteCluster",
    "Execution",
    "ModelUsage",
    "PatchLabels",
    "PatchRunName",
    "RunStatus",
    "StatusChange",
]

RunStatus = Literal["pending", "processing", "completed", "failed", "canceled"]

ACTIVE: Final[frozenset[RunStatus]] = frozenset({"pending", "processing"})

MOVES: Final[Mapping[RunStatus, frozenset[RunStatus]]] = {
    "pending": frozenset({"processing", "failed", "canceled"}),
    # A run whose worker died is claimed again, so it may enter `processing` twice.
    "processing": frozenset({"processing", "completed", "failed", "canceled"}),
    "completed": frozenset(),
    "failed": frozenset(),
    "canceled": frozenset(),
}
"""The allowed transitions; any other is a bug and refused."""

STATUS_ON_TASK: Final[Mapping[RunStatus, Status]] = {
    "pending": "PENDING",
    "processing": "PROCESSING",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "canceled": "CANCELED",
}
"""The corresponding state of tasks and clusters."""


class ModelUsage(Record):
    """What naming took of a language model, over all attempts of the run."""

    model: str
    """As `provider:model`."""
    calls: int = 0
    """Requests that were sent, those that failed included."""
    cached: int = 0
    """Answers that were at hand, for which nothing was sent."""
    input_tokens: int = 0
    output_tokens: int = 0
    picodollars: int = 0
    """The price of these tokens; exact in any order of adding."""
    unreported: int = 0
    """Requests that ended without a report of their tokens."""
    unreported_tokens: int = 0
    unreported_picodollars: int = 0
    """What these may have taken at most; it counts towards a budget."""
    priced: bool = True
    """Whether a price of the model is known."""
    budget: float | None = None
    """What the run was allowed, in US dollars; null without a limit."""

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def cost(self) -> float | None:
        """In US dollars; null where no price is known."""
        return self.picodollars / PICODOLLARS if self.priced else None

    @property
    def highest_picodollars(self) -> int:
        """The cost if every request without a report was billed in full."""
        return self.picodollars + self.unreported_picodollars

    @property
    def tokens(self) -> int:
        """All tokens, sent and received."""
        return self.input_tokens + self.output_tokens + self.unreported_tokens


class Centroid(Record):
    """One cluster of a run, as ClusterExecutionCentroid plus the medoid and, for attribute groups, the value path."""

    cluster_id: str
    num_members: int
    label: str | None = None
    summary: str | None = None
    keywords: list[str] = Field(default_factory=list)
    label_source: LabelSource = "words"
    label_model: str | None = None
    """The model that wrote the label, as `provider:model`."""
    label_score: float | None = None
    """Share of held-out documents that the label alone distinguishes from those of the nearest siblings, 0 to 1."""
    label_coverage: float | None = None
    """Share of these documents that the label fits, 0 to 1."""
    label_evidence: list[Representative] = Field(default_factory=list)
    """The documents that are cited for the label."""
    label_details: dict[str, Any] | None = None
    """What a model answered to `response_shape` beyond label, summary and keywords."""
    mean_cosine_similarity: float | None = None
    min_cosine_similarity: float | None = None
    representative_ids: list[Representative] = Field(default_factory=list)
    medoid_id: str | None = None
    parent_cluster_id: str | None = None
    feature: str | None = None
    attributes: dict[str, Any] | None = None
    centroid_vector: list[float] | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None

    def rename(self, labels: Mapping[str, str]) -> "Centroid":
        """Return the cluster with the label that a person gave it, if there is one."""
        label = labels.get(self.cluster_id)
        return self if label is None else self.with_changes(label=label, **PERSON_LABEL)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def cluster_label(self) -> str | None:
        """The label, under the name that artifacts have for it."""
        return self.label


LABEL_FIELDS: Final = (
    "label_source", "label_model", "label_score", "label_coverage", "label_evidence", "label_details",
)  # fmt: skip
"""The fields of a cluster that say where its label comes from."""
PERSON_LABEL: Final[Mapping[str, Any]] = {
    "label_source": "person",
    "label_model": None,
    "label_score": None,
    "label_coverage": None,
    "label_evidence": [],
}
"""What is known of a label that a person gave."""


class StatusChange(Record):
    """One move of a run. `attempt` and `worker` tell whose move it was, where a worker made it."""

    status: RunStatus
    at: Timestamp
    attempt: int | None = None
    worker: str | None = None


class Execution(Record):
    """A ClusterExecutionResult (contract.md#the-records), and how the run was done."""

    schema_version: int = 1
    run_id: str
    cluster_id: str
    namespace_id: str
    task_id: str
    status: RunStatus = "pending"
    mode: Literal["full", "assign"] = "full"
    num_clusters: int = 0
    num_points: int = 0
    metrics: dict[str, Any] | None = None
    centroids: list[Centroid] | None = None
    created_at: Timestamp
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    error_message: str | None = None
    llm_labeling_errors: list[str] = Field(default_factory=list)
    source_documents: int | None = None
    vectors_retrieved: int | None = None
    vectors_clustered: int | None = None
    index_gap: int | None = None
    pipeline_drop: int | None = None
    input_reconciliation_ok: bool | None = None
    label_overrides: dict[str, str] = Field(default_factory=dict)
    run_name: str | None = None
    # Shoal's own, additive.
    request: dict[str, Any] = Field(default_factory=dict)
    algorithm: str | None = None
    algorithm_params: dict[str, Any] = Field(default_factory=dict)
    distance_metric: str | None = None
    exact: bool | None = None
    layers: dict[str, Any] | None = None
    text_fields: list[str] | None = None
    """The fields that named the clusters, asked for or chosen; empty where none holds text."""
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    execution_time_seconds: float | None = None
    partition: str | None = None
    sequence: int = 0
    """The number of the run among those of its cluster, from 1 on: clocks can be set back. 0 for runs of before 0.2."""
    next_numbers: dict[str, int] = Field(default_factory=dict)
    """For each group of clusters ("" for the top) the first number below it that no cluster up to this run had: numbers
    are never used again. Empty for runs of before ids lasted."""
    llm_usage: ModelUsage | None = None
    """What naming took of a language model; null where none was asked."""
    enriched_documents: int | None = None
    published: bool = False
    results_removed_at: Timestamp | None = None
    """When the results were removed, because more runs are there than are kept."""
    enrichment: list[dict[str, Any]] | None = None
    """How far the results are written into source documents; filled in for answers and not kept."""
    resumed_stages: list[str] = Field(default_factory=list)
    """Stages that an earlier attempt had finished, and this one did not repeat."""
    attempts: int = 0
    """How often the run was begun; attempts that ended with their worker do not count."""
    worker: str | None = None
    """The worker that began it last."""
    history: list[StatusChange] = Field(default_factory=list)
    """Every move with its time, oldest first."""

    def with_person_labels(self) -> "Execution":
        """Return the run with the labels that people gave, which say so; measures of the replaced ones are left out."""
        if not self.centroids or not self.label_overrides:
            return self
        return self.with_changes(centroids=[each.rename(self.label_overrides) for each in self.centroids])

    @property
    def labels(self) -> dict[str, str]:
        """Return the label of each cluster by id; custom labels take precedence over generated ones."""
        return {centroid.cluster_id: centroid.label or "" for centroid in self.centroids or []} | self.label_overrides

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented use
    @property
    def searched_labels(self) -> list[str]:
        """The labels and summaries of the clusters, people's own first: what a search of runs looks at."""
        texts = [text for centroid in self.centroids or [] for text in (centroid.label, centroid.summary) if text]
        return list(dict.fromkeys([*self.label_overrides.values(), *texts]))


class ExecuteCluster(Body):
    """ExecuteClusterByIdRequest: overrides for one run."""

    mode: Literal["full", "assign", "composite"] | None = "full"
    source_execution_ids: list[str] | None = None
    assignment_threshold: Number | None = Field(default=0.5, ge=0, le=1)
    filters: Filters | None = None
    sample_size: Annotated[int, Field(ge=2, le=1_000_000), Integral] | None = None
    vis_n_components: Literal[2, 3] | None = None
    defer_visualization: Flag | None = None
    layout_stability: Literal["none", "transform", "align"] | None = None
    llm_labeling: Labeling | None = None
    text_fields: TextFields | None = None
    """The fields that name the clusters of this run."""
    facets: Facets | None = None
    """In place of those of the cluster; an empty list takes none."""


class PatchLabels(Body):
    """New labels by cluster id; an empty text takes the override away."""

    labels: dict[str, str]


class PatchRunName(Body):
    """A name for a run; an empty text takes it away."""

    run_name: str = Field(max_length=120)


class ClusterData(Body):
    """ClusterDataRequest: a window on the members of a run."""

    cluster_id: str | None = None
    include_centroids: Flag = True
    include_members: Flag = False
    limit: Annotated[int, Field(ge=1, le=100_000), Integral] = 1000
    offset: Annotated[int, Field(ge=0), Integral] = 0
    cursor: str | None = Field(default=None, max_length=512)
    """The `next_cursor` of the page before; beats `offset`."""
