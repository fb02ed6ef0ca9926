"""Documents over the wire: one by one as JSON, many at once as Arrow."""

import builtins
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from shoal.client.transport import Transport, given, parsed, segment
from shoal.errors import InvalidField
from shoal.files import FileTable, open_source
from shoal.inputs import points_of
from shoal.records.base import Record

__all__ = ["Documents", "Uploaded"]

Json: TypeAlias = dict[str, Any]
OnConflict = Literal["replace", "fail"]
_ARROW: Final = "application/vnd.apache.arrow.stream"
_AS_THEY_ARE: Final[Mapping[str, str]] = {
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
}
_PIECE_BYTES: Final = 2**20
_ROWS: Final = 8192


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
        source: str | Path | pa.Table | Mapping[str, object],
        *,
        vector_columns: Sequence[str] = (),
        id_column: str | None = None,
        on_conflict: OnConflict = "replace",
    ) -> Uploaded:
        """Store all documents of a file, an Arrow table or a mapping of columns; or none, where one is wrong.

            client.documents.upload("reviews", {"document_id": ids, "text": texts, "embedding": vectors})

        A column with two axes is a vector. Raises InvalidField for what is wrong here, InvalidRequest with the
        server's words for what is wrong there, NotFound for the collection.
        """
        params = given(id_column=id_column, vector_column=list(vector_columns) or None, on_conflict=on_conflict)
        path = f"{_in(collection)}/import"
        if isinstance(source, (str, Path)):
            chunks, media = _of_file(Path(source), vector_columns, id_column)
        else:
            table, media = source if isinstance(source, pa.Table) else _table(source), _ARROW
            chunks = partial(_arrow, table)
        return parsed(Uploaded, self._transport.upload("POST", path, chunks, media, params))

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


def _of_file(
    path: Path, vector_columns: Sequence[str], id_column: str | None
) -> tuple[Callable[[], Iterator[bytes]], str]:
    """What the server reads is sent as it is; everything else is read here and sent as Arrow."""
    media = _AS_THEY_ARE.get(path.suffix.lower())
    source = open_source(path, vector_columns=list(vector_columns) or None, id_column=id_column, needs_vectors=False)
    if media is not None:
        return partial(_bytes, path), media
    return partial(_arrow, _of_table(source.read())), _ARROW


def _bytes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _of_table(read: FileTable) -> pa.Table:
    table = read.payload.append_column("document_id", pa.array(read.ids, pa.string()))
    for name, block in read.vectors.items():
        table = table.append_column(name, _vectors(block))
    return table


def _table(columns: Mapping[str, object]) -> pa.Table:
    """A mapping of columns as an Arrow table. Raises InvalidField where their lengths differ."""
    made = {name: _column(name, values) for name, values in columns.items()}
    lengths = {name: len(column) for name, column in made.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise InvalidField("source", f"has columns of different lengths: {told}")
    return pa.table(made)


def _column(name: str, values: object) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if np.ndim(values) == 2:  # type: ignore[arg-type]  # anything with axes is welcome
        return _vectors(points_of(values))
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidField(name, f"is no column ({error})") from None


def _vectors(block: np.ndarray[Any, np.dtype[np.float32]]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(block.ravel(), pa.float32()), block.shape[1])


def _arrow(table: pa.Table) -> Iterator[bytes]:
    """An Arrow stream, a piece per batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(_ROWS):
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()
