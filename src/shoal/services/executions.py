"""Results of runs: summaries, members, maps and exports; and custom labels."""

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.errors import Corrupt, InvalidField, NotFound, TooLarge
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.ids import has_cluster_prefix
from shoal.records.queries.filters import And
from shoal.records.queries.paging import Listing
from shoal.records.runs.enrichment import EnrichmentIntent
from shoal.records.runs.execution import LABEL_FIELDS, ClusterData, Execution
from shoal.records.scope import Scope
from shoal.runs.history import runs_of
from shoal.runs.intents import EnrichmentIntents
from shoal.runs.layers import is_hierarchy, layers_of_run, with_custom_labels
from shoal.runs.relabeling import Relabelings, Relabelled
from shoal.runs.states import RunStates
from shoal.services.clusters import Clusters
from shoal.services.run_tables import LABELLED, ParquetTable, as_columns, flat, of_label, sample_rows, with_coordinates
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction
from shoal.tables import decode_dictionaries

__all__ = ["CSV_ROWS", "Executions", "Relabelled"]

CSV_ROWS: Final = 100_000
"""The maximum number of rows of a CSV export (contract.md#errors)."""
_MAX_OFFSET_DIGITS: Final = 15
_SUMS: Final = ("execution_time_seconds", "num_points", "num_clusters")


