"""Collections over the wire."""

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.client.transport import Transport, drop_none, path_segment
from shoal.records.collection import Collection
from shoal.records.text_encoding import name_extractor

__all__ = ["Collections"]


class Collections:
    """Collections of documents; reached as `client.collections`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        *,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        encoder: str | None = None,
        text: Sequence[str] | None = None,
    ) -> Collection:
        """Create an empty collection for documents that bring their vectors, or whose texts are encoded.

        Parameters
        ----------
        name : str
            3 to 100 characters, unique in the namespace.
        description : str, optional
            What the collection is for.
        metadata : mapping, optional
            Any JSON object; Shoal keeps it as it is.
        encoder : str, optional
            What encodes the texts of documents that come without vectors: "static", "corpus", or another URI that the
            operator of the server permits.
        text : sequence of str, optional
            The fields to encode. None takes the usual ones, such as `title` and `text`. Only with `encoder`.

        Returns
        -------
        Collection
            The new collection.

        Raises
        ------
        AlreadyExists
            The name is taken.
        InvalidField
            The name is not allowed.
        """
        body = drop_none(
            collection_name=name,
            source={"type": "direct_upsert"},
            description=description,
            metadata=metadata,
            feature_extractor=None if encoder is None else name_extractor(encoder, text or ()),
        )
        return self._transport.request_record(Collection, "POST", "/collections", body)

    def get(self, ref: str) -> Collection:
        """Fetch one collection.

        Parameters
        ----------
        ref : str
            Id or name of the collection.

        Returns
        -------
        Collection

        Raises
        ------
        NotFound
            No such collection.
        """
        return self._transport.request_record(Collection, "GET", f"/collections/{path_segment(ref)}")

    def list(self, *, search: str | None = None, limit: int = 100, offset: int = 0) -> list[Collection]:
        """List collections, newest first.

        Parameters
        ----------
        search : str, optional
            Return only those whose id, name or description contains this text, in any case.
        limit : int, default 100
            Most items to return, 1 to 1,000.
        offset : int, default 0
            Items to skip, at most 10,000.

        Returns
        -------
        list of Collection
        """
        params = {"limit": limit, "offset": offset}
        return self._transport.request_records(
            Collection, "POST", "/collections/list", drop_none(search=search), params=params
        )

    def patch(self, ref: str, **changes: object) -> Collection:
        """Change the given fields and leave the others alone.

        Parameters
        ----------
        ref : str
            Id or name of the collection.
        **changes
            Fields by the names of the wire, such as `description` and `metadata`.

        Returns
        -------
        Collection
            The collection after the change.

        Raises
        ------
        NotFound
            No such collection.
        AlreadyExists
            The new name is taken.
        """
        return self._transport.request_record(Collection, "PATCH", f"/collections/{path_segment(ref)}", changes)

    def delete(self, ref: str) -> None:
        """Delete a collection with its documents.

        Parameters
        ----------
        ref : str
            Id or name of the collection.

        Raises
        ------
        NotFound
            No such collection.
        """
        self._transport.call("DELETE", f"/collections/{path_segment(ref)}")
