"""`shoal.Client`: one server, one key, one namespace."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from shoal.client.clusters import Clusters
from shoal.client.collections import Collections
from shoal.client.documents import Documents
from shoal.client.executions import Executions
from shoal.client.local_key import LocalKey
from shoal.client.namespaces import Namespaces
from shoal.client.tasks import Tasks
from shoal.client.transport import Transport
from shoal.errors import InvalidField, Unavailable
from shoal.records.organization import Me

__all__ = ["Client"]


class Client:
    """Client of a Shoal server: one server, one key, one namespace.

    Answers are typed records; errors are those of `shoal.errors`, with the server's words. A client is safe to use
    from several threads, closes its connections in `close`, and works in a `with` block.

    Parameters
    ----------
    base_url : str, default "http://127.0.0.1:8000"
        Address of the server, with or without `/v1`.
    api_key : str, optional
        Key to send. None takes SHOAL_API_KEY from the environment and then, for a server on this machine, the key
        that `shoal serve` keeps in its data folder; a server that is just starting is waited for up to 10 seconds.
    namespace : str, optional
        Id or name. None lets the server take the only one there is.
    timeout_s : float, default 60.0
        Seconds to wait for an answer.
    restart_s : float, default 60.0
        Seconds to keep trying a server that answered before and now refuses connections, as it does during a restart;
        0 gives up at once.

    Attributes
    ----------
    namespaces : Namespaces
    collections : Collections
    documents : Documents
    clusters : Clusters
    executions : Executions
    tasks : Tasks

    Raises
    ------
    InvalidField
        `base_url` is no HTTP address.

    Examples
    --------
    ::

        with shoal.Client("http://127.0.0.1:8000", namespace="shop") as client:
            client.clusters.execute("reviews").wait()
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
        address = _with_version(base_url)
        key = api_key or os.environ.get("SHOAL_API_KEY")
        local_key = None if key else LocalKey.for_address(address)
        self._transport = Transport(address, key, namespace, timeout_s, restart_s, local_key)
        self.namespaces = Namespaces(self._transport)
        self.collections = Collections(self._transport)
        self.documents = Documents(self._transport)
        self.clusters = Clusters(self._transport)
        self.executions = Executions(self._transport)
        self.tasks = Tasks(self._transport)

    @property
    def base_url(self) -> str:
        """Address that the routes start from, with the version."""
        return self._transport.base_url

    def health(self) -> Mapping[str, Any]:
        """Ask whether every part of the server works; needs no key.

        Returns
        -------
        mapping
            `status` and the state of each part.
        """
        answer: Mapping[str, Any] = self._transport.call("GET", "/health")
        return answer

    def me(self) -> Me:
        """Fetch the organisation and the key in use.

        Returns
        -------
        Me

        Raises
        ------
        Unauthorized
            The key is wrong or missing.
        """
        return self._transport.request_record(Me, "GET", "/me")

    def repeating(self, given_up: Unavailable | str) -> AbstractContextManager[None]:
        """Complete a write that gave up before its answer came, without doing it twice.

        The first write in the block is sent under the idempotency key of the failed one: the server carries it out
        now, or repeats its answer if it was done before.

        Parameters
        ----------
        given_up : Unavailable or str
            The error that was raised, or its idempotency key.

        Returns
        -------
        context manager

        Raises
        ------
        InvalidField
            The error has no key: the request was never sent, so call again.

        Examples
        --------
        ::

            try:
                client.documents.upload("reviews", "reviews.parquet")
            except shoal.errors.Unavailable as error:
                with client.repeating(error):
                    client.documents.upload("reviews", "reviews.parquet")
        """
        key = given_up if isinstance(given_up, str) else given_up.details.get("idempotency_key")
        if not isinstance(key, str):
            raise InvalidField(
                "given_up", "has no idempotency key: the request never went out", remedy="Just call again."
            )
        return self._transport.use_key(key)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _with_version(base_url: str) -> str:
    """The address with `/v1`, whether it was given or not. Raises InvalidField."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidField(
            "base_url", "must be an http address", value=base_url, remedy="Such as http://127.0.0.1:8000"
        )
    address = base_url.rstrip("/")
    return address if address.endswith("/v1") else f"{address}/v1"
