"""Reading the documents of namespaces on local disk: each call sees one snapshot."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from shoal.columns import Matrix
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import StoredDocument
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite.documents.namespaces import Namespaces
from shoal.storage.sqlite.documents.rows import missing_file, snapshot
from shoal.storage.sqlite.documents.view import Made, Names, View
from shoal.storage.sqlite.documents.written import Written

__all__ = ["SqliteReads"]

Answer = TypeVar("Answer")

_TRIES: Final = 5


class SqliteReads:
    """The reads of a document store over its open namespaces."""

    _namespaces: Namespaces

    def get(
        self, scope: Scope, collection: str, ids: Sequence[str], *, vectors: Names = ()
    ) -> list[StoredDocument | None]:
        """See DocumentStore."""
        nothing: list[StoredDocument | None] = [None] * len(ids)
        return self._read(scope, lambda view: view.get(collection, ids, vectors), nothing)

    def find(self, scope: Scope, collection: str, query: Query, *, vectors: Names = ()) -> Listing[StoredDocument]:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.find(collection, query, vectors), Listing([], 0, False))

    def count(self, scope: Scope, collection: str, filter: Filter = MATCH_ALL) -> int:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.count([collection], filter), 0)

    def distinct(
        self, scope: Scope, collection: str, field: str, filter: Filter, limit: int
    ) -> tuple[list[tuple[Any, int]], int]:
        """See DocumentStore.

        Absent fields and nulls are not values; 1 and 1.0 are equal; a value that occurs twice in a list counts once.
        Equally frequent values are in the order booleans, numbers, lists and objects, text.
        """
        nothing: tuple[list[tuple[Any, int]], int] = [], 0
        return self._read(scope, lambda view: view.distinct(collection, field, filter, limit), nothing)

    def load_matrix(
        self,
        scope: Scope,
        collections: Sequence[str],
        vector_names: Sequence[str],
        *,
        filter: Filter = MATCH_ALL,
        sample: int | None = None,
        seed: int = 42,
    ) -> Matrix:
        """See DocumentStore. Memory-mapped blocks are read-only."""
        nothing = Matrix([], [], {name: np.empty((0, 0), dtype=np.float32) for name in vector_names})
        return self._read(scope, lambda view: view.matrix(collections, vector_names, filter, sample, seed), nothing)

    def load_ids_with_vector(self, scope: Scope, collection: str, name: str) -> list[str]:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.ids_with_vector(collection, name), [])

    def load_fields(
        self, scope: Scope, collections: Sequence[str], fields: Sequence[str], *, filter: Filter = MATCH_ALL
    ) -> tuple[list[str], list[str], list[list[Any]]]:
        """See DocumentStore. Includes documents without vectors."""
        nothing: tuple[list[str], list[str], list[list[Any]]] = [], [], [[] for _ in fields]
        return self._read(scope, lambda view: view.fields(collections, fields, filter), nothing)

    def load_made(
        self,
        scope: Scope,
        collections: Sequence[str],
        fields: Sequence[str],
        make: Callable[[Sequence[Any]], Made],
        *,
        filter: Filter = MATCH_ALL,
    ) -> tuple[list[str], list[str], list[Made]]:
        """See DocumentStore."""
        nothing: tuple[list[str], list[str], list[Made]] = [], [], []
        return self._read(scope, lambda view: view.make_values(collections, fields, make, filter), nothing)

    def each_fields(
        self,
        scope: Scope,
        collection: str,
        fields: Sequence[str],
        take: Callable[[int, Sequence[Sequence[Any]]], None],
        *,
        filter: Filter = MATCH_ALL,
    ) -> None:
        """See DocumentStore."""
        self._read(scope, lambda view: view.each_fields(collection, fields, filter, take), None)

    def vector_dimensions(self, scope: Scope) -> Mapping[str, int]:
        """See DocumentStore."""
        return self._read(scope, lambda view: {s.name: s.dimension for s in view.slots.spaces().values()}, {})

    def result_fields(self, scope: Scope, collections: Sequence[str]) -> frozenset[str]:
        """See DocumentStore."""
        return self._read(scope, lambda view: Written(view.connection).result_fields(collections), frozenset())

    def generations(self, scope: Scope, collection_id: str) -> list[str]:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.generations(collection_id), [])

    def list_generated_collections(self, scope: Scope) -> list[str]:
        """See DocumentStore."""
        return self._read(scope, lambda view: view.list_generated_collections(), [])

    def _read(self, scope: Scope, ask: Callable[[View], Answer], nothing: Answer) -> Answer:
        """Read one snapshot of the namespace; return `nothing` if it does not exist."""
        tries = 0
        while True:
            with self._namespaces.open_existing(scope) as namespace:
                if namespace is None:
                    return nothing
                try:
                    with snapshot(namespace.database.read()) as connection:
                        return ask(View(connection, namespace.files, scope))
                except FileNotFoundError as error:
                    # Compacted or dropped between reading rows and mapping the file: the next attempt sees new rows.
                    tries += 1
                    if tries == _TRIES:
                        raise missing_file(error) from error
