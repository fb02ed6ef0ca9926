"""Namespaces: made, found by id or name, described, changed, and removed with everything inside."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shoal.errors import AlreadyExists, InvalidField, InvalidRequest
from shoal.records.collection import Collection
from shoal.records.ids import check_name, new_id
from shoal.records.namespace import (
    CreateNamespace,
    CreateStandaloneNamespace,
    Namespace,
    PatchNamespace,
    VectorConfigSpec,
)
from shoal.records.queries.filters import Condition
from shoal.records.queries.paging import Listing, Page
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.services.removals import Removals
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.records import Kind, Query

__all__ = ["Namespaces"]

_RESERVED: Final = frozenset({"list", "standalone", "stats"})
_LONGEST_NAME: Final = 64
_COPIED: Final = (
    "description", "metadata", "feature_extractors", "payload_indexes", "auto_create_indexes", "adaptive_indexing",
)  # fmt: skip
_COUNTS: Final[dict[str, Kind]] = {
    "bucket_count": "bucket",
    "collection_count": "collection",
    "cluster_count": "cluster",
}


class Namespaces:
    """Every method takes the scope of the organisation. `now` is UTC."""

    def __init__(
        self,
        store: MetadataStore,
        documents: DocumentStore,
        removals: Removals,
        now: Callable[[], datetime],
        max_dimension: int,
    ) -> None:
        self._store, self._documents, self._removals = store, documents, removals
        self._now, self._max_dimension = now, max_dimension
        self.records = self._namespaces = Repository(
            store, "namespace", Namespace, id_field="namespace_id", name_field="namespace_name"
        )
        self._collections = Repository(
            store, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def create(self, organization: Scope, body: CreateNamespace) -> Namespace:
        """Raises AlreadyExists for an id or name that is taken, InvalidField."""
        name = _checked_name(body.namespace_name, body.namespace_id)
        return self._create(organization, body.namespace_id or new_id("ns"), name, body.mode, body)

    def create_standalone(self, organization: Scope, body: CreateStandaloneNamespace) -> Namespace:
        """A namespace for own vectors. Raises AlreadyExists, InvalidField."""
        if body.namespace_name is not None:
            name = _checked_name(body.namespace_name, body.namespace_id)
        elif body.namespace_id is not None:
            name = body.namespace_id[:_LONGEST_NAME]
        else:
            raise InvalidField("namespace_name", "is required", remedy="Send namespace_name or namespace_id.")
        return self._create(organization, body.namespace_id or new_id("ns"), name, "standalone", body)

    def create_default(self, organization: Scope) -> Namespace:
        """The namespace every organisation starts with."""
        return self.create(organization, CreateNamespace(namespace_name="default"))

    def _create(
        self,
        organization: Scope,
        namespace_id: str,
        name: str,
        mode: str,
        body: CreateNamespace | CreateStandaloneNamespace,
    ) -> Namespace:
        configs = body.vector_configs or []
        self._check_vectors(configs)
        # An id that equals the name of another would shadow it, since ids win; so would a name be shadowed by an id.
        for ref in dict.fromkeys((namespace_id, name)):
            self._check_free(organization, ref)
        self._removals.make_way(organization, namespace_id)
        now = self._now()
        namespace = Namespace.model_validate(
            {
                "namespace_id": namespace_id,
                "namespace_name": name,
                "organization_id": organization.organization_id,
                "mode": mode,
                "vector_configs": configs,
                "created_at": now,
                "updated_at": now,
            }
            | _sent(body)
        )
        with self._store.transaction():
            self._removals.check_way(organization, namespace_id)
            self._namespaces.add(organization, namespace, "namespace.create")
            self._declare(organization, namespace)
        return namespace

    def get(self, organization: Scope, ref: str) -> Namespace:
        """By id or name, with counts and with the vector indexes that uploads have added. Raises NotFound."""
        namespace = self._namespaces.get(organization, ref)
        scope = Scope(organization.organization_id, namespace.namespace_id)
        counts = {field: self._count(scope, kind) for field, kind in _COUNTS.items()}
        counts["document_count"] = sum(
            self._documents.count(scope, collection.storage_key) for collection in self._collections.all(scope)
        )
        known = {config.name for config in namespace.vector_configs}
        inferred = [
            VectorConfigSpec(name=name, dimension=dimension)
            for name, dimension in sorted(self._documents.vector_dimensions(scope).items())
            if name not in known
        ]
        return namespace.model_copy(update=counts | {"vector_configs": [*namespace.vector_configs, *inferred]})

    def search(self, organization: Scope, query: Query) -> Listing[Namespace]:
        """Newest first unless asked otherwise."""
        return self._namespaces.search(organization, query)

    def scope(self, organization: Scope, ref: str | None) -> Scope:
        """The scope of a namespace. Without a reference: of the only one there is.

        Raises NotFound, and InvalidRequest where a reference is needed.
        """
        if ref:
            found = self._namespaces.find_one(organization, ref)
            if found is None:
                raise self._namespaces.not_found(organization, ref)
            return Scope(organization.organization_id, found.namespace_id)
        listing = self._namespaces.search(organization, Query(page=Page(limit=2)))
        if len(listing.items) != 1:
            raise InvalidRequest(
                "Which namespace? Send its id or name in the header X-Namespace.",
                hint="The header may be left out only while there is exactly one namespace.",
            )
        return Scope(organization.organization_id, listing.items[0].namespace_id)

    def change(self, organization: Scope, ref: str, body: PatchNamespace) -> Namespace:
        """Change what was sent; vector configs are added, a known one must agree.

        Raises NotFound, AlreadyExists, InvalidField.
        """
        own_id = self._namespaces.get(organization, ref).namespace_id
        name = None if body.namespace_name is None else _checked_name(body.namespace_name, own_id)
        self._check_vectors(body.vector_configs or [])

        def edit(newest: Namespace) -> Namespace:
            configs = {config.name: config for config in (*newest.vector_configs, *(body.vector_configs or []))}
            update = _sent(body) | {"vector_configs": [*configs.values()], "updated_at": self._now()}
            if name is not None and name != newest.namespace_name:
                if name != own_id:
                    self._check_free(organization, name)
                update["namespace_name"] = name
            return newest.model_copy(update=update)

        with self._store.transaction():
            changed = self._namespaces.change(organization, ref, edit, "namespace.change")
            self._declare(organization, changed)
        return self.get(organization, changed.namespace_id)

    def remove(self, organization: Scope, ref: str) -> Namespace:
        """Remove a namespace and everything inside. Raises NotFound.

        It is gone at one moment, with the row of the audit log; its runs lose their jobs then and stop at their next
        heartbeat. What a crash leaves of its files is removed by housekeeping.
        """
        with self._store.transaction():
            namespace = self._namespaces.get(organization, ref)
            scope = Scope(organization.organization_id, namespace.namespace_id)
            self._store.delete_scope(scope)
            self._remove_tasks(scope)
            self._namespaces.remove(organization, namespace.namespace_id, "namespace.delete")
            removal = self._removals.begin_namespace(organization, namespace.namespace_id)
        self._removals.finish(organization, removal)
        return namespace

    def _remove_tasks(self, scope: Scope) -> None:
        """Tasks belong to the organisation, so they do not go with the namespace by themselves."""
        here = Condition("additional_data.namespace_id", "eq", scope.namespace_id, case_sensitive=True)
        while found := self._store.find(scope.organization, "task", Query(filter=here, page=Page(limit=1000))).items:
            for task in found:
                self._store.delete(scope.organization, "task", task.id)

    def _declare(self, organization: Scope, namespace: Namespace) -> None:
        scope = Scope(organization.organization_id, namespace.namespace_id)
        for config in namespace.vector_configs:
            self._documents.declare_vector(scope, config.name, config.dimension)

    def _check_vectors(self, configs: list[VectorConfigSpec]) -> None:
        names = set()
        for i, config in enumerate(configs):
            if config.dimension > self._max_dimension:
                raise InvalidField(
                    f"vector_configs[{i}].dimension", f"must be at most {self._max_dimension}", value=config.dimension
                )
            if config.name in names:
                raise InvalidField(f"vector_configs[{i}].name", "occurs twice", value=config.name)
            names.add(config.name)

    def _check_free(self, organization: Scope, name: str) -> None:
        found = self._namespaces.find_one(organization, name)
        if found is not None:
            raise AlreadyExists("namespace", name, existing_id=found.namespace_id)

    def _count(self, scope: Scope, kind: Kind) -> int:
        return self._store.find(scope, kind, Query(page=Page(limit=1, include_total=True))).total


def _checked_name(name: str, own_id: str | None) -> str:
    """A namespace may be called by its own id, as the high-level client of the SDK calls it. Raises InvalidField."""
    if name == own_id and name not in _RESERVED:
        return name
    return check_name("namespace_name", name, "ns", shortest=3, reserved=_RESERVED)


def _sent(body: CreateNamespace | CreateStandaloneNamespace | PatchNamespace) -> dict[str, Any]:
    """The plain fields the caller wrote, and what is ignored of the rest; null means untouched, except that it clears
    the description."""
    values = {name: getattr(body, name) for name in _COPIED if name in body.model_fields_set}
    kept = {name: value for name, value in values.items() if value is not None or name == "description"}
    return kept | {"warnings": body.ignored()}
