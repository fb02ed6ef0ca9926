"""Collections: containers of documents, and the vectors that they declare."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from shoal.errors import AlreadyExists, InvalidField
from shoal.records.bucket import Bucket
from shoal.records.clusters.cluster import Cluster
from shoal.records.collection import (
    Collection,
    CollectionSource,
    CollectionVectorIndex,
    CreateCollection,
    DeletedCollection,
    FeatureExtractor,
    PatchCollection,
)
from shoal.records.ids import check_name, new_id
from shoal.records.namespace import VectorConfigSpec
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository, RepositoryReads
from shoal.runs.encoders import PermittedEncoders
from shoal.services.buckets import Buckets
from shoal.services.removals import Removals
from shoal.services.text_encodings import TextEncodings
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["DEFAULT_COLLECTION", "Collections"]

DEFAULT_COLLECTION: Final = "default"
"""The collection for upserts without a collection; created on first use."""

_RESERVED: Final = frozenset({"list"})
_CONFIGS: Final = TypeAdapter(list[VectorConfigSpec])


class Collections:
    """One method per operation of the API. `ref` is an id or a name; `now` is UTC."""

    def __init__(
        self,
        metadata: RecordStore,
        documents: DocumentStore,
        buckets: Buckets,
        removals: Removals,
        now: Callable[[], datetime],
        max_dimension: int,
        encoders: PermittedEncoders,
    ) -> None:
        self._metadata, self._documents, self._buckets = metadata, documents, buckets
        self._removals = removals
        self._now, self._max_dimension = now, max_dimension
        self.records = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )
        self._encodings = TextEncodings(self.records, documents, encoders)
        self._clusters = Repository(metadata, "cluster", Cluster, id_field="cluster_id", name_field="cluster_name")

    def create(self, scope: Scope, body: CreateCollection) -> Collection:
        """Create a collection. Raises InvalidField, AlreadyExists for the name, NotFound for a source."""
        return self._metadata.transact(self.creation(scope, body))

    def creation(self, scope: Scope, body: CreateCollection) -> Callable[[Transaction], Collection]:
        """Return the transaction body that creates a collection; its vectors are declared before. Raises InvalidField,
        NotFound for a source, and AlreadyExists where the name is already taken; so does the body, for what changed
        since."""
        name = _check_collection_name(body.collection_name)
        source = _resolve(scope, body.source, self._buckets.records, self.records)
        configs = self._vector_configs(body.metadata)
        encoding, notes = self._encodings.choose(scope, body.feature_extractor)
        if encoding is not None:
            configs = [*configs, VectorConfigSpec(name=encoding.vector_name, dimension=encoding.dimension)]
        now = self._now()
        collection = Collection(
            collection_id=new_id("col"),
            collection_name=name,
            description=body.description,
            source=source,
            feature_extractor=_with_extractor_id(body.feature_extractor),
            text_encoding=encoding,
            input_schema=body.input_schema,
            enabled=body.enabled is not False,
            metadata=body.metadata,
            cluster_applications=[item.model_dump() for item in body.cluster_applications or []],
            created_at=now,
            updated_at=now,
            warnings=[*_warnings(body), *notes],
        )
        self._declare(scope, configs, name, collection.collection_id)
        shown = {"vector_indexes": self._indexes(scope), "document_count": 0}

        def create(tx: Transaction) -> Collection:
            records = self.records.within(tx)
            source = _resolve(scope, body.source, self._buckets.records.within(tx), records)
            added = records.add(scope, collection.with_changes(source=source), "collection.create")
            return added.with_changes(**shown)

        return create

    def default(self, scope: Scope) -> Collection:
        """Return the collection named `default`; creates it where it does not exist."""
        existing = self.records.find_one(scope, DEFAULT_COLLECTION)
        if existing is not None:
            return existing
        source = CollectionSource(type="direct_upsert")
        try:
            return self.create(scope, CreateCollection(collection_name=DEFAULT_COLLECTION, source=source))
        except AlreadyExists:  # another request created it meanwhile
            return self.records.get(scope, DEFAULT_COLLECTION)

    def find(self, scope: Scope, ref: str) -> Collection:
        """Return the record without counts, which is cheaper than `get`. Raises NotFound."""
        return self.records.get(scope, ref)

    def get(self, scope: Scope, ref: str) -> Collection:
        """Return a collection with document count and vector indexes. Raises NotFound."""
        return self._with_counts(scope, self.records.get(scope, ref))

    def search(self, scope: Scope, query: Query) -> Listing[Collection]:
        """Newest first unless asked otherwise."""
        listing = self.records.search(scope, query)
        return Listing([self._with_counts(scope, item) for item in listing.items], listing.total, listing.more)

    def patch(self, scope: Scope, ref: str, body: PatchCollection) -> Collection:
        """Change the fields that were sent; vectors named in `metadata.vector_configs` are declared.

        Raises NotFound, InvalidField, AlreadyExists.
        """
        sent: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        for required in ("collection_name", "enabled", "cluster_applications"):
            if sent.get(required, ...) is None:
                del sent[required]
        if "collection_name" in sent:
            _check_collection_name(sent["collection_name"])
        if "cluster_applications" in sent:
            sent["cluster_applications"] = [item.model_dump() for item in sent["cluster_applications"]]
        configs = self._vector_configs(body.metadata)
        if configs:
            current = self.records.get(scope, ref)
            self._declare(scope, configs, sent.get("collection_name", current.collection_name), current.collection_id)
        sent |= {"updated_at": self._now(), "warnings": _warnings(body)}
        changed = self.records.change(scope, ref, lambda newest: newest.with_changes(**sent), "collection.change")
        return self._with_counts(scope, changed)

    def delete(self, scope: Scope, ref: str) -> DeletedCollection:
        """Delete the collection and its documents, atomically for readers. Raises NotFound."""
        collection = self.records.get(scope, ref)
        documents = self._documents.count(scope, collection.storage_key)
        orphans = [
            cluster for cluster in self._clusters.all(scope) if collection.collection_id in cluster.input_collections
        ]
        removal = self._removals.of(scope, collections=[collection.collection_id])

        def delete(tx: Transaction) -> None:
            if not self.records.within(tx).remove(scope, collection.collection_id, "collection.delete"):
                raise self.records.within(tx).not_found(scope, ref)
            self._removals.begin(tx, scope, removal)

        self._metadata.transact(delete)
        self._removals.finish(scope, removal)
        return DeletedCollection(
            message=f"The collection {collection.collection_name!r} and its documents are gone.",
            collection_id=collection.collection_id,
            documents_deleted=documents,
            warnings=[_orphan_warning(cluster) for cluster in orphans],
        )

    def features(self, scope: Scope, ref: str) -> list[dict[str, Any]]:
        """Return the wire's CollectionFeatureDescriptors: the features for clustering. Raises NotFound."""
        collection = self.records.get(scope, ref)
        extractor, encoding = collection.feature_extractor, collection.text_encoding
        uris = {} if encoding is None else {encoding.vector_name: encoding.feature_uri}
        return [
            {
                "feature_address": uris.get(name, name),
                "feature_uri": uris.get(name, name),
                "feature_extractor_name": extractor.feature_extractor_name,
                "version": extractor.version,
                "vector_index": {
                    "name": name,
                    "description": f"The vectors called {name}, {dimension} numbers each",
                    "dimensions": dimension,
                    "type": "dense",
                },
                "primary": position == 0,
            }
            for position, (name, dimension) in enumerate(sorted(self._documents.vector_dimensions(scope).items()))
        ]

    def _with_counts(self, scope: Scope, collection: Collection) -> Collection:
        count = self._documents.count(scope, collection.storage_key)
        return collection.with_changes(vector_indexes=self._indexes(scope), document_count=count)

    def _indexes(self, scope: Scope) -> list[CollectionVectorIndex]:
        return [
            CollectionVectorIndex(name=name, feature_uri=name, index={"dimension": dimension})
            for name, dimension in sorted(self._documents.vector_dimensions(scope).items())
        ]

    def _declare(self, scope: Scope, configs: list[VectorConfigSpec], name: str, collection_id: str) -> None:
        """Declare vectors before the transaction of the collection that names them. Raises InvalidField, and
        AlreadyExists where the name is taken, so that a failed creation leaves nothing behind."""
        existing = self.records.find_one(scope, name) if configs else None
        if existing is not None and existing.collection_id != collection_id:
            raise AlreadyExists("collection", name, existing_id=existing.collection_id)
        for config in configs:
            self._documents.declare_vector(scope, config.name, config.dimension)

    def _vector_configs(self, metadata: dict[str, Any] | None) -> list[VectorConfigSpec]:
        """Parse `metadata.vector_configs`. Raises InvalidField."""
        sent = (metadata or {}).get("vector_configs")
        if sent is None:
            return []
        try:
            configs = _CONFIGS.validate_python(sent)
        except ValidationError as error:
            fault = error.errors()[0]
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
            raise InvalidField(
                f"metadata.vector_configs{place}",
                fault["msg"],
                value=fault["input"],
                remedy='Each is an object such as {"name": "text", "dimension": 384}.',
            ) from None
        for i, config in enumerate(configs):
            if config.dimension > self._max_dimension:
                path = f"metadata.vector_configs[{i}].dimension"
                raise InvalidField(path, f"must be at most {self._max_dimension}", value=config.dimension)
        return configs


