"""Documents over the wire: one by one as JSON, many at once as Arrow."""

import builtins
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from shoal.client.sending import of_columns, of_file, of_table
from shoal.client.transport import Transport, given, parsed, segment
from shoal.files.layout import CLIENT
from shoal.files.made_ids import imported_before, made_for
from shoal.records.base import Record

__all__ = ["Documents", "Uploaded"]

Json: TypeAlias = dict[str, Any]
OnConflict = Literal["replace", "fail"]


class Uploaded(Record):
    """What an upload did. `vectors` maps names to dimensions."""

    inserted: int
    replaced: int
    vectors: dict[str, int]
    collection_id: str
    warnings: list[str]


class Documents:
    """`collection` is an id or a name everywhere. Documents are plain objects, since their fields are yours."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        collection: str,
        source: str | Path | Sequence[Path] | pa.Table | Mapping[str, object],
        *,
        vector_columns: Sequence[str] = (),
        id_column: str | None = None,
        format: str | None = None,
        delimiter: str | None = None,
        on_conflict: OnConflict = "replace",
    ) -> Uploaded:
        """Store all documents of a file, an Arrow table or a mapping of columns; or none, where one is wrong.

            client.documents.upload("reviews", {"document_id": ids, "text": texts, "embedding": vectors})

        A column with two axes is a vector. Raises InvalidField for what is wrong here, InvalidRequest with the
        server's words for what is wrong there, NotFound for the collection.
        """
        if isinstance(source, (str, Path, Sequence)):
            path = Path(source) if isinstance(source, (str, Path)) else [Path(one) for one in source]
            sent = of_file(path, vector_columns, id_column, format, delimiter)
        elif isinstance(source, pa.Table):
            sent = of_table(source, vector_columns, id_column)
        else:
            sent = of_columns(source, vector_columns, id_column)
        params = given(**sent.params, on_conflict=on_conflict)
        answer = self._transport.upload("POST", f"{_in(collection)}/import", sent.chunks, sent.media, params)
        done = parsed(Uploaded, answer)
        told = [*sent.warnings, *done.warnings]
        if sent.ids_made:
            again = done.replaced and not done.inserted
            told.append(imported_before(done.replaced) if again else made_for(CLIENT.id))
        return done.model_copy(update={"warnings": told})

    def create(
        self,
        collection: str,
        fields: Mapping[str, Any],
        *,
        vectors: Mapping[str, Sequence[float]] | None = None,
        document_id: str | None = None,
    ) -> Json:
        """One document. Raises InvalidRequest, AlreadyExists for the id."""
        body = {**fields, **given(vectors=vectors, document_id=document_id)}
        return self._json("POST", _in(collection), body)

    def get(self, collection: str, document_id: str, *, vectors: bool = False) -> Json:
        """Raises NotFound."""
        return self._json("GET", f"{_in(collection)}/{segment(document_id)}", params={"return_vectors": vectors})

    def list(
        self,
        collection: str,
        *,
        filters: Mapping[str, Any] | None = None,
        search: str | None = None,
        limit: int = 100,
        offset: int = 0,
        vectors: bool = False,
    ) -> list[Json]:
        """Documents by id."""
        body = given(filters=filters, search=search, limit=limit, offset=offset, return_vectors=vectors)
        results: list[Json] = self._json("POST", f"{_in(collection)}/list", body)["results"]
        return results

    def count(self, collection: str) -> int:
        """How many there are."""
        return int(self._json("GET", f"{_in(collection)}/count")["count"])

    def distinct(
        self, collection: str, field: str, *, filters: Mapping[str, Any] | None = None
    ) -> builtins.list[tuple[Any, int]]:
        """The values of a field and how often they occur, most frequent first."""
        body = given(field=field, filters=filters)
        values = self._json("POST", f"{_in(collection)}/distinct", body)["values"]
        return [(entry["value"], entry["count"]) for entry in values]

    def patch(self, collection: str, document_id: str, **fields: Any) -> Json:
        """Merge fields into a document. Raises NotFound."""
        return self._json("PATCH", f"{_in(collection)}/{segment(document_id)}", fields)

    def delete(self, collection: str, document_id: str) -> None:
        """Raises NotFound."""
        self._transport.call("DELETE", f"{_in(collection)}/{segment(document_id)}")

    def _json(self, method: str, path: str, body: object = None, *, params: Mapping[str, Any] | None = None) -> Json:
        answer: Json = self._transport.call(method, path, body, params=params)
        return answer


def _in(collection: str) -> str:
    return f"/collections/{segment(collection)}/documents"
