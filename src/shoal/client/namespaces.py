"""Namespaces over the wire."""

from collections.abc import Mapping
from typing import Any

from shoal.client.transport import Transport, drop_none, path_segment
from shoal.records.namespace import Namespace

__all__ = ["Namespaces"]


class Namespaces:
    """Namespaces, which keep tenants or projects apart; reached as `client.namespaces`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        *,
        vectors: Mapping[str, int] | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Namespace:
        """Create a namespace for documents that bring their vectors.

        Parameters
        ----------
        name : str
            3 to 64 characters.
        vectors : mapping of str to int, optional
            Dimension of each vector by name. Others are learned from the first upload.
        description : str, optional
            What the namespace is for.
        metadata : mapping, optional
            Any JSON object; Shoal keeps it as it is.

        Returns
        -------
        Namespace
            The new namespace.

        Raises
        ------
        AlreadyExists
            The name is taken.
        """
        configs = [{"name": vector, "dimension": dimension} for vector, dimension in (vectors or {}).items()]
        body = drop_none(
            namespace_name=name,
            mode="standalone",
            vector_configs=configs or None,
            description=description,
            metadata=metadata,
        )
        return self._transport.request_record(Namespace, "POST", "/namespaces", body)

    def get(self, ref: str) -> Namespace:
        """Fetch one namespace.

        Parameters
        ----------
        ref : str
            Id or name of the namespace.

        Returns
        -------
        Namespace

        Raises
        ------
        NotFound
            No such namespace.
        """
        return self._transport.request_record(Namespace, "GET", f"/namespaces/{path_segment(ref)}")

    def list(self, *, limit: int = 100, offset: int = 0) -> list[Namespace]:
        """List namespaces, newest first.

        Parameters
        ----------
        limit : int, default 100
            Most items to return, 1 to 1,000.
        offset : int, default 0
            Items to skip, at most 10,000.

        Returns
        -------
        list of Namespace
        """
        return self._transport.request_records(
            Namespace, "GET", "/namespaces", params={"limit": limit, "offset": offset}
        )

    def patch(self, ref: str, **changes: object) -> Namespace:
        """Change the given fields and leave the others alone.

        Parameters
        ----------
        ref : str
            Id or name of the namespace.
        **changes
            Fields by the names of the wire, such as `description` and `metadata`.

        Returns
        -------
        Namespace
            The namespace after the change.

        Raises
        ------
        NotFound
            No such namespace.
        AlreadyExists
            The new name is taken.
        """
        return self._transport.request_record(Namespace, "PATCH", f"/namespaces/{path_segment(ref)}", changes)

    def delete(self, ref: str) -> None:
        """Delete a namespace with everything in it.

        Parameters
        ----------
        ref : str
            Id or name of the namespace.

        Raises
        ------
        NotFound
            No such namespace.
        """
        self._transport.call("DELETE", f"/namespaces/{path_segment(ref)}")