def _resolve(
    scope: Scope,
    source: CollectionSource,
    buckets: RepositoryReads[Bucket],
    collections: RepositoryReads[Collection],
) -> CollectionSource:
    """Return the source with names resolved to ids. Raises NotFound."""
    bucket_ids = [buckets.get(scope, ref).bucket_id for ref in source.bucket_ids or []]
    upstream = [collections.get(scope, ref) for ref in source.collections()]
    inherited = [bucket for collection in upstream for bucket in collection.source.buckets()]
    ids = [collection.collection_id for collection in upstream]
    single = source.collection_id is not None
    return source.with_changes(
        bucket_ids=bucket_ids or None,
        collection_id=ids[0] if single else None,
        collection_ids=(ids[1:] if single else ids) or None,
        inherited_bucket_ids=list(dict.fromkeys(inherited)) or None,
    )


def _warnings(body: CreateCollection | PatchCollection) -> list[str]:
    automatic = any(item.auto_execute_on_batch for item in body.cluster_applications or [])
    warning = "cluster_applications are stored, but triggers are not available yet: execute the clusters yourself."
    return [*body.describe_ignored(), *([warning] if automatic else [])]


def _with_extractor_id(extractor: FeatureExtractor | None) -> FeatureExtractor:
    """Return the extractor with an id of name and version; a placeholder where there is none."""
    if extractor is None:
        return FeatureExtractor()
    return extractor.with_changes(feature_extractor_id=f"{extractor.feature_extractor_name}_{extractor.version}")


def _check_collection_name(name: str) -> str:
    return check_name("collection_name", name, "col", shortest=3, reserved=_RESERVED)


def _orphan_warning(cluster: Cluster) -> str:
    """Warn about a cluster whose source is deleted."""
    name = f"The cluster {cluster.cluster_name!r} ({cluster.cluster_id})"
    return f"{name} reads this collection: its results stay, but it can no longer be executed."
