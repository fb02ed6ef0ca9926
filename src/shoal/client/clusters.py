"""Clusters and their runs over the wire."""

import builtins
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.client.transport import Transport, given, parsed, segment
from shoal.errors import Cancelled, InvalidField, Overloaded, RateLimited, RunFailed, Unavailable
from shoal.records.cluster import Cluster
from shoal.records.execution import Execution
from shoal.records.queries.parameter_places import is_method_parameter
from shoal.records.run_results import LabelledRun
from shoal.records.task import Task

__all__ = ["Clusters", "Executions", "Run"]

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0

Metric = Literal["mean", "median", "medoid"]
Strategy = Literal["concatenate", "weighted", "independent"]


class Clusters:
    """`ref` is an id or a name everywhere."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        collections: str | Sequence[str],
        *,
        feature: str | Sequence[str] | None = None,
        strategy: Strategy = "concatenate",
        algorithm: str = "auto",
        params: Mapping[str, Any] | None = None,
        filters: Mapping[str, Any] | None = None,
        sample_size: int | None = None,
        normalize: bool = True,
        centroid_method: Metric = "mean",
        text_fields: str | Sequence[str] = (),
        enrich: bool = False,
        **more: object,
    ) -> Cluster:
        """A cluster over the vectors `feature` of some collections; it is executed when you say so. What may be several
        may be one: a name in the place of a list.

        With several features `strategy` says how they go together: side by side with equal weights (`concatenate`),
        with weights learned from the vectors (`weighted`), or each clustered apart (`independent`).
        `text_fields` are the fields to name clusters from, chosen by the server where none are given; `enrich` writes
        the cluster of each document back to it. `params` are those of the algorithm, as in
        `params={"n_clusters": 10}`. `more` goes into the request as it is. Raises InvalidField, NotFound,
        AlreadyExists.
        """
        _refuse_misplaced(more)
        if feature is None:
            raise InvalidField("feature", "is required", remedy='Name a vector of the documents: feature="embedding".')
        features = _several(feature)
        config = given(
            feature_uris=features,
            multi_feature_strategy=strategy if len(features) > 1 else None,
            clustering_method=algorithm,
            algorithm_params=dict(params) if params else None,
            sample_size=sample_size,
            normalize_features=normalize,
            effective_feature_method=centroid_method,
        )
        body = given(
            cluster_name=name,
            collection_ids=_several(collections),
            cluster_type="vector",
            vector_config=config,
            filters=filters,
            text_fields=_several(text_fields) or None,
            enrich_source_collection=enrich or None,
            **more,
        )
        return self._transport.ask(Cluster, "POST", "/clusters", body)

    def create_by_attributes(
        self,
        name: str,
        collections: str | Sequence[str],
        attributes: str | Sequence[str],
        *,
        hierarchical: bool = False,
        **more: object,
    ) -> Cluster:
        """A cluster that groups documents with equal values of fields."""
        config = {"attributes": _several(attributes), "hierarchical_grouping": hierarchical}
        body = given(
            cluster_name=name,
            collection_ids=_several(collections),
            cluster_type="attribute",
            attribute_config=config,
            **more,
        )
        return self._transport.ask(Cluster, "POST", "/clusters", body)

    def get(self, ref: str) -> Cluster:
        """Raises NotFound."""
        return self._transport.ask(Cluster, "GET", f"/clusters/{segment(ref)}")

    def list(self, *, search: str | None = None, limit: int = 100, offset: int = 0) -> list[Cluster]:
        """Newest first."""
        params = {"limit": limit, "offset": offset}
        return self._transport.asks(Cluster, "POST", "/clusters/list", given(search=search), params=params)

    def patch(self, ref: str, **changes: object) -> Cluster:
        """Change the fields that are given; nothing is executed. Raises NotFound, InvalidField, AlreadyExists."""
        return self._transport.ask(Cluster, "PATCH", f"/clusters/{segment(ref)}", changes)

    def delete(self, ref: str, *, output_collections: bool = True) -> None:
        """Remove it with its runs and, unless told otherwise, its output collections. Raises NotFound."""
        params = {"cascade_output_collections": output_collections}
        self._transport.call("DELETE", f"/clusters/{segment(ref)}", params=params)

    def execute(self, ref: str, **overrides: object) -> "Run":
        """Start a run; `overrides` (filters, sample_size, text_fields, …) hold for this run only. Raises NotFound,
        Conflict, QueueFull where too many runs wait."""
        if isinstance(fields := overrides.get("text_fields"), str):
            overrides["text_fields"] = [fields]
        task = self._transport.ask(Task, "POST", f"/clusters/{segment(ref)}/execute", overrides or None)
        data = task.additional_data
        return Run(self._transport, str(data["cluster_id"]), str(data["run_id"]), task.task_id)

    def groups(self, ref: str) -> builtins.list[dict[str, Any]]:
        """The groups of the visible run, largest first: label, keywords, member_count."""
        found: builtins.list[dict[str, Any]] = self._transport.call("GET", f"/clusters/{segment(ref)}/groups")["groups"]
        return found

    def map(self, ref: str, *, run_id: str | None = None, max_points: int = 10_000) -> dict[str, Any]:
        """Places of documents and centroids on the map of the visible run."""
        params = given(run_id=run_id, max_points=max_points)
        found: dict[str, Any] = self._transport.call("GET", f"/clusters/{segment(ref)}/visualization", params=params)
        return found


class Executions:
    """The runs of clusters."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, cluster: str, run_id: str, *, vectors: bool = False) -> Execution:
        """Raises NotFound."""
        return self._transport.ask(Execution, "GET", _path(cluster, run_id), params={"include_vectors": vectors})

    def latest(self, cluster: str, *, vectors: bool = False) -> Execution | None:
        """The newest run; None before the first."""
        params = {"include_vectors": vectors}
        found = self._transport.call("GET", f"/clusters/{segment(cluster)}/executions", params=params)
        return None if found is None else parsed(Execution, found)

    def list(self, cluster: str, *, limit: int = 100, offset: int = 0) -> list[Execution]:
        """Newest first."""
        path, params = f"/clusters/{segment(cluster)}/executions/list", {"limit": limit, "offset": offset}
        return self._transport.asks(Execution, "POST", path, {}, params=params)

    def cancel(self, cluster: str, run_id: str) -> None:
        """Nothing of it will be published. Raises NotFound, Conflict where it is over."""
        self._transport.call("POST", f"{_path(cluster, run_id)}/cancel")

    def rename(self, cluster: str, run_id: str, name: str) -> None:
        """Give the run a name; an empty one takes it away."""
        self._transport.call("PATCH", f"{_path(cluster, run_id)}/name", {"run_name": name})

    def relabel(self, cluster: str, run_id: str, labels: Mapping[str, str]) -> LabelledRun:
        """Give clusters of the run, and groups of its other layers, labels of your own.

        Parameters
        ----------
        cluster : str
            Id or name.
        run_id : str
            The run; documents show the labels of the newest one.
        labels : mapping of str to str
            By cluster id, such as `cl_0` or `broad_2`, at most 200 characters each; an empty one takes it away.

        Returns
        -------
        LabelledRun
            All labels that people gave (`label_overrides`), how many documents hold the new ones by now
            (`documents_relabelled`), and `warnings`: that many documents follow later, for example.

        Raises
        ------
        NotFound
            For an unknown cluster or run.
        InvalidField
            For a cluster that the run does not have, or a label that is too long.
        """
        path = f"{_path(cluster, run_id)}/labels"
        return self._transport.ask(LabelledRun, "PATCH", path, {"labels": dict(labels)})

    def members(self, cluster: str, run_id: str) -> pa.Table:
        """One row a document: id, cluster, distance, strength, place on the map. Raises NotFound."""
        return pq.read_table(io.BytesIO(self._transport.download(f"{_path(cluster, run_id)}/download")))


