"""`shoal.Client`: one server, one key, one namespace."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from shoal.client.clusters import Clusters, Executions
from shoal.client.collections import Collections
from shoal.client.documents import Documents
from shoal.client.local_key import LocalKey
from shoal.client.namespaces import Namespaces
from shoal.client.tasks import Tasks
from shoal.client.transport import Transport
from shoal.errors import InvalidField, Unavailable
from shoal.records.organization import Me

__all__ = ["Client"]


class Client:
    """Everything a server offers, as records; errors are Shoal's own, with the server's words.

        with Client("http://127.0.0.1:8000", namespace="shop") as client:
            client.clusters.execute("reviews").wait()

    Without `api_key` the environment's SHOAL_API_KEY is used and then, for a server on this machine only, the key that
    `shoal serve` keeps in its data folder; one that is just starting (`shoal serve &`) is waited for up to 10 seconds.
    Without `namespace` the server takes the only one there is.

    `timeout_s` bounds the wait for an answer. A server that answered once and refuses connections now is tried for
    `restart_s` seconds, since it is probably starting again; 0 gives up at once.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        namespace: str | None = None,
        *,
        timeout_s: float = 60.0,
        restart_s: float = 60.0,
    ) -> None:
        address = _versioned(base_url)
        key = api_key or os.environ.get("SHOAL_API_KEY")
        local_key = None if key else LocalKey.of(address)
        self._transport = Transport(address, key, namespace, timeout_s, restart_s, local_key)
        self.namespaces = Namespaces(self._transport)
        self.collections = Collections(self._transport)
        self.documents = Documents(self._transport)
        self.clusters = Clusters(self._transport)
        self.executions = Executions(self._transport)
        self.tasks = Tasks(self._transport)

    @property
    def base_url(self) -> str:
        """Where the routes start, with the version."""
        return self._transport.base_url

    def health(self) -> Mapping[str, Any]:
        """Whether every part of the server answers; needs no key."""
        answer: Mapping[str, Any] = self._transport.call("GET", "/health")
        return answer

    def me(self) -> Me:
        """The organisation and the key in use. Raises Unauthorized."""
        return self._transport.ask(Me, "GET", "/me")

    def repeating(self, given_up: Unavailable | str) -> AbstractContextManager[None]:
        """Find out what became of a call that gave up: the first write within the block goes under its idempotency key
        (of the error, or the key itself). It is done then, or answered as it was done before; never twice.

            except shoal.errors.Unavailable as error:
                with client.repeating(error):
                    client.documents.upload("reviews", "reviews.parquet")

        Raises InvalidField where the error has no key, because nothing can have been done.
        """
        key = given_up if isinstance(given_up, str) else given_up.details.get("idempotency_key")
        if not isinstance(key, str):
            raise InvalidField(
                "given_up", "has no idempotency key: the request never went out", remedy="Just call again."
            )
        return self._transport.under_key(key)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _versioned(base_url: str) -> str:
    """The address with `/v1`, whether it was given or not. Raises InvalidField."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidField(
            "base_url", "must be an http address", value=base_url, remedy="Such as http://127.0.0.1:8000"
        )
    address = base_url.rstrip("/")
    return address if address.endswith("/v1") else f"{address}/v1"
