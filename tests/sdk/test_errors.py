"""Which exception of the SDK a mistake turns into, for both clients."""

from collections.abc import Callable

import pytest
from mixpeek._client.client import MixpeekAPIError
from mixpeek.exceptions import BadRequestException, NotFoundException, UnauthorizedException

from sdk.official import Official, error_of

Connect = Callable[..., Official]


def test_a_foreign_namespace_is_not_found(official: Official, connect: Connect) -> None:
    lost = connect("nowhere")
    with pytest.raises(NotFoundException):
        lost.clusters.list_clusters_get()
    with pytest.raises(MixpeekAPIError) as missing:
        lost.high.collections.list()
    assert (missing.value.status, missing.value.retryable) == (404, False)


def test_a_missing_namespace_is_a_bad_request_where_there_are_several(official: Official, connect: Connect) -> None:
    connect().high.namespaces.create(name="a-second-one")
    with pytest.raises(BadRequestException) as refused:
        connect().clusters.list_clusters_get()
    assert "X-Namespace" in error_of(refused.value)["message"]


def test_a_wrong_key_is_unauthorized_everywhere(official: Official, connect: Connect) -> None:
    stranger = connect(official.namespace, key="sk_nobody")
    with pytest.raises(UnauthorizedException) as refused:
        stranger.clusters.get_cluster("anything")
    assert error_of(refused.value)["type"] == "UnauthorizedError"
    with pytest.raises(MixpeekAPIError) as high:
        stranger.high.collections.get("anything")
    assert high.value.status == 401 and high.value.detail["success"] is False


def test_what_shoal_does_not_have_is_not_found(official: Official) -> None:
    with pytest.raises(MixpeekAPIError) as missing:
        official.high.retrievers.list()
    assert missing.value.status == 404 and missing.value.detail["error"]["type"] == "NotFoundError"
