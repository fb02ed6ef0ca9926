"""The layers of a run as they are answered: the named clusters of each, with the labels that people gave."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shoal.records.execution import Execution
from shoal.records.scope import Scope
from shoal.services.renaming import labelled
from shoal.storage.base import ArtifactStore

__all__ = ["HIERARCHY", "is_hierarchy", "layers_of_run", "with_labels_of_people"]

HIERARCHY = "hierarchy"
"""What the names of the tables with the clusters of all layers begin with."""


def is_hierarchy(name: str) -> bool:
    """Whether an artifact of this name holds the clusters of all layers."""
    return name == HIERARCHY or name.startswith(f"{HIERARCHY}_")


def with_labels_of_people(table: pa.Table, run: Execution) -> pa.Table:
    """A table of the clusters of all layers, with the labels that people gave to those of the run."""
    return labelled(table, run.label_overrides, "label")


def layers_of_run(artifacts: ArtifactStore, scope: Scope, run: Execution) -> list[dict[str, Any]] | None:
    """The layers from coarse to fine, feature by feature; None where the run has none.

    Raises Corrupt where the table is damaged.
    """
    files = (artifacts.manifest(scope, run.run_id) or {}).get("files", {}) if run.results_removed_at is None else {}
    found = list[dict[str, Any]]()
    for name in sorted(name for name in files if is_hierarchy(name)):
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
