"""Two organisations with identical names, down to the id of the namespace, share nothing."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tenancy.conftest import World

_NAMES = {"namespace_id": "prod", "namespace_name": "production"}


@pytest.fixture
def twins(world: World) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Admins of both organisations in a namespace `prod` each, with one document of one id in a collection `docs`."""
    clients = []
    for tenant in (world.amber, world.cedar):
        headers = {"Authorization": f"Bearer {tenant.keys['admin']}", "X-Namespace": "prod"}
        http = httpx.Client(base_url=f"{world.url}/v1", headers=headers, timeout=30, trust_env=False)
        done(http, "POST", "/namespaces", _NAMES)
        done(http, "POST", "/collections", {"collection_name": "docs", "source": {"type": "direct_upsert"}})
        document = {"document_id": "one", "vectors": {"v": [1.0, 0.0]}, "text": tenant.label}
        done(http, "POST", "/collections/docs/documents", document)
        clients.append(http)
    yield clients[0], clients[1]
    for http in clients:
        http.delete("/namespaces/prod")
        http.close()


def done(http: httpx.Client, method: str, path: str, body: Any = None) -> dict[str, Any]:
    answer = http.request(method, path, json=body)
    assert answer.status_code == 200, answer.text
    fields: dict[str, Any] = answer.json()
    return fields


def text_of(http: httpx.Client) -> object:
    return done(http, "GET", "/collections/docs/documents/one")["text"]


def test_each_sees_and_changes_only_its_own_resources(twins: tuple[httpx.Client, httpx.Client]) -> None:
    left, right = twins

    done(left, "PATCH", "/collections/docs/documents/one", {"text": "changed"})

    assert (text_of(left), text_of(right)) == ("changed", "cedar")
    assert (
        done(left, "GET", "/collections/docs")["collection_id"]
        != (done(right, "GET", "/collections/docs")["collection_id"])
    )


def test_vectors_of_the_same_name_may_differ_in_dimension_between_organisations(
    twins: tuple[httpx.Client, httpx.Client],
) -> None:
    left, right = twins
    done(left, "DELETE", "/namespaces/prod")
    done(left, "POST", "/namespaces", {**_NAMES, "vector_configs": [{"name": "v", "dimension": 7}]})

    assert done(left, "GET", "/namespaces/prod")["vector_configs"][0]["dimension"] == 7
    assert done(right, "GET", "/namespaces/prod")["vector_configs"][0]["dimension"] == 2


def test_deleting_a_namespace_leaves_its_namesake_untouched(twins: tuple[httpx.Client, httpx.Client]) -> None:
    left, right = twins

    done(left, "DELETE", "/namespaces/prod")

    assert text_of(right) == "cedar"
    assert left.get("/collections/docs").status_code == 404
