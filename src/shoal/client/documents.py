"""Documents over the wire: one by one as JSON, many at once as Arrow."""

import builtins
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from shoal.client.transport import Transport, drop_none, parse_record, path_segment
from shoal.client.upload_body import UploadBody, build_file_body, build_frame_body
from shoal.errors import InvalidField
from shoal.files.ids.generated import note_already_imported, note_generated
from shoal.files.layout import CLIENT
from shoal.files.paths.addresses import parse_place
from shoal.library.input.frames import read_frame
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
    """Documents of a collection, as plain dictionaries, since their fields are yours; reached as `client.documents`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        collection: str,
        source: object,
        *,
        vector_columns: Sequence[str] = (),
        id_column: str | None = None,
        format: str | None = None,
        delimiter: str | None = None,
        on_conflict: OnConflict = "replace",
    ) -> Uploaded:
        """Store all documents of a file or a table, or none if one of them is wrong.

        Parameters
        ----------
        collection : str
            Id or name of the collection.
        source : path, sequence of paths, or table
            A file as `shoal.cluster` reads it, or a table: a data frame of pandas or polars, an Arrow table, columns
            by name (one with two axes is a vector), or a list of records. A named index of pandas is a column.
        vector_columns : sequence of str, default ()
            Columns that hold vectors; empty detects them.
        id_column : str, optional
            Column that holds the ids; None detects it.
        format : str, optional
            Format of a file; None goes by its name and first lines.
        delimiter : str, optional
            Delimiter of a CSV file; None detects it.
        on_conflict : {"replace", "fail"}, default "replace"
            What to do with a document whose id exists.

        Returns
        -------
        Uploaded
            Numbers of inserted and replaced documents, dimensions of the vectors by name, and warnings.

        Raises
        ------
        InvalidField
            The source cannot be read or its columns do not fit.
        InvalidRequest
            The server refused a document; the message is the server's.
        NotFound
            No such collection.

        Examples
        --------
        ::

            client.documents.upload("reviews", "reviews.parquet")
            client.documents.upload("reviews", df, vector_columns=["embedding"])
            client.documents.upload("reviews", {"document_id": ids, "text": texts, "embedding": vectors})
        """
        body = _prepare_upload(source, vector_columns, id_column, format, delimiter)
        params = drop_none(**body.params, on_conflict=on_conflict)
        answer = self._transport.upload(
            "POST", f"{_documents_path(collection)}/import", body.chunks, body.media, params
        )
        done = parse_record(Uploaded, answer)
        warnings = [*body.warnings, *done.warnings]
        if body.generated_ids:
            already_imported = done.replaced and not done.inserted
            warnings.append(note_already_imported(done.replaced) if already_imported else note_generated(CLIENT.id))
        return done.with_changes(warnings=warnings)

    def create(
        self,
        collection: str,
        fields: Mapping[str, Any],
        *,
        vectors: Mapping[str, Sequence[float]] | None = None,
        document_id: str | None = None,
    ) -> Json:
        """Create one document.

        Parameters
        ----------
        collection : str
            Id or name of the collection.
        fields : mapping
            The document's own fields.
        vectors : mapping of str to sequence of float, optional
            Its vectors by name.
        document_id : str, optional
            Its id; None lets the server make one.

        Returns
        -------
        dict
            The document as stored.

        Raises
        ------
        InvalidRequest
            A field or a vector is wrong.
        AlreadyExists
            The id is taken.
        """
        body = {**fields, **drop_none(vectors=vectors, document_id=document_id)}
        return self._call_json("POST", _documents_path(collection), body)

    def get(self, collection: str, document_id: str, *, vectors: bool = False) -> Json:
        """Fetch one document.

        Parameters
        ----------
        collection : str
            Id or name of the collection.
        document_id : str
            Id of the document.
        vectors : bool, default False
            Include the vectors.

        Returns
        -------
        dict

        Raises
        ------
        NotFound
            No such document.
        """
        return self._call_json(
            "GET", f"{_documents_path(collection)}/{path_segment(document_id)}", params={"return_vectors": vectors}
        )

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
        """List documents by id.

        Parameters
        ----------
        collection : str
            Id or name of the collection.
        filters : mapping, optional
            Filter in the language of the API, such as `{"lang": "en"}`.
        search : str, optional
            Return only documents that contain this text.
        limit : int, default 100
            Most items to return, 1 to 1,000.
        offset : int, default 0
            Items to skip, at most 10,000.
        vectors : bool, default False
            Include the vectors.

        Returns
        -------
        list of dict

        Raises
        ------
        NotFound
            No such collection.
        InvalidRequest
            The filter is wrong.
        """
        body = drop_none(filters=filters, search=search, limit=limit, offset=offset, return_vectors=vectors)
        results: list[Json] = self._call_json("POST", f"{_documents_path(collection)}/list", body)["results"]
        return results

    def count(self, collection: str) -> int:
        """Count the documents of a collection.

        Parameters
        ----------
        collection : str
            Id or name of the collection.

        Returns
        -------
        int

        Raises
        ------
        NotFound
            No such collection.
        """
        return int(self._call_json("GET", f"{_documents_path(collection)}/count")["count"])

    def distinct(
        self, collection: str, field: str, *, filters: Mapping[str, Any] | None = None
    ) -> builtins.list[tuple[Any, int]]:
        """Count the values of a field.

        Parameters
        ----------
        collection : str
            Id or name of the collection.
        field : str
            Name of the field; dots lead into objects.
        filters : mapping, optional
            Filter in the language of the API, such as `{"lang": "en"}`.

        Returns
        -------
        list of (value, count)
            Most frequent value first.

        Raises
        ------
        NotFound
            No such collection.
        InvalidRequest
            The filter is wrong.
        """
        body = drop_none(field=field, filters=filters)
        values = self._call_json("POST", f"{_documents_path(collection)}/distinct", body)["values"]
        return [(entry["value"], entry["count"]) for entry in values]

    def patch(self, collection: str, document_id: str, **fields: Any) -> Json:
        """Merge fields into a document.

        Parameters
        ----------
        collection : str
            Id or name of the collection.
        document_id : str
            Id of the document.
        **fields
            The fields to set; others stay.

        Returns
        -------
        dict
            The document after the change.

        Raises
        ------
        NotFound
            No such document.
        """
        return self._call_json("PATCH", f"{_documents_path(collection)}/{path_segment(document_id)}", fields)

    def delete(self, collection: str, document_id: str) -> None:
        """Delete one document.

        Parameters
        ----------
        collection : str
            Id or name of the collection.
        document_id : str
            Id of the document.

        Raises
        ------
        NotFound
            No such document.
        """
        self._transport.call("DELETE", f"{_documents_path(collection)}/{path_segment(document_id)}")

    def _call_json(
        self, method: str, path: str, body: object = None, *, params: Mapping[str, Any] | None = None
    ) -> Json:
        answer: Json = self._transport.call(method, path, body, params=params)
        return answer


def _prepare_upload(
    source: object, vector_columns: Sequence[str], id_column: str | None, format: str | None, delimiter: str | None
) -> UploadBody:
    if isinstance(source, (str, Path)):
        return build_file_body(_check_local(source), vector_columns, id_column, format, delimiter)
    if isinstance(source, Sequence) and source and all(isinstance(path, (str, Path)) for path in source):
        return build_file_body([_check_local(path) for path in source], vector_columns, id_column, format, delimiter)
    frame = read_frame(source, "source")
    if frame is None:
        problem = f"must be a file, a table or columns by name, not a {type(source).__name__}"
        raise InvalidField("source", problem, remedy='Such as {"document_id": ids, "embedding": vectors}.')
    return build_frame_body(frame, vector_columns, id_column)


def _check_local(source: str | Path) -> Path:
    place = parse_place(source)
    if isinstance(place, Path):
        return place
    remedy = "Fetch it first, or use shoal import, which does."
    raise InvalidField(place.name, "lies elsewhere, and uploads are files of this machine", remedy=remedy)


def _documents_path(collection: str) -> str:
    return f"/collections/{path_segment(collection)}/documents"
