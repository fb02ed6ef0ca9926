"""Authentication and permissions, over the wire."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Barrier
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import pytest

from shoal.api.callers.auth import PUBLIC
from shoal.api.mounts import MOUNTS
from shoal.api.route_table import find_permission
from shoal.assemble import Services, assemble
from shoal.records.key import CreateKey, Key, PatchKey, Permission, has_checksum, new_key
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Stored
from shoal.storage.sqlite.transaction import SqliteTransaction

ClientMaker = Callable[..., httpx.Client]


class Clock(Protocol):
    def __call__(self) -> datetime: ...
    def forward(self, **span: float) -> None: ...


def scope_of(services: Services, secret: str) -> Scope:
    return Scope(services.keys.authenticate(secret).organization_id)


def limited_key(services: Services, admin_key: str, *permissions: Permission) -> str:
    scope = scope_of(services, admin_key)
    return services.keys.create(scope, "a@b", CreateKey(name="limited", permissions=list(permissions))).key


def raw_status(server: str, request: str) -> int:
    """The status of a hand-written request, since clients normalise paths and send complete bodies."""
    with socket.create_connection((urlsplit(server).hostname, urlsplit(server).port), timeout=10) as line:
        line.sendall(request.encode())
        with line.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def test_a_call_without_a_key_is_rejected_with_a_standard_error(client_for: ClientMaker) -> None:
    answer = client_for(None).get("/namespaces")

    assert answer.status_code == 401
    assert answer.json()["success"] is False and answer.json()["status"] == 401
    assert answer.json()["error"]["type"] == "UnauthorizedError"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["X-Request-ID"]


def test_a_malformed_key_is_rejected(client_for: ClientMaker) -> None:
    client = client_for(None)
    for header in ("", "Bearer", "Basic sk_x", "sk_x", "Bearer sk_x", "Bearer " + "x" * 5000, "Bearer sk_" + "ü" * 38):
        answer = client.get("/namespaces", headers=[(b"Authorization", header.encode())])
        assert answer.status_code == 401, header


def test_an_unknown_well_formed_key_is_rejected(client_for: ClientMaker) -> None:
    assert client_for(new_key()).get("/me").status_code == 401


def test_one_wrong_character_never_passes_the_checksum() -> None:
    key = new_key()
    typos = [key[:i] + ("a" if key[i] != "a" else "b") + key[i + 1 :] for i in range(len(key))]

    assert has_checksum(key)
    assert not any(has_checksum(typo) for typo in typos)


def test_a_key_works_under_every_mount(server: str, admin_key: str) -> None:
    headers = {"Authorization": f"bearer {admin_key}"}

    for mount in (*MOUNTS, ""):
        answer = httpx.get(f"{server}{mount}/me", headers=headers, trust_env=False)
        assert answer.status_code == 200
        assert answer.json()["key"] == {
            "name": "first", "key_type": "standard", "expires_at": None,
            "permissions": ["admin", "delete", "read", "write"],
        }  # fmt: skip


def test_exactly_the_public_paths_answer_without_a_key(server: str) -> None:
    for path in sorted(PUBLIC):
        assert httpx.get(server + path, trust_env=False, timeout=60).status_code == 200, path


LOOKALIKES = [
    "/v1/namespaces/health", "/v1/namespaces/livez", "/v1/clusters/health", "/v1//health", "/v1/health/deep",
    "/v1/%2Fhealth", "/v1/namespaces/..%2Fhealth", "/v1/namespaces/x/../../health", "/v1/me/", "/v1/v1/health",
    "/v1/HEALTH", "/v1/health;x", "/v1/health.json", "/v1/nothing", "/v1/health%20", "/v1/health%00", "/v1", "/v1/",
]  # fmt: skip
OUTSIDE = [
    "//health", "/health/x", "/HEALTH", "/health;x", "/health.json", "/nothing", "/v2/health", "/health%20",
    "/health%00", "/clusters/health", "//v1/health", "/api/health", "/docs/../v1/health",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
def test_a_path_that_looks_public_is_not(server: str, method: str) -> None:
    for path in LOOKALIKES:
        assert raw_status(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n") == 401, path


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
def test_a_path_outside_the_api_that_looks_public_is_not_found(server: str, method: str) -> None:
    for path in OUTSIDE:
        assert raw_status(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n") == 404, path


def test_public_paths_are_public_only_for_reading(server: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert httpx.request(method, f"{server}/v1/health", trust_env=False).status_code == 401, method


def test_a_namespace_called_health_is_not_public(client: httpx.Client, client_for: ClientMaker) -> None:
    assert client.post("/namespaces", json={"namespace_name": "health"}).status_code == 200

    assert client_for(None).get("/namespaces/health").status_code == 401
    assert client.get("/namespaces/health").json()["namespace_name"] == "health"


def test_requests_are_rejected_before_the_body_is_read(server: str) -> None:
    head = f"POST /v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: {2**30}\r\n\r\n"

    assert raw_status(server, head + "{") == 401  # after one byte of a GiB


def test_a_revoked_key_stops_working_at_once_in_this_process(
    services: Services, admin_key: str, client_for: ClientMaker
) -> None:
    key = limited_key(services, admin_key, "read")
    limited = client_for(key)
    assert limited.get("/me").status_code == 200

    services.keys.change(scope_of(services, admin_key), "limited", PatchKey(status="revoked"))

    assert limited.get("/me").status_code == 401


def test_a_key_revoked_by_another_process_stops_working_at_once(
    services: Services, admin_key: str, client_for: ClientMaker, clock: Clock
) -> None:
    key = limited_key(services, admin_key, "read")
    limited = client_for(key)
    assert limited.get("/me").status_code == 200
    other = assemble(services.settings, clock)
    other.keys.change(scope_of(services, admin_key), "limited", PatchKey(status="revoked"))
    other.close()

    refused = limited.get("/me")

    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == "The API key 'limited' is revoked."


@pytest.mark.parametrize("change", ["rotate", "remove"])
def test_the_old_secret_of_a_key_rotated_by_another_process_stops_working_at_once(
    change: str, services: Services, admin_key: str, client_for: ClientMaker, clock: Clock
) -> None:
    limited = client_for(limited_key(services, admin_key, "read", "write"))
    assert limited.post("/buckets/list", json={}).status_code == 200
    other = assemble(services.settings, clock)
    getattr(other.keys, change)(scope_of(services, admin_key), "limited")
    other.close()

    body = {"bucket_name": "late", "bucket_schema": {"properties": {}}}
    assert limited.post("/buckets", json=body).status_code == 401
    assert client_for(admin_key).get("/buckets/late").status_code == 404


def test_permission_changes_by_another_process_take_effect_with_the_next_call(
    services: Services, admin_key: str, client_for: ClientMaker, clock: Clock
) -> None:
    limited = client_for(limited_key(services, admin_key, "read", "write"))
    body = {"bucket_name": "b", "bucket_schema": {"properties": {}}}
    assert limited.post("/buckets", json=body).status_code == 200
    other, scope = assemble(services.settings, clock), scope_of(services, admin_key)

    other.keys.change(scope, "limited", PatchKey(permissions=["write"]))
    taken = limited.get("/buckets")
    other.keys.change(scope, "limited", PatchKey(permissions=["read"]))
    given, taken_too = limited.get("/buckets"), limited.post("/buckets", json=body)
    other.close()

    assert taken.status_code == 403
    assert taken.json()["error"]["details"] == {"needed": "read", "granted": ["write"]}
    assert given.status_code == 200 and taken_too.status_code == 403


def test_an_expired_key_is_rejected_even_while_it_is_cached(
    services: Services, admin_key: str, client_for: ClientMaker, clock: Clock
) -> None:
    scope = scope_of(services, admin_key)
    body = CreateKey(name="brief", expires_at=clock().replace(second=2))
    brief = client_for(services.keys.create(scope, "a@b", body).key)
    assert brief.get("/me").status_code == 200

    clock.forward(seconds=2)

    assert brief.get("/me").status_code == 401
    assert services.keys.get(scope, "brief").status == "expired"


def test_each_permission_allows_only_its_own_calls(services: Services, admin_key: str, client_for: ClientMaker) -> None:
    calls = {
        "read": ("POST", "/namespaces/list"),
        "write": ("POST", "/namespaces"),
        "delete": ("DELETE", "/namespaces/nobody"),
        "admin": ("GET", "/organizations/users/a@b/api-keys"),
    }
    for granted in ("read", "write", "delete"):
        key = services.keys.create(
            scope_of(services, admin_key), "a@b", CreateKey(name=granted, permissions=[granted])
        ).key
        for needed, (method, path) in calls.items():
            answer = client_for(key).request(method, path)
            if needed == granted:
                assert answer.status_code in (200, 404, 422)
            else:
                assert answer.status_code == 403
                assert answer.json()["error"]["type"] == "ForbiddenError"
                assert answer.json()["error"]["details"] == {"needed": needed, "granted": [granted]}


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/v1/clusters/x", "read"),
        ("POST", "/v1/clusters/list", "read"),
        ("HEAD", "/v1/clusters/x", "read"),
        ("POST", "/v1/clusters/x/plan", "read"),
        ("POST", "/v1/collections/c/documents/distinct", "read"),
        ("POST", "/v1/clusters", "write"),
        ("PATCH", "/v1/clusters/list", "write"),
        ("PUT", "/v1/namespaces/x", "write"),
        ("DELETE", "/v1/collections/c/documents/list", "delete"),
        ("GET", "/v1/organizations", "read"),
        ("GET", "/v1/organizations/users/a@b/api-keys", "admin"),
        ("DELETE", "/v1/tasks/x", "delete"),
        ("POST", "/v1/tasks/x/kill", "write"),
        ("GET", "/v1/health/deep", "read"),
        ("GET", "/v1/livez", None),
        ("PATCH", "/v1/organizations", None),
        ("GET", "/v1/nothing", None),
    ],
)
def test_the_permission_table(method: str, path: str, needed: Permission | None) -> None:
    assert find_permission(method, path) == needed


def test_use_of_a_key_is_recorded_at_most_once_a_minute(services: Services, admin_key: str, clock: Clock) -> None:
    scope = scope_of(services, admin_key)
    first = services.keys.get(scope, "first").last_used_at
    clock.forward(seconds=59)
    services.keys.authenticate(admin_key)
    unchanged = services.keys.get(scope, "first").last_used_at
    clock.forward(seconds=1)
    services.keys.authenticate(admin_key)

    assert first == unchanged
    assert services.keys.get(scope, "first").last_used_at == clock()


def test_concurrent_calls_all_pass_and_record_the_use_once(
    services: Services, admin_key: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread reads the key before any of them has recorded its use."""
    services.keys.authenticate(admin_key)
    clock.forward(minutes=2)
    ready, replace, writes = Barrier(40), SqliteTransaction.replace, list[str]()
    noted = services.keys._note_use

    def note_together(scope: Scope, key: Key) -> None:
        ready.wait(30)
        noted(scope, key)

    def counted(tx: SqliteTransaction, *given: Any, **named: Any) -> Stored:
        writes.append(given[2])
        return replace(tx, *given, **named)

    monkeypatch.setattr(services.keys, "_note_use", note_together)
    monkeypatch.setattr(SqliteTransaction, "replace", counted)
    with ThreadPoolExecutor(40) as pool:
        callers = list(pool.map(services.keys.authenticate, [admin_key] * 40))

    assert {caller.name for caller in callers} == {"first"}
    assert len(writes) == 1


def test_only_the_key_file_of_the_data_folder_contains_a_key(
    services: Services, client: httpx.Client, admin_key: str
) -> None:
    created = client.post("/organizations/users/a@b/api-keys", json={"name": "x"}).json()["key"]
    data = services.settings.data
    files = [path for path in data.rglob("*") if path.is_file() and path != data / "key"]

    assert files
    for path in files:
        assert admin_key.encode() not in path.read_bytes()
        assert created.encode() not in path.read_bytes()


def test_the_first_start_creates_a_private_folder_and_key_file(services: Services, admin_key: str) -> None:
    data = services.settings.data

    assert (data / "key").read_text() == admin_key + "\n"
    assert (data / "key").stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700
    assert services.keys.bootstrap(data / "key") is None


def test_a_key_file_left_by_an_interrupted_first_start_is_replaced(services: Services, tmp_path: Path) -> None:
    stale = tmp_path / "key"
    stale.write_text("old")
    stale.chmod(0o644)

    secret = services.keys.bootstrap(stale)

    assert stale.read_text() == f"{secret}\n"
    assert stale.stat().st_mode & 0o777 == 0o600
