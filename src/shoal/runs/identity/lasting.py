"""The groups of a run under lasting ids, with the custom labels of the earlier run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.records.clusters.ids import is_layer_id
from shoal.records.runs.execution import Execution
from shoal.runs.grouping.groups import GroupTables, with_link_labels
from shoal.runs.identity.identify import Identity
from shoal.runs.layers import is_hierarchy, wholes_of, with_inner_labels

__all__ = ["LastingGroups"]

_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class LastingGroups:
    """The groups of a run under lasting ids. `labels` are custom labels of the run `labels_from`, by surviving ids."""

    groups: GroupTables
    next_numbers: Mapping[str, int]
    labels: Mapping[str, str]
    labels_from: str | None
    warnings: Sequence[str]
    keeps_layers: bool = False
    """Whether the clusters are those of an earlier run, whose other layers are absent until the next full run."""

    def carry_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the custom labels of the run before that this run takes over."""
        return _select_labels(self.groups, labels, assigned=self.keeps_layers)

    @staticmethod
    def of(groups: GroupTables, identity: Identity) -> "LastingGroups":
        """Combine the groups of a run with the custom labels of the run they were matched with."""
        run = identity.earlier
        if run is None:
            return LastingGroups(groups, identity.next_numbers, {}, None, ())
        if not identity.comparable:
            return LastingGroups(groups, identity.next_numbers, {}, None, [_gone(run)])
        return _carry_over(groups, identity, run)


def _carry_over(groups: GroupTables, identity: Identity, run: Execution) -> LastingGroups:
    labels = _select_labels(groups, run.label_overrides, assigned=identity.assigned)
    lost = [(id, label) for id, label in sorted(run.label_overrides.items()) if id not in labels]
    warnings = [_lost(run, lost)] if lost else []
    shown = replace(groups, relationships=with_link_labels(groups.relationships, labels))
    return LastingGroups(shown, identity.next_numbers, labels, run.run_id, warnings, identity.assigned)


def _select_labels(groups: GroupTables, labels: Mapping[str, str], *, assigned: bool) -> dict[str, str]:
    """Return the labels of existing clusters, and of clusters with the same members in another layer."""
    there = {id: label for id, label in labels.items() if _has(groups, id, assigned=assigned)}
    tables = [table for name, table in groups.tables.items() if is_hierarchy(name)] if there else []
    return with_inner_labels(there, [whole for table in tables for whole in wholes_of(table)])


def _has(groups: GroupTables, id: str, *, assigned: bool) -> bool:
    """Whether groups have a cluster of this id, in their own layer or in another; layers of an earlier run, whose
    clusters were `assigned` to, count as well."""
    if is_layer_id(id):
        tables = (table for name, table in groups.tables.items() if is_hierarchy(name))
        return assigned or any(pc.is_in(pa.scalar(id), value_set=_ids(table)).as_py() for table in tables)
    return bool(pc.is_in(pa.scalar(id), value_set=_ids(groups.centroids)).as_py())


def _ids(table: pa.Table) -> pa.Array:
    return table["cluster_id"].cast(pa.string()).combine_chunks()


def _gone(run: Execution) -> str:
    return (
        f"The results of the run before, {run.run_id}, are gone, so its clusters could not be recognised: all have new "
        "ids, and labels that people gave were not carried over."
    )


def _lost(run: Execution, labels: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(f"{label!r} of {id}" for id, label in labels[:_LISTED])
    more = f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else ""
    return (
        "Labels that people gave were not carried over, because no cluster of this run is the one that they name: "
        f"{named}{more}. Run {run.run_id} still has them."
    )
