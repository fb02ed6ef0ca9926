"""The input of a run: points or attribute values, and the texts that name its groups."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.errors import RunFailed
from shoal.records.clusters.cluster import Cluster
from shoal.records.collection import Collection
from shoal.records.queries.filters import Filter
from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.runs.config.cluster_config import feature_name
from shoal.runs.config.engine_plan import documents_of
from shoal.runs.config.text_fields import resolve_text_fields
from shoal.runs.text import texts_of_run
from shoal.storage.protocols.documents import DocumentReader

__all__ = ["RunInput", "read_input"]


@dataclass(frozen=True, slots=True)
class RunInput:
    """Aligned columns, with rows sorted by (document id, collection).

    `blocks` (one for each feature) for vector clusters, `values` (one list for each field) for attribute clusters.
    `missing` documents have no vector, `skipped` ones an unusable vector.
    """

    ids: Sequence[str]
    collection_ids: Sequence[str]
    texts: Sequence[str] | None
    blocks: Mapping[str, Points] = field(default_factory=dict)
    values: Sequence[Sequence[Any]] = ()
    missing: int = 0
    skipped: int = 0
    warnings: list[str] = field(default_factory=list)
    places_before: NDArray[np.float32] | None = None
    """(n, 2 or 3) coordinates of the documents on the map of the visible run, NaN for new ones."""
    parts: Mapping[str, "RunInput"] = field(default_factory=dict)
    """The input of each feature that is clustered separately: the documents that have it. The ids above are of all."""

    text_fields: Sequence[str] = ()
    """The fields that the texts come from."""
    fingerprint: str = ""
    """The fingerprint of the vectors, see `Matrix`."""
    encoders: Mapping[str, str] = field(default_factory=dict)
    """What made the vectors of each encoded feature, with its version."""
    derived: Sequence[str] = ()
    """Those of the features, or parts, that were derived by a language model; no stored vector has their name."""
    named_by_answers: bool = False
    """Whether the texts are the answers of the model."""
    facet_errors: Sequence[str] = ()
    """Why documents lack an answer, in the form of `llm_labeling_errors`."""

    def digest(self) -> Any:
        """Return a JSON digest of the input; equal digests give equal groups."""
        digest = hashlib.blake2b(digest_size=16)
        for column in (self.ids, self.collection_ids, self.texts, self.values):
            digest.update(orjson.dumps(column))
        if self.places_before is not None:
            digest.update(np.ascontiguousarray(self.places_before).data)
        return [digest.hexdigest(), self.fingerprint, {name: part.digest() for name, part in self.parts.items()}]

    def add_collections(self, members: pa.Table) -> pa.Table:
        """Add the collection of each document to a table of members."""
        return members.add_column(1, "collection_id", pa.array(self.collection_ids, pa.string()).dictionary_encode())


def read_input(
    store: DocumentReader, scope: Scope, cluster: Cluster, run: Execution, sources: Sequence[Collection]
) -> RunInput:
    """Read the input of a run. Raises RunFailed if fewer than two documents can be clustered."""
    matching = documents_of(cluster, run.request)
    if cluster.cluster_type == "vector":
        source = _read_vectors(store, scope, cluster, matching, sources, resolve_text_fields(cluster, run.request))
    else:
        source = _read_attributes(store, scope, cluster, matching, sources)
    for feature, part in (source.parts or {"": source}).items():
        if len(part.ids) < 2:
            raise RunFailed(
                f"{len(part.ids)} of {len(part.ids) + part.missing + part.skipped} matching documents can be clustered"
                f"{feature and ' by ' + feature} ({part.missing} have no vector, {part.skipped} have an all-zero one); "
                "clustering needs at least two."
            )
    return source


def _read_vectors(
    store: DocumentReader,
    scope: Scope,
    cluster: Cluster,
    filter: Filter,
    sources: Sequence[Collection],
    text_fields: Sequence[str],
) -> RunInput:
    dimensions = store.vector_dimensions(scope)
    features = [feature_name(uri, dimensions) for uri in cluster.feature_uris or [""]]
    if cluster.multi_feature_strategy != "independent":
        return _read_features(store, scope, cluster, filter, sources, features, text_fields)
    parts = {name: _read_features(store, scope, cluster, filter, sources, [name], text_fields) for name in features}
    documents = sorted({key for part in parts.values() for key in zip(part.ids, part.collection_ids, strict=True)})
    matching = max(len(part.ids) + part.missing + part.skipped for part in parts.values())
    return RunInput(
        ids=[id for id, _ in documents],
        collection_ids=[collection for _, collection in documents],
        texts=None,
        text_fields=list(dict.fromkeys(field for part in parts.values() for field in part.text_fields)),
        missing=matching - len(documents),
        warnings=[f"{name}: {digest}" for name, part in parts.items() for digest in part.warnings],
        parts=parts,
    )


def _read_features(
    store: DocumentReader,
    scope: Scope,
    cluster: Cluster,
    filter: Filter,
    sources: Sequence[Collection],
    features: list[str],
    text_fields: Sequence[str],
) -> RunInput:
    """Read the documents that have all of these features."""
    keys = {source.storage_key: source.collection_id for source in sources}
    matrix = store.load_matrix(scope, list(keys), features, filter=filter)
    ids, where, blocks = list(matrix.ids), list(matrix.collections), {name: matrix.blocks[name] for name in features}
    warnings, skipped = [], 0
    if cluster.normalize_features:
        usable = _nonzero(list(blocks.values()))
        skipped = len(ids) - len(usable)
        if skipped:
            warnings.append(f"{skipped} documents have an all-zero vector, which has no direction; they are left out.")
            blocks = {name: points[usable] for name, points in blocks.items()}
            ids, where = [ids[row] for row in usable], [where[row] for row in usable]
    documents = list(zip(ids, where, strict=True))
    texts, fields = texts_of_run(store, scope, text_fields, filter, list(keys), documents)
    return RunInput(
        ids=ids,
        collection_ids=[keys[key] for key in where],
        texts=texts,
        text_fields=fields,
        blocks=blocks,
        missing=matrix.missing,
        skipped=skipped,
        warnings=warnings,
        fingerprint=matrix.fingerprint,
    )


def _nonzero(features: Sequence[Points]) -> list[int]:
    """Return the rows that are not zero in every feature; works block by block to bound the memory."""
    block = 65_536
    parts = [
        np.flatnonzero(np.any([points[at : at + block].any(axis=1) for points in features], axis=0)) + at
        for at in range(0, len(features[0]), block)
    ]
    return np.concatenate(parts).tolist() if parts else []


def _read_attributes(
    store: DocumentReader, scope: Scope, cluster: Cluster, filter: Filter, sources: Sequence[Collection]
) -> RunInput:
    keys = {source.storage_key: source.collection_id for source in sources}
    fields = cluster.clustered_attributes or []
    ids, where, values = store.load_fields(scope, list(keys), fields, filter=filter)
    return RunInput(ids=ids, collection_ids=[keys[key] for key in where], texts=None, values=values)
