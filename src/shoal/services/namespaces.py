"""Namespaces: create, find, change, and delete them with everything in them."""

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
    """One method per operation of the API, in the scope of the organisation. `now` is UTC."""

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
        """Create a namespace. Raises AlreadyExists for an id or name that is taken, InvalidField."""
        return self._store.transact(self.creation(organization, body))

    def creation(self, organization: Scope, body: CreateNamespace) -> Callable[[Transaction], Namespace]:
        """Return the transaction body that creates a namespace; leftovers of an earlier one with its id are removed
        before. Raises AlreadyExists, InvalidField."""
        name = _check_namespace_name(body.namespace_name, body.namespace_id)
        return self._creation(organization, body.namespace_id or new_id("ns"), name, body.mode, body)

    def standalone_creation(
        self, organization: Scope, body: CreateStandaloneNamespace
    ) -> Callable[[Transaction], Namespace]:
        """As `creation`, for a standalone namespace."""
        if body.namespace_name is not None:
            name = _check_namespace_name(body.namespace_name, body.namespace_id)
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
        self._removals.finish_earlier_removals(organization, namespace_id)
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
            | _sent_fields(body)
        )

        def create(tx: Transaction) -> Namespace:
            namespaces = self._namespaces.within(tx)
            self._check_free(namespaces, organization, namespace_id, name)
            self._removals.check_no_earlier_removal(tx, organization, namespace_id)
            advance_access_clock(tx)
            # Documents need a recorded namespace, so vectors are declared after the commit; after a crash housekeeping
            # does it.
            tx.on_commit(lambda: self._declare_or_log(organization, namespace))
            return namespaces.add(organization, namespace, "namespace.create")

        return create

    def get(self, organization: Scope, ref: str) -> Namespace:
        """Return a namespace with counts and with the vector indexes that uploads added. Raises NotFound."""
        namespace = self._namespaces.get(organization, ref)
        scope = Scope(organization.organization_id, namespace.namespace_id)
        counts = {field: self._count(scope, kind) for field, kind in _COUNTS.items()}
        counts["document_count"] = sum(
            self._documents.count(scope, collection.storage_key) for collection in self._collections.all(scope)
        )
        declared = {config.name for config in namespace.vector_configs}
        inferred = [
            VectorConfigSpec(name=name, dimension=dimension)
            for name, dimension in sorted(self._documents.vector_dimensions(scope).items())
            if name not in declared
        ]
        return namespace.with_changes(**(counts | {"vector_configs": [*namespace.vector_configs, *inferred]}))

    def search(self, organization: Scope, query: Query) -> Listing[Namespace]:
        """Newest first unless asked otherwise."""
        return self._namespaces.search(organization, query)

    def scope(self, organization: Scope, ref: str | None) -> Scope:
        """Return the scope of a namespace; without a reference, of the only one.

        Raises NotFound, and InvalidRequest where a reference is required.
        """
        if ref:
            existing = self._namespaces.find_one(organization, ref)
            if existing is None:
                raise self._namespaces.not_found(organization, ref)
            return Scope(organization.organization_id, existing.namespace_id)
        listing = self._namespaces.search(organization, Query(page=Page(limit=2)))
        if len(listing.items) != 1:
            raise InvalidRequest(
                "Which namespace? Send its id or name in the header X-Namespace.",
                hint="The header may be left out only while there is exactly one namespace.",
            )
        return Scope(organization.organization_id, listing.items[0].namespace_id)

    def change(self, organization: Scope, ref: str, body: PatchNamespace) -> Namespace:
        """Change the fields that were sent; vector configs are added, and must agree with existing ones.

        Raises NotFound, AlreadyExists, InvalidField.
        """
        current = self._namespaces.get(organization, ref)
        own_id = current.namespace_id
        name = None if body.namespace_name is None else _check_namespace_name(body.namespace_name, own_id)
        self._check_vectors(body.vector_configs or [])

        def edit(newest: Namespace) -> Namespace:
            configs = {config.name: config for config in (*newest.vector_configs, *(body.vector_configs or []))}
            update = _sent_fields(body) | {"vector_configs": [*configs.values()], "updated_at": self._now()}
            if name is not None and name != newest.namespace_name:
                update["namespace_name"] = name
            return newest.with_changes(**update)

        def change(tx: Transaction) -> Namespace:
            namespaces = self._namespaces.within(tx)
            if name is not None and name not in (own_id, namespaces.get(organization, own_id).namespace_name):
                self._check_free(namespaces, organization, name)
            advance_access_clock(tx)
            return namespaces.change(organization, own_id, edit, "namespace.change")

        if body.vector_configs and name is not None and name not in (own_id, current.namespace_name):
            self._check_free(self._namespaces, organization, name)
        self.declare(organization, current.with_changes(vector_configs=body.vector_configs or []))
        self._store.transact(change)
        return self.get(organization, own_id)

    def remove(self, organization: Scope, ref: str) -> Namespace:
        """Delete a namespace and everything in it. Raises NotFound.

        The records disappear atomically, with a row in the audit log; active runs lose their jobs and stop at their
        next heartbeat. Housekeeping removes files that a crash leaves behind.
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
        """Declare the vectors of a namespace that are not declared yet. Raises InvalidField."""
        if not namespace.vector_configs:
            return
        scope = Scope(organization.organization_id, namespace.namespace_id)
        current = self._documents.vector_dimensions(scope)
        for config in namespace.vector_configs:
            if current.get(config.name) != config.dimension:
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
        """Raise AlreadyExists where a reference is the id or name of a namespace: ids take precedence, so one equal to
        a name would shadow it."""
        for ref in dict.fromkeys(refs):
            existing = namespaces.find_one(organization, ref)
            if existing is not None:
                raise AlreadyExists("namespace", ref, existing_id=existing.namespace_id)

    def _count(self, scope: Scope, kind: Kind) -> int:
        return self._store.find(scope, kind, Query(page=Page(limit=1, include_total=True))).total


def _remove_tasks(tx: Transaction, scope: Scope) -> None:
    """Delete the tasks of a namespace, which belong to the organisation and not to its scope."""
    here = Condition("additional_data.namespace_id", "eq", scope.namespace_id, case_sensitive=True)
    while existing := tx.find(scope.organization, "task", Query(filter=here, page=Page(limit=1000))).items:
        for task in existing:
            tx.delete(scope.organization, "task", task.id)


def _check_namespace_name(name: str, own_id: str | None) -> str:
    """Return a valid name. It may equal the namespace's own id, as in the SDK's high-level client. Raises
    InvalidField."""
    if name == own_id and name not in _RESERVED:
        return name
    return check_name("namespace_name", name, "ns", shortest=3, reserved=_RESERVED)


def _sent_fields(body: CreateNamespace | CreateStandaloneNamespace | PatchNamespace) -> dict[str, Any]:
    """Return the plain fields that were sent, and warnings about ignored ones; null leaves a field unchanged, except
    that it clears the description."""
    values = {name: getattr(body, name) for name in _COPIED if name in body.model_fields_set}
    fields = {name: value for name, value in values.items() if value is not None or name == "description"}
    return fields | {"warnings": body.describe_ignored()}
