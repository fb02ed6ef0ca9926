"""Clusters over the wire."""

import builtins
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from shoal.client.executions import Run
from shoal.client.transport import Transport, drop_none, path_segment
from shoal.errors import InvalidField
from shoal.records.clusters.cluster import Cluster
from shoal.records.queries.parameter_places import is_method_parameter
from shoal.records.task import Task

__all__ = ["Clusters"]

Metric = Literal["mean", "median", "medoid"]
Strategy = Literal["concatenate", "weighted", "independent"]


class Clusters:
    """Cluster definitions; reached as `client.clusters`."""

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
        """Create a cluster over vectors of some collections; nothing is executed yet.

        Parameters
        ----------
        name : str
            Unique in the namespace.
        collections : str or sequence of str
            Ids or names of the collections.
        feature : str or sequence of str, default None
            Names of the vectors to cluster. Required: None is refused.
        strategy : {"concatenate", "weighted", "independent"}, default "concatenate"
            How several features combine: side by side with equal weights, with weights learned from the vectors, or
            each clustered apart. Ignored for one feature.
        algorithm : str, default "auto"
            The method, as in `shoal.cluster`.
        params : mapping, optional
            Parameters of the method, such as `{"n_clusters": 10}`.
        filters : mapping, optional
            Filter in the language of the API, such as `{"lang": "en"}`. Only matching documents are clustered.
        sample_size : int, optional
            Documents to fit on; the others are assigned. None fits on all.
        normalize : bool, default True
            Compare directions (cosine) instead of lengths.
        centroid_method : {"mean", "median", "medoid"}, default "mean"
            How the centroid of a cluster is made.
        text_fields : str or sequence of str, default ()
            Fields to name the clusters from; empty lets the server choose.
        enrich : bool, default False
            Write the cluster of each document back to it.
        **more
            Further fields of the request, by the names of the wire.

        Returns
        -------
        Cluster
            The new cluster, not executed.

        Raises
        ------
        InvalidField
            An argument is wrong or has another name.
        NotFound
            No such collection.
        AlreadyExists
            The name is taken.
        """
        _check_extra_arguments(more)
        if feature is None:
            raise InvalidField("feature", "is required", remedy='Name a vector of the documents: feature="embedding".')
        features = _to_list(feature)
        config = drop_none(
            feature_uris=features,
            multi_feature_strategy=strategy if len(features) > 1 or more.get("facets") else None,
            clustering_method=algorithm,
            algorithm_params=dict(params) if params else None,
            sample_size=sample_size,
            normalize_features=normalize,
            effective_feature_method=centroid_method,
        )
        body = drop_none(
            cluster_name=name,
            collection_ids=_to_list(collections),
            cluster_type="vector",
            vector_config=config,
            filters=filters,
            text_fields=_to_list(text_fields) or None,
            enrich_source_collection=enrich or None,
            **more,
        )
        return self._transport.request_record(Cluster, "POST", "/clusters", body)

    def create_by_attributes(
        self,
        name: str,
        collections: str | Sequence[str],
        attributes: str | Sequence[str],
        *,
        hierarchical: bool = False,
        **more: object,
    ) -> Cluster:
        """Create a cluster that groups documents with equal values of fields.

        Parameters
        ----------
        name : str
            Unique in the namespace.
        collections : str or sequence of str
            Ids or names of the collections.
        attributes : str or sequence of str
            Names of the fields, at most 10.
        hierarchical : bool, default False
            One level of groups for each field, instead of one group for each combination.
        **more
            Further fields of the request, by the names of the wire.

        Returns
        -------
        Cluster
            The new cluster, not executed.

        Raises
        ------
        InvalidRequest
            A field is wrong.
        NotFound
            No such collection.
        AlreadyExists
            The name is taken.
        """
        config = {"attributes": _to_list(attributes), "hierarchical_grouping": hierarchical}
        body = drop_none(
            cluster_name=name,
            collection_ids=_to_list(collections),
            cluster_type="attribute",
            attribute_config=config,
            **more,
        )
        return self._transport.request_record(Cluster, "POST", "/clusters", body)

    def get(self, ref: str) -> Cluster:
        """Fetch one cluster.

        Parameters
        ----------
        ref : str
            Id or name of the cluster.

        Returns
        -------
        Cluster

        Raises
        ------
        NotFound
            No such cluster.
        """
        return self._transport.request_record(Cluster, "GET", f"/clusters/{path_segment(ref)}")

    def list(self, *, search: str | None = None, limit: int = 100, offset: int = 0) -> list[Cluster]:
        """List clusters, newest first.

        Parameters
        ----------
        search : str, optional
            Return only those whose id, name or description contains this text, in any case.
        limit : int, default 100
            Most items to return, 1 to 1,000.
        offset : int, default 0
            Items to skip, at most 10,000.

        Returns
        -------
        list of Cluster
        """
        params = {"limit": limit, "offset": offset}
        return self._transport.request_records(
            Cluster, "POST", "/clusters/list", drop_none(search=search), params=params
        )

    def patch(self, ref: str, **changes: object) -> Cluster:
        """Change the given fields; executes nothing.

        Parameters
        ----------
        ref : str
            Id or name of the cluster.
        **changes
            Fields by the names of the wire, such as `description` and `filters`.

        Returns
        -------
        Cluster
            The cluster after the change.

        Raises
        ------
        NotFound
            No such cluster.
        InvalidRequest
            A field is wrong or cannot be changed.
        AlreadyExists
            The new name is taken.
        """
        return self._transport.request_record(Cluster, "PATCH", f"/clusters/{path_segment(ref)}", changes)

    def delete(self, ref: str, *, output_collections: bool = True) -> None:
        """Delete a cluster with its runs.

        Parameters
        ----------
        ref : str
            Id or name of the cluster.
        output_collections : bool, default True
            Delete its output collections too.

        Raises
        ------
        NotFound
            No such cluster.
        """
        params = {"cascade_output_collections": output_collections}
        self._transport.call("DELETE", f"/clusters/{path_segment(ref)}", params=params)

    def execute(self, ref: str, **overrides: object) -> Run:
        """Start a run.

        Parameters
        ----------
        ref : str
            Id or name of the cluster.
        **overrides
            Fields for this run only: `filters`, `sample_size`, `text_fields`, `mode` and others of the wire.

        Returns
        -------
        Run
            The run; call its `wait`.

        Raises
        ------
        NotFound
            No such cluster.
        Conflict
            Another run of this cluster is active.
        QueueFull
            As many runs wait as may.
        """
        if isinstance(fields := overrides.get("text_fields"), str):
            overrides["text_fields"] = [fields]
        task = self._transport.request_record(Task, "POST", f"/clusters/{path_segment(ref)}/execute", overrides or None)
        data = task.additional_data
        return Run(self._transport, str(data["cluster_id"]), str(data["run_id"]), task.task_id)

    def groups(self, ref: str) -> builtins.list[dict[str, Any]]:
        """List the groups of the visible run.

        Parameters
        ----------
        ref : str
            Id or name of the cluster.

        Returns
        -------
        list of dict
            Largest first: label, keywords, member_count and more.

        Raises
        ------
        NotFound
            No such cluster.
        """
        groups: builtins.list[dict[str, Any]] = self._transport.call("GET", f"/clusters/{path_segment(ref)}/groups")[
            "groups"
        ]
        return groups

    def map(self, ref: str, *, run_id: str | None = None, max_points: int = 10_000) -> dict[str, Any]:
        """Fetch the map of a run.

        Parameters
        ----------
        ref : str
            Id or name of the cluster.
        run_id : str, optional
            The run; None takes the visible one.
        max_points : int, default 10000
            Most documents to return; more are sampled.

        Returns
        -------
        dict
            Places of documents and centroids.

        Raises
        ------
        NotFound
            No such cluster or run.
        """
        params = drop_none(run_id=run_id, max_points=max_points)
        points: dict[str, Any] = self._transport.call(
            "GET", f"/clusters/{path_segment(ref)}/visualization", params=params
        )
        return points


_SUGGESTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("method", "clustering_method"), 'algorithm="auto"'),
    **dict.fromkeys(("features", "feature_uri", "feature_uris", "vector", "vectors"), 'feature="embedding"'),
    **dict.fromkeys(("parameters", "algorithm_params", "algorithm_parameters"), 'params={"n_clusters": 10}'),
    **dict.fromkeys(("multi_feature_strategy",), 'strategy="concatenate"'),
    **dict.fromkeys(("text", "texts"), 'text_fields="title"'),
}
"""What the wire and `shoal.cluster` call an argument of `create`."""


def _check_extra_arguments(more: Mapping[str, object]) -> None:
    """Raises InvalidField for what would go into the request under a name that it does not have."""
    for name, value in more.items():
        suggestion = _SUGGESTIONS.get(name)
        if suggestion is None and is_method_parameter(name):
            suggestion = f'params={{"{name}": {value!r}}}'
        if suggestion is not None:
            remedy = f"Did you mean {suggestion}? The vector goes by feature=, the method by algorithm= and params=."
            raise InvalidField(name, "is not an argument of clusters.create", value=value, remedy=remedy)


def _to_list(names: str | Sequence[str]) -> list[str]:
    """One name, or several, as a list: the letters of a name are no names."""
    return [names] if isinstance(names, str) else list(names)
