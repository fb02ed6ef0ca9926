"""Namespaces: made, found by id or name, described, changed, and removed with everything inside."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shoal.errors import AlreadyExists, InvalidField, InvalidRequest, ShoalError
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
from shoal.repositories.access_clock import advance_access_clock
from shoal.repositories.repository import Repository, RepositoryReads
from shoal.services.removals import Removals
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.records import Kind, Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Namespaces"]

_log = logging.getLogger("shoal.namespaces")
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
        store: RecordStore,
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
        return self._store.transact(self.creation(organization, body))

    def creation(self, organization: Scope, body: CreateNamespace) -> Callable[[Transaction], Namespace]:
        """The body of the transaction that creates a namespace; what is left of an earlier one with its id goes before.
        Raises AlreadyExists, InvalidField."""
        name = _checked_name(body.namespace_name, body.namespace_id)
        return self._creation(organization, body.namespace_id or new_id("ns"), name, body.mode, body)

    def standalone_creation(
        self, organization: Scope, body: CreateStandaloneNamespace
    ) -> Callable[[Transaction], Namespace]:
        """As `creation`, for a namespace for own vectors."""
        if body.namespace_name is not None:
            name = _checked_name(body.namespace_name, body.namespace_id)
        elif body.namespace_id is not None:
            name = body.namespace_id[:_LONGEST_NAME]
        else:
            raise InvalidField("namespace_name", "is required", remedy="Send namespace_name or namespace_id.")
        return self._creation(organization, body.namespace_id or new_id("ns"), name, "standalone", body)

    def _creation(
        self,
        organization: Scope,
        namespace_id: str,
        name: str,
        mode: str,
        body: CreateNamespace | CreateStandaloneNamespace,
    ) -> Callable[[Transaction], Namespace]:
        configs = body.vector_configs or []
        self._check_vectors(configs)
        self._check_free(self._namespaces, organization, namespace_id, name)
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

        def create(tx: Transaction) -> Namespace:
            namespaces = self._namespaces.within(tx)
            self._check_free(namespaces, organization, namespace_id, name)
            self._removals.check_way(tx, organization, namespace_id)
            advance_access_clock(tx)
            # Documents are only stored in a namespace that is on record; what a crash leaves undone, housekeeping does.
            tx.on_commit(lambda: self._declare_or_log(organization, namespace))
            return namespaces.add(organization, namespace, "namespace.create")

        return create

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
        return namespace.with_changes(**(counts | {"vector_configs": [*namespace.vector_configs, *inferred]}))

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
        known = self._namespaces.get(organization, ref)
        own_id = known.namespace_id
        name = None if body.namespace_name is None else _checked_name(body.namespace_name, own_id)
        self._check_vectors(body.vector_configs or [])

        def edit(newest: Namespace) -> Namespace:
            configs = {config.name: config for config in (*newest.vector_configs, *(body.vector_configs or []))}
            update = _sent(body) | {"vector_configs": [*configs.values()], "updated_at": self._now()}
            if name is not None and name != newest.namespace_name:
                update["namespace_name"] = name
            return newest.with_changes(**update)

        def change(tx: Transaction) -> Namespace:
            namespaces = self._namespaces.within(tx)
            if name is not None and name not in (own_id, namespaces.get(organization, own_id).namespace_name):
                self._check_free(namespaces, organization, name)
            advance_access_clock(tx)
            return namespaces.change(organization, own_id, edit, "namespace.change")

        if body.vector_configs and name is not None and name not in (own_id, known.namespace_name):
            self._check_free(self._namespaces, organization, name)
        self.declare(organization, known.with_changes(vector_configs=body.vector_configs or []))
        self._store.transact(change)
        return self.get(organization, own_id)

    def remove(self, organization: Scope, ref: str) -> Namespace:
        """Remove a namespace and everything inside. Raises NotFound.

        It is gone at one moment, with the row of the audit log; its runs lose their jobs then and stop at their next
        heartbeat. What a crash leaves of its files is removed by housekeeping.
        """
        namespace = self._namespaces.get(organization, ref)
        scope = Scope(organization.organization_id, namespace.namespace_id)
        removal = self._removals.of_namespace(namespace.namespace_id)

        def remove(tx: Transaction) -> None:
            namespaces = self._namespaces.within(tx)
            if not namespaces.remove(organization, namespace.namespace_id, "namespace.delete"):
                raise namespaces.not_found(organization, ref)
            tx.delete_scope(scope)
            _remove_tasks(tx, scope)
            self._removals.begin(tx, organization, removal)
            advance_access_clock(tx)

        self._store.transact(remove)
        self._removals.finish(organization, removal)
        return namespace

    def _declare_or_log(self, organization: Scope, namespace: Namespace) -> None:
        """Declare the vectors of a namespace that is on record already, so that a failure is not the caller's."""
        try:
            self.declare(organization, namespace)
        except ShoalError as error:
            _log.warning("namespace.not_declared", extra={"id": namespace.namespace_id, "cause": error.message})

    def declare(self, organization: Scope, namespace: Namespace) -> None:
        """Declare the vectors that a namespace names, as far as that was not done. Raises InvalidField."""
        if not namespace.vector_configs:
            return
        scope = Scope(organization.organization_id, namespace.namespace_id)
        known = self._documents.vector_dimensions(scope)
        for config in namespace.vector_configs:
            if known.get(config.name) != config.dimension:
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

    def _check_free(self, namespaces: RepositoryReads[Namespace], organization: Scope, *refs: str) -> None:
        """An id that equals the name of another would shadow it, since ids win; so would a name be shadowed by an id.
        Raises AlreadyExists."""
        for ref in dict.fromkeys(refs):
            found = namespaces.find_one(organization, ref)
            if found is not None:
                raise AlreadyExists("namespace", ref, existing_id=found.namespace_id)

    def _count(self, scope: Scope, kind: Kind) -> int:
        return self._store.find(scope, kind, Query(page=Page(limit=1, include_total=True))).total


def _remove_tasks(tx: Transaction, scope: Scope) -> None:
    """Tasks belong to the organisation, so they do not go with the namespace by themselves."""
    here = Condition("additional_data.namespace_id", "eq", scope.namespace_id, case_sensitive=True)
    while found := tx.find(scope.organization, "task", Query(filter=here, page=Page(limit=1000))).items:
        for task in found:
            tx.delete(scope.organization, "task", task.id)


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
    return kept | {"warnings": body.describe_ignored()}
