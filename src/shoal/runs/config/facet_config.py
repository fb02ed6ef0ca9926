"""The facets of a run, and whether they fit a cluster."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shoal.errors import InvalidField
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.facets import Facet
from shoal.records.collection import Collection
from shoal.runs.encoders import PermittedEncoders

OF_FACETS: Final = {"feature_uris", "clustered_attributes", "output_strategy"}
"""What of a cluster facets are checked against."""

__all__ = ["OF_FACETS", "check_facets", "facet_encoder", "facets_of", "replaces_vectors"]


def facets_of(cluster: Cluster, request: Mapping[str, Any]) -> list[Facet]:
    """Return the facets of a run: its own, else those of the cluster. A run that assigns documents has none."""
    if request.get("mode") == "assign":
        return []
    own = request.get("facets")
    return list(cluster.facets or []) if own is None else [Facet.model_validate(each) for each in own]


def replaces_vectors(facets: Sequence[Facet]) -> bool:
    """Whether documents are clustered by the answers alone."""
    return any(facet.use == "instead" for facet in facets)


def facet_encoder(encoders: PermittedEncoders, sources: Sequence[Collection]) -> str:
    """Return the URI of the encoder of answers: that of the first collection with one, else the first permitted."""
    own = [source.text_encoding.encoder for source in sources if source.text_encoding is not None]
    return encoders.resolve(next((uri for uri in own if uri in encoders.permitted), None), "facets")


def check_facets(facets: Sequence[Facet] | None, vectors: Iterable[str], config: Mapping[str, Any]) -> None:
    """Check facets against the cluster that they are for.

    Parameters
    ----------
    vectors : iterable of str
        The names of vectors in the namespace.
    config : mapping
        The configuration of the cluster: its record as JSON, or the fields that it is made from.

    Raises
    ------
    InvalidField
    """
    if not facets:
        return
    uris = config.get("feature_uris") or []
    taken = {*vectors, *uris, *(uri.rsplit("/", 1)[-1] for uri in uris)}
    if config.get("clustered_attributes"):
        raise InvalidField("facets", "are for vector clusters alone", remedy="Leave them out.")
    if config.get("output_strategy") == "per_feature":
        problem = "do not go with output_strategy 'per_feature'"
        raise InvalidField("facets", problem, remedy="Use output_strategy 'single'.")
    names = [facet.name for facet in facets]
    for position, name in enumerate(names):
        if name in taken:
            raise InvalidField(f"facets[{position}].name", "is the name of a vector", value=name, remedy="Rename it.")
        if name in names[:position]:
            raise InvalidField(f"facets[{position}].name", "stands twice", value=name, remedy="Names must differ.")
    uses = [facet.use or "beside" for facet in facets]
    if len(set(uses)) > 1:
        position = next(place for place, use in enumerate(uses) if use != uses[0])
        problem = f"differs from that of facets[0], {uses[0]!r}"
        remedy = "Documents are clustered by their vectors too, or by the answers alone: say the same in all facets."
        raise InvalidField(f"facets[{position}].use", problem, value=uses[position], remedy=remedy)
