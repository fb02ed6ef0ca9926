"""Namespaces through both clients, by id and by name."""

from collections.abc import Callable

import pytest
from mixpeek._client.client import MixpeekAPIError
from mixpeek.exceptions import ConflictException, NotFoundException
from mixpeek.models.create_namespace_request import CreateNamespaceRequest
from mixpeek.models.create_standalone_namespace_request_model import CreateStandaloneNamespaceRequestModel
from mixpeek.models.list_namespaces_request import ListNamespacesRequest
from mixpeek.models.patch_namespace_request import PatchNamespaceRequest
from mixpeek.models.update_namespace_request import UpdateNamespaceRequest

from sdk.official import Official, request

Connect = Callable[..., Official]


def test_a_managed_namespace_is_found_by_id_and_by_name(official: Official) -> None:
    namespace = official.namespaces.create_namespace(
        request(CreateNamespaceRequest, namespace_name="managed-one", description="first")
    )
    assert namespace.namespace_id is not None and namespace.namespace_id.startswith("ns_")
    assert namespace.mode == "managed" and namespace.description == "first"
    for ref in (namespace.namespace_id, "managed-one"):
        result = official.namespaces.get_namespace(ref)
        assert (result.namespace_id, result.namespace_name) == (namespace.namespace_id, "managed-one")
        assert result.created_at == namespace.created_at


def test_a_standalone_namespace_keeps_its_vector_configs(official: Official) -> None:
    configs = [
        {"name": "text", "dimension": 4, "metric": "cosine"},
        {"name": "image", "dimension": 3, "metric": "euclidean"},
    ]
    by_mode = official.namespaces.create_namespace(
        request(CreateNamespaceRequest, namespace_name="standalone-one", mode="standalone", vector_configs=configs)
    )
    assert by_mode.mode == "standalone" and by_mode.vector_configs == configs
    by_route = official.byo.create_standalone_namespace(
        request(CreateStandaloneNamespaceRequestModel, namespace_id="standalone_two", vector_configs=configs)
    )
    assert by_route.namespace_id == "standalone_two"
    assert by_route.mode == "standalone" and by_route.vector_configs == configs


def test_the_high_level_client_makes_both_modes(connect: Connect) -> None:
    high = connect().high
    managed = high.namespaces.create(name="high-managed")
    standalone = high.namespaces.create(name="high-standalone", vector_configs=[{"name": "v", "dimension": 2}])
    assert (managed.mode, standalone.mode) == ("managed", "standalone")
    assert high.namespaces.get("high-standalone").namespace_id == standalone.namespace_id
    listed = {namespace.namespace_name for namespace in high.namespaces.list().results}
    assert {"high-managed", "high-standalone"} <= listed
    for value in (managed.namespace_id, "high-standalone"):
        assert high.namespaces.delete(value).success is True
    with pytest.raises(MixpeekAPIError) as gone:
        high.namespaces.get("high-standalone")
    assert gone.value.status == 404
    assert gone.value.detail["error"]["type"] == "NotFoundError"


def test_lists_page_search_and_count(official: Official) -> None:
    for name in ("paged-a", "paged-b", "paged-c"):
        official.namespaces.create_namespace(request(CreateNamespaceRequest, namespace_name=name))
    names = []
    cursor = None
    for _ in range(3):
        page = official.namespaces.list_namespaces(
            limit=1,
            cursor=cursor,
            include_total=True,
            list_namespaces_request=request(ListNamespacesRequest, search="paged-", sort={"field": "namespace_name"}),
        )
        assert page.total_count == 3 and page.pagination.total == 3 and page.pagination.total_pages == 3
        names += [result.namespace_name for result in page.results]
        cursor = page.pagination.next_cursor
    assert names == ["paged-a", "paged-b", "paged-c"] and cursor is None
    newest = official.namespaces.list_namespaces_get(limit=2)
    assert [result.namespace_name for result in newest.results] == ["paged-c", "paged-b"]
    assert newest.pagination.total is None and newest.total_count >= 3


def test_patch_and_put_change_what_is_sent(official: Official) -> None:
    namespace = official.namespaces.create_namespace(
        request(CreateNamespaceRequest, namespace_name="to-change", description="kept")
    )
    assert namespace.namespace_id is not None
    patched = official.namespaces.patch_namespace(
        "to-change", request(PatchNamespaceRequest, namespace_name="changed-once")
    )
    assert (patched.namespace_name, patched.description) == ("changed-once", "kept")
    put = official.namespaces.update_namespace(
        namespace.namespace_id, request(UpdateNamespaceRequest, namespace_name="changed-twice")
    )
    assert (put.namespace_id, put.namespace_name) == (namespace.namespace_id, "changed-twice")
    assert put.updated_at is not None and namespace.updated_at is not None and put.updated_at >= namespace.updated_at


def test_a_taken_name_and_a_wrong_one_are_refused(official: Official) -> None:
    official.namespaces.create_namespace(request(CreateNamespaceRequest, namespace_name="taken"))
    with pytest.raises(ConflictException):
        official.namespaces.create_namespace(request(CreateNamespaceRequest, namespace_name="taken"))
    with pytest.raises(MixpeekAPIError) as refused:
        official.high.namespaces.create(name="ab")
    assert refused.value.status == 422
    assert "namespace_name" in str(refused.value.detail)


def test_a_deleted_namespace_is_gone_for_good(official: Official) -> None:
    official.namespaces.create_namespace(request(CreateNamespaceRequest, namespace_name="to-delete"))
    official.namespaces.delete_namespace("to-delete")
    with pytest.raises(NotFoundException):
        official.namespaces.get_namespace("to-delete")
    with pytest.raises(NotFoundException):
        official.namespaces.delete_namespace("to-delete")
