"""The layers of a run: the named clusters of each, with custom labels."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.runs.labels import label_fields, set_labels
from shoal.storage.protocols.artifacts import ArtifactStore

__all__ = [
    "HIERARCHY",
    "hierarchies",
    "is_hierarchy",
    "layers_of_run",
    "wholes_of",
    "with_custom_labels",
    "with_inner_labels",
    "with_new_labels",
]

HIERARCHY = "hierarchy"
"""The prefix of the names of tables with the clusters of all layers."""
_TREE: Final = ["layer", "chosen", "cluster_id", "size", "parent"]


def is_hierarchy(name: str) -> bool:
    """Whether an artifact of this name holds the clusters of all layers."""
    return name == HIERARCHY or name.startswith(f"{HIERARCHY}_")


def with_custom_labels(table: pa.Table, run: Execution) -> pa.Table:
    """Set the custom labels in a table of the clusters of all layers.

    A cluster with the same members in adjacent layers has one label: that of the layer nearer to the chosen one, unless
    it has its own.
    """
    return set_labels(table, _spread(table, run.label_overrides), "label") if run.label_overrides else table


def hierarchies(artifacts: ArtifactStore, scope: Scope, run: Execution) -> list[pa.Table]:
    """Read the hierarchies of clusters across layers, feature by feature; none if the run has no layers or its results
    are gone. Raises Corrupt."""
    return [artifacts.read(scope, run.run_id, name, _TREE) for name in _hierarchies(artifacts, scope, run)]


def wholes_of(table: pa.Table) -> list[list[str]]:
    """Return the clusters that have the same members in several layers: the ids of each, nearest to the chosen layer
    first."""
    rows = {row["cluster_id"]: row for row in table.select(_TREE).to_pylist()}
    chosen = next((row["layer"] for row in rows.values() if row["chosen"]), 0)
    below = {row["parent"]: id for id, row in rows.items() if _size(rows, row["parent"]) == row["size"]}
    wholes = []
    for top in below.keys() - set(below.values()):
        ids = [top]
        while ids[-1] in below:
            ids.append(below[ids[-1]])
        wholes.append(sorted(ids, key=lambda id: (abs(rows[id]["layer"] - chosen), rows[id]["layer"])))
    return sorted(wholes)


def _size(rows: Mapping[str, Mapping[str, Any]], id: str | None) -> int | None:
    return None if id is None or id not in rows else rows[id]["size"]


def with_new_labels(
    labels_before: Mapping[str, str], new: Mapping[str, str], wholes: Sequence[Sequence[str]]
) -> dict[str, str]:
    """Merge new custom labels into the earlier ones; an empty one removes a label.

    The label of a cluster with the same members in several layers is also stored for the layer nearest to the chosen
    one, and replaces those of the others.
    """
    labels = {**labels_before, **new}
    for whole in wholes:
        sent = [id for id in whole if id in new]
        if sent:
            labels |= {id: "" for id in whole if id not in new} | {whole[0]: new[sent[0]]}
    return {id: label for id, label in labels.items() if label}


def with_inner_labels(labels: Mapping[str, str], wholes: Sequence[Sequence[str]]) -> dict[str, str]:
    """Add labels to clusters nearest to the chosen layer that have none, but whose counterpart in another layer
    does."""
    inner = {whole[0]: labels[id] for whole in wholes for id in reversed(whole) if id in labels}
    return inner | dict(labels)


def _hierarchies(artifacts: ArtifactStore, scope: Scope, run: Execution) -> list[str]:
    files = (artifacts.manifest(scope, run.run_id) or {}).get("files", {}) if run.results_removed_at is None else {}
    return sorted(name for name in files if is_hierarchy(name))


def _spread(table: pa.Table, own: Mapping[str, str]) -> dict[str, str]:
    """Return labels by id, shared between clusters with the same members in different layers."""
    rows = table.select(_TREE).to_pylist()
    sizes = {row["cluster_id"]: row["size"] for row in rows}
    whole = [(row["parent"], row["cluster_id"]) for row in rows if sizes.get(row["parent"]) == row["size"]]
    chosen = next((row["layer"] for row in rows if row["chosen"]), 0)
    layer_of = {row["cluster_id"]: row["layer"] for row in rows}
    labels = dict(own)
    for above, below in sorted(whole, key=lambda pair: layer_of[pair[1]], reverse=True):
        if layer_of[below] <= chosen and below in labels:
            labels.setdefault(above, labels[below])
    for above, below in sorted(whole, key=lambda pair: layer_of[pair[0]]):
        if layer_of[above] >= chosen and above in labels:
            labels.setdefault(below, labels[above])
    return labels


def layers_of_run(artifacts: ArtifactStore, scope: Scope, run: Execution) -> list[dict[str, Any]] | None:
    """Return the layers from coarse to fine, feature by feature; None if the run has none.

    Raises Corrupt if a table is damaged.
    """
    layers = list[dict[str, Any]]()
    for name in _hierarchies(artifacts, scope, run):
        table = artifacts.read(scope, run.run_id, name)
        labels = _spread(table, run.label_overrides) if run.label_overrides else {}
        layers += _layers(set_labels(table, labels, "label"), labels)
    return layers or None


def _layers(table: pa.Table, of_people: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the layers of a table; `of_people` are the labels that people gave."""
    feature = (table.schema.metadata or {}).get(b"feature")
    layers: dict[int, dict[str, Any]] = {}
    for row in table.to_pylist():
        layer = layers.setdefault(
            row["layer"],
            {
                "layer": row["layer"],
                "chosen": row["chosen"],
                "feature": None if feature is None else feature.decode(),
                "groups": [],
            },
        )
        layer["groups"].append(_group(row, by_person=row["cluster_id"] in of_people))
    return list(layers.values())


def _group(row: Mapping[str, Any], *, by_person: bool) -> dict[str, Any]:
    return {
        **label_fields(row, lambda _: None, by_person=by_person),
        "cluster_id": row["cluster_id"],
        "label": row["label"],
        "keywords": row["keywords"],
        "member_count": row["size"],
        "parent_cluster_id": row["parent"],
    }