class Run:
    """A run that was started."""

    def __init__(self, transport: Transport, cluster_id: str, run_id: str, task_id: str) -> None:
        self._transport = transport
        self.cluster_id, self.run_id, self.task_id = cluster_id, run_id, task_id

    def status(self) -> Execution:
        """The run as it is now."""
        return Executions(self._transport).get(self.cluster_id, self.run_id)

    def wait(self, timeout_s: float | None = None, progress: Callable[[str, float], None] | None = None) -> Execution:
        """Wait until it is over, and return it completed.

        `progress` is told the stage and its fraction. Raises RunFailed with the cause, Cancelled, and Unavailable after
        `timeout_s`; the run goes on then. A server that starts again meanwhile is waited for (`restart_s` of the
        client), a busy one as long as it takes.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        pause = _FIRST_PAUSE_SECONDS
        while True:
            run = self._asked_patiently()
            if run is not None and run.status in ("completed", "failed", "canceled"):
                return _completed(run)
            if end is not None and time.monotonic() >= end:
                status = "under way" if run is None else run.status
                raise Unavailable(f"The run {self.run_id} is still {status} after {timeout_s} s.")
            if progress is not None and run is not None:
                with suppress(Overloaded, RateLimited):
                    progress(*self._progress())
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _asked_patiently(self) -> Execution | None:
        """None where the server is too busy to say."""
        try:
            return self.status()
        except (Overloaded, RateLimited):
            return None

    def cancel(self) -> None:
        """Raises Conflict where it is over."""
        Executions(self._transport).cancel(self.cluster_id, self.run_id)

    def members(self) -> pa.Table:
        """The members of a completed run."""
        return Executions(self._transport).members(self.cluster_id, self.run_id)

    def _progress(self) -> tuple[str, float]:
        task = self._transport.ask(Task, "GET", f"/tasks/{segment(self.task_id)}")
        told = task.additional_data.get("progress") or {}
        return str(told.get("stage") or "start"), float(told.get("fraction") or 0.0)

    def __repr__(self) -> str:
        return f"<Run {self.run_id} of {self.cluster_id}>"


def _completed(run: Execution) -> Execution:
    if run.status == "failed":
        raise RunFailed(run.error_message or "The run failed.", run_id=run.run_id)
    if run.status == "canceled":
        raise Cancelled(f"The run {run.run_id} was cancelled.", run_id=run.run_id)
    return run


def _path(cluster: str, run_id: str) -> str:
    return f"/clusters/{segment(cluster)}/executions/{segment(run_id)}"


_MEANT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("method", "clustering_method"), 'algorithm="auto"'),
    **dict.fromkeys(("features", "feature_uri", "feature_uris", "vector", "vectors"), 'feature="embedding"'),
    **dict.fromkeys(("parameters", "algorithm_params", "algorithm_parameters"), 'params={"n_clusters": 10}'),
    **dict.fromkeys(("multi_feature_strategy",), 'strategy="concatenate"'),
    **dict.fromkeys(("text", "texts"), 'text_fields="title"'),
}
"""What the wire and `shoal.cluster` call an argument of `create`."""


def _refuse_misplaced(more: Mapping[str, object]) -> None:
    """Raises InvalidField for what would go into the request under a name that it does not have."""
    for name, value in more.items():
        meant = _MEANT.get(name)
        if meant is None and is_method_parameter(name):
            meant = f'params={{"{name}": {value!r}}}'
        if meant is not None:
            remedy = f"Did you mean {meant}? The vector goes by feature=, the method by algorithm= and params=."
            raise InvalidField(name, "is no argument of clusters.create", value=value, remedy=remedy)


def _several(names: str | Sequence[str]) -> list[str]:
    """One name, or several, as a list: the letters of a name are no names."""
    return [names] if isinstance(names, str) else list(names)
