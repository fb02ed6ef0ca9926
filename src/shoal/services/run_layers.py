"""The layers of a run as they are answered: the named clusters of each, with the labels that people gave."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shoal.records.execution import Execution
from shoal.records.scope import Scope
from shoal.services.renaming import labelled
from shoal.storage.base import ArtifactStore

__all__ = ["HIERARCHY", "ids_of_layers", "is_hierarchy", "layers_of_run", "with_labels_of_people"]

HIERARCHY = "hierarchy"
"""What the names of the tables with the clusters of all layers begin with."""


def is_hierarchy(name: str) -> bool:
    """Whether an artifact of this name holds the clusters of all layers."""
    return name == HIERARCHY or name.startswith(f"{HIERARCHY}_")


def with_labels_of_people(table: pa.Table, run: Execution) -> pa.Table:
    """A table of the clusters of all layers, with the labels that people gave. A cluster that stays whole from one
    layer to the next has one label: that of the layer nearer to the chosen one, unless it was given its own."""
    return labelled(table, _spread(table, run.label_overrides), "label") if run.label_overrides else table


def ids_of_layers(artifacts: ArtifactStore, scope: Scope, run: Execution) -> set[str]:
    """The ids of the clusters of all layers; none where the run has no layers or its results are gone."""
    names = _hierarchies(artifacts, scope, run)
    return {id for name in names for id in artifacts.read(scope, run.run_id, name, ["cluster_id"])[0].to_pylist()}


def _hierarchies(artifacts: ArtifactStore, scope: Scope, run: Execution) -> list[str]:
    files = (artifacts.manifest(scope, run.run_id) or {}).get("files", {}) if run.results_removed_at is None else {}
    return sorted(name for name in files if is_hierarchy(name))


def _spread(table: pa.Table, given: Mapping[str, str]) -> dict[str, str]:
    """Labels by id, those of clusters that are the whole of another one included."""
    rows = table.select(["layer", "chosen", "cluster_id", "size", "parent"]).to_pylist()
    sizes = {row["cluster_id"]: row["size"] for row in rows}
    whole = [(row["parent"], row["cluster_id"]) for row in rows if sizes.get(row["parent"]) == row["size"]]
    chosen = next((row["layer"] for row in rows if row["chosen"]), 0)
    layer_of = {row["cluster_id"]: row["layer"] for row in rows}
    labels = dict(given)
    for above, below in sorted(whole, key=lambda pair: layer_of[pair[1]], reverse=True):
        if layer_of[below] <= chosen and below in labels:
            labels.setdefault(above, labels[below])
    for above, below in sorted(whole, key=lambda pair: layer_of[pair[0]]):
        if layer_of[above] >= chosen and above in labels:
            labels.setdefault(below, labels[above])
    return labels


def layers_of_run(artifacts: ArtifactStore, scope: Scope, run: Execution) -> list[dict[str, Any]] | None:
    """The layers from coarse to fine, feature by feature; None where the run has none.

    Raises Corrupt where the table is damaged.
    """
    found = list[dict[str, Any]]()
    for name in _hierarchies(artifacts, scope, run):
        found += _layers(with_labels_of_people(artifacts.read(scope, run.run_id, name), run))
    return found or None


def _layers(table: pa.Table) -> list[dict[str, Any]]:
    feature = (table.schema.metadata or {}).get(b"feature")
    layers: dict[int, dict[str, Any]] = {}
    for row in table.select(["layer", "chosen", "cluster_id", "label", "keywords", "size", "parent"]).to_pylist():
        layer = layers.setdefault(
            row["layer"],
            {
                "layer": row["layer"],
                "chosen": row["chosen"],
                "feature": None if feature is None else feature.decode(),
                "groups": [],
            },
        )
        layer["groups"].append(_group(row))
    return list(layers.values())


def _group(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cluster_id": row["cluster_id"],
        "label": row["label"],
        "keywords": row["keywords"],
        "member_count": row["size"],
        "parent_cluster_id": row["parent"],
    }
