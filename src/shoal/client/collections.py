"""Collections over the wire."""

from collections.abc import Mapping
from typing import Any

from shoal.client.transport import Transport, given, segment
from shoal.records.collection import Collection

__all__ = ["Collections"]


class Collections:
    """`ref` is an id or a name everywhere."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, name: str, *, description: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Collection:
        """An empty collection for documents that bring their vectors. Raises AlreadyExists."""
        body = given(collection_name=name, source={"type": "direct_upsert"}, description=description, metadata=metadata)
        return self._transport.ask(Collection, "POST", "/collections", body)

    def get(self, ref: str) -> Collection:
        """Raises NotFound."""
        return self._transport.ask(Collection, "GET", f"/collections/{segment(ref)}")

    def list(self, *, search: str | None = None, limit: int = 100, offset: int = 0) -> list[Collection]:
        """Newest first."""
        params = {"limit": limit, "offset": offset}
        return self._transport.asks(Collection, "POST", "/collections/list", given(search=search), params=params)

    def patch(self, ref: str, **changes: object) -> Collection:
        """Change the fields that are given. Raises NotFound, AlreadyExists."""
        return self._transport.ask(Collection, "PATCH", f"/collections/{segment(ref)}", changes)

    def delete(self, ref: str) -> None:
        """Remove it with its documents. Raises NotFound."""
        self._transport.call("DELETE", f"/collections/{segment(ref)}")
