"""The fields of the records of a run and of its cluster that are set when results are published."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import orjson
import pyarrow.compute as pc

from shoal.records.clusters.label_source import Representative
from shoal.records.collection import Collection
from shoal.records.runs.execution import Centroid, Execution
from shoal.runs.grouping.groups import GroupTables
from shoal.runs.identity.lasting import LastingGroups
from shoal.runs.input import RunInput
from shoal.runs.labels import label_fields
from shoal.runs.layers import is_hierarchy

__all__ = ["VERSIONS", "ClusterResult", "RunResult", "cluster_result", "labeling_errors", "run_result"]

VERSIONS: Final = {"shoal": version("shoal"), "python": platform.python_version(), "numpy": np.__version__} | {
    name: version(name) for name in ("scipy", "pyarrow")
}
"""Versions that results depend on. Looked up at import, since it takes milliseconds."""
_CENTROID_FIELDS: Final = (
    "cluster_id", "num_members", "label", "keywords", "mean_cosine_similarity", "min_cosine_similarity", "medoid_id",
    "parent_cluster_id", "feature", "attributes", "x", "y", "z",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The fields of an Execution that the outcome determines, under the same names."""

    num_clusters: int
    num_points: int = 0
    metrics: Mapping[str, Any] | None = None
    centroids: Sequence[Centroid] = ()
    source_documents: int = 0
    vectors_retrieved: int = 0
    vectors_clustered: int = 0
    index_gap: int = 0
    pipeline_drop: int = 0
    input_reconciliation_ok: bool = True
    algorithm_params: Mapping[str, Any] = field(default_factory=dict)
    distance_metric: str | None = None
    exact: bool | None = None
    layers: Mapping[str, Any] | None = None
    text_fields: Sequence[str] | None = None
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    llm_labeling_errors: Sequence[str] = ()
    next_numbers: Mapping[str, int] = field(default_factory=dict)
    resumed_stages: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterResult:
    """The fields of a Cluster that the outcome determines, under the same names."""

    num_clusters: int
    num_documents_clustered: int = 0
    noise_points: int = 0
    quality_metrics: Mapping[str, Any] | None = None
    learned_weights: Mapping[str, float] | None = None
    learning_quality_score: float | None = None
    hierarchy_detected: bool = False
    hierarchy_relationships: Sequence[Mapping[str, Any]] | None = None
    child_cluster_ids: Sequence[str] | None = None
    source_bucket_ids: Sequence[str] = ()
    llm_labeling_errors: Sequence[str] | None = None


def run_result(
    run: Execution,
    sources: Sequence[Collection],
    source: RunInput,
    lasting: LastingGroups,
    resumed: Sequence[str],
    naming_warnings: Sequence[str] = (),
) -> RunResult:
    """Describe a run by its groups; `resumed` names the stages that an earlier attempt had finished."""
    groups, counted = lasting.groups, len(source.ids)
    return RunResult(
        num_clusters=groups.count,
        num_points=counted,
        metrics=groups.metrics,
        centroids=_centroids(groups, sources, source),
        source_documents=counted + source.missing + source.skipped,
        vectors_retrieved=counted + source.skipped,
        vectors_clustered=counted - groups.noise,
        index_gap=source.missing,
        pipeline_drop=source.skipped,
        algorithm_params=groups.params,
        distance_metric=groups.distance_metric,
        exact=groups.exact,
        layers=groups.layers,
        text_fields=None if run.mode == "assign" else source.text_fields,
        seed=groups.seed,
        versions=VERSIONS,
        warnings=[
            *(*source.warnings, *groups.warnings, *lasting.warnings),
            *(*naming_warnings, *run.warnings),
        ],
        llm_labeling_errors=[*source.facet_errors, *labeling_errors(run, groups)],
        next_numbers=lasting.next_numbers,
        resumed_stages=resumed,
    )


def _centroids(groups: GroupTables, sources: Sequence[Collection], source: RunInput) -> list[Centroid]:
    home = sources[0].collection_id if len(sources) == 1 else None
    by_document = dict(zip(source.ids, source.collection_ids, strict=True))

    def collection_of(id: str) -> str | None:
        return home or by_document.get(id)

    return [
        Centroid(
            **{name: row[name] for name in _CENTROID_FIELDS if name in row},
            **label_fields(row, collection_of),
            representative_ids=[
                Representative(document_id=id, collection_id=collection_of(id))
                for id in row["representative_ids"] or ()
            ],
        )
        for row in groups.summary()
    ]


def labeling_errors(run: Execution, groups: GroupTables) -> list[str]:
    """Return why clusters are not named by the model that was asked, as the wire has it: JSON texts of an error with
    its clusters, those of other layers too. A run that assigned documents named nothing."""
    if run.mode == "assign":
        return []
    errors = dict[str, list[str]]()
    for table in (groups.centroids, *(table for name, table in groups.tables.items() if is_hierarchy(name))):
        if "label_error" in table.column_names:
            named = table.select(["cluster_id", "label_error"]).filter(pc.is_valid(table["label_error"]))
            for row in named.to_pylist():
                ids = errors.setdefault(row["label_error"], [])
                ids += [row["cluster_id"]] if row["cluster_id"] not in ids else []
    return [orjson.dumps({"error": error, "clusters": ids}).decode() for error, ids in errors.items()]


def cluster_result(
    run: Execution, sources: Sequence[Collection], source: RunInput, groups: GroupTables
) -> ClusterResult:
    """Describe a cluster by the groups of its visible run."""
    metrics = {name: value for name, value in groups.metrics.items() if name != "davies_bouldin_index"}
    nested = [link for link in groups.relationships if link["relation"] != "same"]
    return ClusterResult(
        num_clusters=groups.count,
        num_documents_clustered=len(source.ids),
        noise_points=groups.noise,
        quality_metrics={**metrics, "davies_bouldin_score": groups.metrics.get("davies_bouldin_index")},
        learned_weights=groups.learned_weights or None,
        learning_quality_score=groups.learning_quality,
        hierarchy_detected=bool(nested),
        hierarchy_relationships=groups.relationships or None,
        child_cluster_ids=list(dict.fromkeys(link["child_cluster_id"] for link in nested)) or None,
        llm_labeling_errors=[*source.facet_errors, *labeling_errors(run, groups)] or None,
        source_bucket_ids=list(dict.fromkeys(b for collection in sources for b in collection.source.buckets())),
    )
