"""Namespaces over the wire."""

from collections.abc import Mapping
from typing import Any

from shoal.client.transport import Transport, given, segment
from shoal.records.namespace import Namespace

__all__ = ["Namespaces"]


class Namespaces:
    """`ref` is an id or a name everywhere."""

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
        """A namespace for own vectors; `vectors` maps names to dimensions, others are learned from the first upload.

        Raises AlreadyExists.
        """
        configs = [{"name": vector, "dimension": dimension} for vector, dimension in (vectors or {}).items()]
        body = given(
            namespace_name=name,
            mode="standalone",
            vector_configs=configs or None,
            description=description,
            metadata=metadata,
        )
        return self._transport.ask(Namespace, "POST", "/namespaces", body)

    def get(self, ref: str) -> Namespace:
        """Raises NotFound."""
        return self._transport.ask(Namespace, "GET", f"/namespaces/{segment(ref)}")

    def list(self, *, limit: int = 100, offset: int = 0) -> list[Namespace]:
        """Newest first."""
        return self._transport.asks(Namespace, "GET", "/namespaces", params={"limit": limit, "offset": offset})

    def patch(self, ref: str, **changes: object) -> Namespace:
        """Change the fields that are given. Raises NotFound, AlreadyExists."""
        return self._transport.ask(Namespace, "PATCH", f"/namespaces/{segment(ref)}", changes)

    def delete(self, ref: str) -> None:
        """Remove it with everything inside. Raises NotFound."""
        self._transport.call("DELETE", f"/namespaces/{segment(ref)}")