class Executions:
    """One method per operation of the API. Results are read from the artifacts of the run."""

    def __init__(
        self,
        metadata: RecordStore,
        intents: EnrichmentIntents,
        clusters: Clusters,
        states: RunStates,
        artifacts: ArtifactStore,
        relabelings: Relabelings,
    ) -> None:
        self._metadata, self._intents, self._clusters = metadata, intents, clusters
        self._states, self._artifacts, self._relabelings = states, artifacts, relabelings

    def latest(self, scope: Scope, ref: str, *, vectors: bool = False) -> Execution | None:
        """Return the newest run, None before the first. Raises NotFound for the cluster."""
        cluster = self._clusters.get(scope, ref)
        runs = self._states.executions.search(scope, runs_of(cluster.cluster_id)).items
        return self._to_response(scope, runs[0], vectors) if runs else None

    def get(self, scope: Scope, ref: str, run_id: str, *, vectors: bool = False) -> Execution:
        """Raises NotFound."""
        return self._to_response(scope, self._find_run(scope, self._clusters.get(scope, ref), run_id), vectors)

    def search(self, scope: Scope, ref: str, query: Query) -> Listing[Execution]:
        """Find runs of a cluster, newest first by default."""
        cluster = self._clusters.get(scope, ref)
        own = runs_of(cluster.cluster_id).filter
        listing = self._states.executions.search(
            scope,
            Query(And((own, query.filter)), query.sort, query.page, query.search, query.search_fields),
        )
        return Listing([self._to_response(scope, run, False) for run in listing.items], listing.total, listing.more)

    def stats(self, scope: Scope, ref: str) -> dict[str, Any]:
        """Return the wire's ClusterExecutionListStats over all runs of the cluster."""
        own = runs_of(self._clusters.get(scope, ref).cluster_id).filter
        totals = self._metadata.totals(scope, "execution", own, by="status", sums=_SUMS)
        done, (seconds, points, groups) = totals.get("completed", (0, (0.0, 0.0, 0.0)))
        return {
            "total_executions": sum(count for count, _ in totals.values()),
            "executions_by_status": {status: count for status, (count, _) in totals.items()},
            "avg_execution_time_ms": seconds * 1000 / max(done, 1),
            "total_documents_clustered": int(points),
            "avg_num_clusters": groups / max(done, 1),
        }

    def cancel(self, scope: Scope, ref: str, run_id: str) -> Execution:
        """Cancel a run. Raises NotFound, Conflict where the run has ended."""
        return self._metadata.transact(self.cancellation(scope, ref, run_id))

    def cancellation(self, scope: Scope, ref: str, run_id: str) -> Callable[[Transaction], Execution]:
        """Return the transaction body that cancels a run. Raises NotFound; the body raises Conflict where it has
        ended."""
        self._find_run(scope, self._clusters.get(scope, ref), run_id)
        return lambda tx: self._states.cancel_within(tx, scope, run_id)

    def relabel(self, scope: Scope, ref: str, run_id: str, labels: Mapping[str, str]) -> Relabelled:
        """Set custom labels of clusters and of groups of other layers; an empty string removes one. Documents with the
        old labels are updated, at once where they are few. Raises NotFound, InvalidField."""
        cluster = self._clusters.get(scope, ref)
        return self._relabelings.relabel(scope, cluster, self._find_run(scope, cluster, run_id), labels)

    def rename(self, scope: Scope, ref: str, run_id: str, name: str) -> Execution:
        """Raises NotFound."""
        self._find_run(scope, self._clusters.get(scope, ref), run_id)
        return self._states.executions.change(
            scope, run_id, lambda run: run.with_changes(run_name=name or None), "run.change"
        )

    def groups(self, scope: Scope, ref: str) -> dict[str, Any]:
        """Return the wire's ClusterGroupsResponse of the visible run; empty before the first."""
        cluster = self._clusters.get(scope, ref)
        if cluster.current_run_id is None:
            return {"cluster_id": cluster.cluster_id, "run_id": None, "total_groups": 0, "total_documents": 0,
                    "groups": []}  # fmt: skip
        run = self._to_response(scope, self._find_run(scope, cluster, cluster.current_run_id), False)
        groups = [
            {
                "cluster_id": centroid.cluster_id,
                "label": centroid.label,
                "summary": centroid.summary,
                "keywords": centroid.keywords,
                "member_count": centroid.num_members,
                "parent_cluster_id": centroid.parent_cluster_id,
                "feature": centroid.feature,
                "attributes": centroid.attributes,
                **{name: getattr(centroid, name) for name in LABEL_FIELDS},
            }
            for centroid in run.centroids or []
        ]
        return {
            "cluster_id": cluster.cluster_id,
            "run_id": run.run_id,
            "total_groups": len(groups),
            "total_documents": run.num_points,
            "groups": groups,
            "layers": layers_of_run(self._artifacts, scope, run),
        }

    def data(
        self, scope: Scope, ref: str, run_id: str | None, window: ClusterData, *, axes: int | None = None
    ) -> dict[str, Any]:
        """Return centroids and members of a finished run (contract.md#bodies-left-open-by-the-vendor), of the visible
        one where `run_id` is None, with the first `axes` coordinates, all where None.

        A cursor continues in the run of the page before. Raises NotFound where there are no results, InvalidField.
        """
        pinned, offset = (run_id, window.offset) if window.cursor is None else _parse_cursor(window.cursor, run_id)
        window = window.with_changes(offset=offset)
        cluster, run = self._find_finished(scope, ref, pinned)
        self._check_axes(scope, run, axes)
        response = self._to_response(scope, run, True)
        part, total = self._read_window(scope, run, window)
        end = window.offset + len(part)
        return {
            "cluster_id": cluster.cluster_id,
            "run_id": run.run_id,
            "parquet_path": f"{run.run_id}/members.parquet",
            "members_key": f"{run.run_id}/members.parquet",
            "centroids": [flat(centroid.model_dump(), axes) for centroid in response.centroids or []]
            if window.include_centroids
            else [],
            "members": [with_coordinates(flat(row, axes)) for row in part],
            "total_clusters": run.num_clusters,
            "total_members": total,
            "next_cursor": f"{run.run_id}.{end}" if window.include_members and end < total else None,
        }

    def members_table(self, scope: Scope, ref: str, run_id: str | None) -> pa.Table:
        """Return all members of a finished run as a table. Raises NotFound."""
        return self._read_members(scope, self._find_finished(scope, ref, run_id)[1])

    def visualization(
        self,
        scope: Scope,
        ref: str,
        run_id: str | None,
        *,
        max_points: int,
        centroids_only: bool,
        compact: bool,
        feature: str | None = None,
    ) -> dict[str, Any]:
        """Return the map with at most `max_points` evenly sampled members. Where features were clustered separately,
        each has its own map: that of `feature`, the first where None. Raises NotFound, InvalidField."""
        cluster, run = self._find_finished(scope, ref, run_id)
        features = list(self._table_metadata(scope, run).get("features") or [])
        if feature is not None and feature not in features:
            remedy = ", ".join(features) or "This run has one map: leave it out."
            raise InvalidField("feature", "has no map of its own", value=feature, remedy=remedy)
        selected = feature or (features[0] if features else None)
        members, axes = self._read_map(scope, run, selected)
        sample = members.slice(0, 0) if centroids_only else decode_dictionaries(sample_rows(members, max_points))
        return {
            "cluster_id": cluster.cluster_id,
            "run_id": run.run_id,
            "dimensions": len(axes),
            **({} if selected is None else {"feature": selected, "features": features}),
            "total_points": members.num_rows,
            "sampled_points": sample.num_rows,
            "centroids": [
                {
                    "cluster_id": centroid.cluster_id,
                    "cluster_label": centroid.label,
                    "num_members": centroid.num_members,
                    "x": centroid.x,
                    "y": centroid.y,
                    "z": centroid.z,
                }
                for centroid in self._to_response(scope, run, False).centroids or []
                if centroid.feature == selected
            ],
            "members": as_columns(sample, axes) if compact else sample.to_pylist(),
        }

    def _read_map(self, scope: Scope, run: Execution, feature: str | None) -> tuple[pa.Table, list[str]]:
        """Read ids and coordinates of the members, of one feature where there are several, and the names of the
        axes."""
        axes = [axis for axis in "xyz" if axis in self._axes(scope, run)]
        names = ["document_id", "cluster_id", *axes]
        if feature is None:
            return self._artifacts.read(scope, run.run_id, "members", names), axes
        members = self._artifacts.read(scope, run.run_id, "members", [*names, "feature"])
        return members.filter(pc.equal(members["feature"].cast(pa.string()), feature)).select(names), axes

    def table(
        self, scope: Scope, ref: str, run_id: str | None, name: str, cluster_label: str | None = None
    ) -> "ParquetTable":
        """Return a table of a finished run as Parquet, with custom labels; of the members optionally those of one
        label. Raises InvalidField and NotFound, also for a table that the run does not have."""
        cluster, run = self._find_finished(scope, ref, run_id)
        files = (self._artifacts.manifest(scope, run.run_id) or {}).get("files", {})
        if name not in files:
            raise NotFound("table of the run", name, f"It has {', '.join(sorted(files))}.")
        if cluster_label is not None and name != "members":
            raise InvalidField("cluster_label", f"chooses members, not rows of {name}", value=cluster_label)
        renamed = run.label_overrides and (name in LABELLED or is_hierarchy(name))
        if cluster_label is None and not renamed:
            stream, size = self._artifacts.open(scope, run.run_id, name)
            entry = files[name]
            return ParquetTable(cluster.cluster_id, run.run_id, stream, int(entry["rows"]), size, entry["sha256"])
        rows = of_label(self._read_labeled(scope, run, name), cluster_label)
        content = io.BytesIO()
        pq.write_table(rows, content, compression="zstd")
        size = content.tell()
        content.seek(0)
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return ParquetTable(cluster.cluster_id, run.run_id, content, rows.num_rows, size, digest)

    def export_rows(self, scope: Scope, ref: str, run_id: str, cluster_label: str | None) -> pa.Table:
        """Return members for a CSV export, with custom labels. Raises NotFound, TooLarge beyond 100,000 rows."""
        table = of_label(self._read_members(scope, self._find_finished(scope, ref, run_id)[1]), cluster_label)
        _check_rows(table.num_rows)
        return table

    def check_export(self, scope: Scope, ref: str, run_id: str) -> None:
        """Raise what `export_rows` of all members would raise, without reading them."""
        run = self._find_finished(scope, ref, run_id)[1]
        _check_rows(int((self._artifacts.manifest(scope, run.run_id) or {})["files"]["members"]["rows"]))

    def _find_run(self, scope: Scope, cluster: Cluster, run_id: str) -> Execution:
        run = self._states.executions.find_one(scope, run_id)
        if run is None or run.cluster_id != cluster.cluster_id:
            raise NotFound("run", run_id)
        return run

    def _find_finished(self, scope: Scope, ref: str, run_id: str | None) -> tuple[Cluster, Execution]:
        cluster = self._clusters.get(scope, ref)
        selected = run_id or cluster.current_run_id
        if selected is None:
            raise NotFound("results of", cluster.cluster_name, "Execute the cluster first.")
        run = self._find_run(scope, cluster, selected)
        if run.results_removed_at is not None:
            raise NotFound("results of run", selected, "They were removed, as keep_runs limits how many are kept.")
        if not run.published:
            raise NotFound("results of run", selected, f"It is {run.status}.")
        if self._artifacts.manifest(scope, run.run_id) is None:
            newest = self._states.executions.find_one(scope, selected)
            if newest is not None and newest.results_removed_at is None:
                raise Corrupt(f"The results of run {selected} are missing. Execute the cluster, or restore a backup.")
        return cluster, run

    def _read_window(self, scope: Scope, run: Execution, window: ClusterData) -> tuple[list[dict[str, Any]], int]:
        """Read the members in a window, and return their total number as well."""
        chosen = window.cluster_id if has_cluster_prefix(window.cluster_id or "") else None
        if chosen is None and not window.include_members:
            return [], self._count_rows(scope, run)  # without reading the file
        members = self._read_members(scope, run)
        if chosen is not None:
            members = members.filter(pc.equal(members["cluster_id"].cast(pa.string()), chosen))
        part = members.slice(window.offset, window.limit if window.include_members else 0)
        return decode_dictionaries(part).to_pylist(), members.num_rows

    def _check_axes(self, scope: Scope, run: Execution, axes: int | None) -> None:
        available = len(self._axes(scope, run))
        if axes is not None and 0 < available < axes:
            raise InvalidField(
                "projection_method",
                f"asks for {axes} dimensions; the map of this run has {available}",
                value=f"{axes}d",
                remedy=f"Execute the cluster with vis_n_components: {axes}.",
            )

    def _count_rows(self, scope: Scope, run: Execution) -> int:
        manifest = self._artifacts.manifest(scope, run.run_id) or {}
        return int(manifest.get("files", {}).get("members", {}).get("rows", run.num_points))

    def _axes(self, scope: Scope, run: Execution) -> list[str]:
        return list("xyz"[: int(self._table_metadata(scope, run).get("dimensions", 0))])

    def _table_metadata(self, scope: Scope, run: Execution) -> dict[str, Any]:
        """Return the metadata that was published with the run's tables."""
        return (self._artifacts.manifest(scope, run.run_id) or {}).get("meta") or {}

    def _read_members(self, scope: Scope, run: Execution) -> pa.Table:
        return self._read_labeled(scope, run, "members")

    def _read_labeled(self, scope: Scope, run: Execution, name: str) -> pa.Table:
        """Read a table, with custom labels."""
        table = self._artifacts.read(scope, run.run_id, name)
        if not run.label_overrides:
            return table
        if is_hierarchy(name):
            return with_custom_labels(table, run)
        labels = {centroid.cluster_id: centroid.label for centroid in run.centroids or []} | run.label_overrides
        ids = table["cluster_id"].cast(pa.string())
        keys, values = pa.array(labels.keys(), pa.string()), pa.array(labels.values(), pa.string())
        place = table.schema.get_field_index("cluster_label")
        return table.set_column(place, "cluster_label", pc.take(values, pc.index_in(ids, value_set=keys)))

    def _to_response(self, scope: Scope, run: Execution, vectors: bool) -> Execution:
        """Return the run with custom labels, the progress of its enrichment and, with `vectors`, the centroids'
        vectors."""
        intents = self._intents.of_run(scope, run.run_id)
        if intents:
            run = run.with_changes(enrichment=[_enrichment_progress(intent) for intent in intents])
        run = run.with_person_labels()
        if not run.centroids or not vectors:
            return run
        by_id = self._read_vectors(scope, run) if run.results_removed_at is None else {}
        centroids = [each.with_changes(centroid_vector=by_id.get(each.cluster_id)) for each in run.centroids]
        return run.with_changes(centroids=centroids)

    def _read_vectors(self, scope: Scope, run: Execution) -> dict[str, list[float]]:
        table = self._artifacts.read(scope, run.run_id, "centroids")
        if "vector" not in table.column_names:
            return {}
        return dict(zip(table["cluster_id"].to_pylist(), table["vector"].to_pylist(), strict=True))


def _enrichment_progress(intent: EnrichmentIntent) -> dict[str, Any]:
    return {
        "collection_id": intent.target.partition("@")[0],
        "documents": intent.total,
        "done": intent.position,
        "enriched": intent.enriched,
        "finished": intent.done,
    }


def _parse_cursor(cursor: str, run_id: str | None) -> tuple[str | None, int]:
    """Parse a cursor into run and offset; a bare number is an offset, since a first page may send "0".

    Raises InvalidField, also where another run is requested.
    """
    pinned, _, offset = cursor.rpartition(".")
    if not offset.isdecimal() or len(offset) > _MAX_OFFSET_DIGITS or (pinned and run_id not in (None, pinned)):
        raise InvalidField(
            "cursor", "is not a cursor of this run", value=cursor, remedy="Send the next_cursor unchanged."
        )
    return pinned or run_id, int(offset)


def _check_rows(rows: int) -> None:
    if rows > CSV_ROWS:
        raise TooLarge(
            f"A CSV export holds at most {CSV_ROWS:,} rows, this one has {rows:,}. Use format=parquet.",
            rows=rows,
            limit=CSV_ROWS,
        )
