"""Health, who am I, and keys, as the official SDK asks for them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mixpeek.exceptions import ConflictException, ForbiddenException, NotFoundException, UnauthorizedException
from mixpeek.models.api_key_create_request import APIKeyCreateRequest
from mixpeek.models.api_key_update_request import APIKeyUpdateRequest
from mixpeek.models.create_namespace_request import CreateNamespaceRequest

from sdk.official import Official, json_object, request

Connect = Callable[..., Official]


def test_health_and_liveness_answer_without_a_key(connect: Connect) -> None:
    stranger = connect(key="sk_nobody")
    assert json_object(stranger.health.healthcheck_health())["status"] == "OK"
    assert json_object(stranger.health.liveness_health())["status"] == "OK"


def test_the_beat_reports_a_live_worker(connect: Connect) -> None:
    beat = json_object(connect(key="sk_nobody").health.celery_beat_health())
    assert (beat["beat_running"], beat["age_seconds"]) == (True, 0.0)


def test_the_deep_health_check_reports_that_every_store_answers(official: Official) -> None:
    deep = official.health.healthcheck_deep_health()
    assert deep.status == "OK"
    assert deep.data.metadata and deep.data.vector_store and deep.data.object_storage and deep.data.task_queue


def test_me_names_organisation_and_key(official: Official) -> None:
    me = official.account.whoami_me()
    assert me.organization_id == official.organizations.get_organization().organization_id
    assert me.key.permissions == ["admin", "delete", "read", "write"]
    assert me.user_email


def test_an_unknown_key_is_refused(connect: Connect) -> None:
    stranger = connect(key="sk_nobody")
    with pytest.raises(UnauthorizedException) as refused:
        stranger.account.whoami_me()
    assert refused.value.status == 401


def test_a_key_lives_from_creation_to_deletion(official: Official, connect: Connect) -> None:
    email = official.account.whoami_me().user_email
    assert email is not None
    expires = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    key = official.keys.create_key_organizations_users_email(
        email, request(APIKeyCreateRequest, name="reader", permissions=["read"], expires_at=expires.isoformat())
    )
    assert key.key.startswith("sk_") and key.key.startswith(key.key_prefix or "?")
    assert [str(permission.value) for permission in key.permissions or []] == ["read"]
    assert key.expires_at == expires

    reader = connect(key=key.key)
    assert reader.account.whoami_me().key.name == "reader"
    with pytest.raises(ForbiddenException):
        reader.namespaces.create_namespace(request(CreateNamespaceRequest, namespace_name="not-mine"))
    with pytest.raises(ConflictException):
        official.keys.create_key_organizations_users_email(email, request(APIKeyCreateRequest, name="reader"))

    listed: Any = official.keys.list_keys_organizations_users_email(email)["results"]
    assert ("reader", key.key_id) in [(key["name"], key["key_id"]) for key in listed]
    assert "key" not in listed[0]
    shown = official.high._request("GET", f"/organizations/users/{email}/api-keys/reader")
    assert (shown.key_id, shown.last_used_at is not None) == (key.key_id, True)
    changed = official.keys.update_key_organizations_users_email_name(
        email, "reader", request(APIKeyUpdateRequest, name="writer", permissions=["read", "write"])
    )
    assert changed.name == "writer"
    assert reader.account.whoami_me().key.permissions == ["read", "write"]

    rotated = official.keys.rotate_key_organizations_users_email_name(email, "writer")
    assert rotated.key != key.key
    with pytest.raises(UnauthorizedException):
        reader.account.whoami_me()
    assert connect(key=rotated.key).account.whoami_me().key.name == "writer"

    assert official.keys.delete_key_organizations_users_email_name(email, "writer").success is True
    with pytest.raises(UnauthorizedException):
        connect(key=rotated.key).account.whoami_me()
    with pytest.raises(NotFoundException):
        official.keys.delete_key_organizations_users_email_name(email, "writer")
