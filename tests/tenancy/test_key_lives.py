"""Keys on a real server: where they are stored, when they stop working, and that an organisation keeps one."""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, Final

import httpx
import pytest

from server_process import ServerProcess
from shoal.assemble import Services, assemble
from shoal.errors import Conflict
from shoal.records.key import CreateKey, hash_of
from shoal.records.scope import Scope
from shoal.settings import Settings

pytestmark = pytest.mark.process

_KEYS: Final = "/organizations/users/ann@example.org/api-keys"
_FIRST: Final = "/organizations/users/local@shoal/api-keys/first"


@pytest.fixture
def server(tmp_path: Path, processes: None) -> Iterator[ServerProcess]:
    """On a data folder created under a permissive umask, with all logging enabled."""
    careless = os.umask(0)
    try:
        with ServerProcess(tmp_path / "data", workers=0, SHOAL_LOG_LEVEL="debug") as running:
            yield running
    finally:
        os.umask(careless)


@pytest.fixture
def admin(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def made(client: httpx.Client, name: str, *permissions: str) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name} | ({"permissions": permissions} if permissions else {})
    answer = client.post(_KEYS, json=body)
    assert answer.status_code == 200, answer.text
    key: dict[str, Any] = answer.json()
    return key


def status(server: ServerProcess, secret: str) -> int:
    return httpx.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {secret}"}, trust_env=False).status_code


# ── where they are stored ────────────────────────────────────────────────────────────────────────────────────────────


def test_no_secret_is_in_any_file_but_the_private_key_file_nor_in_the_log(
    server: ServerProcess, admin: httpx.Client
) -> None:
    known = [server.key, made(admin, "one")["key"], admin.post(f"{_KEYS}/one/rotate").json()["key"]]
    unknown = "sk_" + "a" * 38
    for secret in (*known, unknown):
        status(server, secret)
        admin.get(f"/clusters/{secret}", params={"search": "x"})
        admin.post("/clusters", json={"cluster_name": secret})
    files = [path for path in server.data.rglob("*") if path.is_file()]
    server.stop()

    assert (server.data / "key").read_text().strip() == known[0]
    assert [path for path in files if "metadata.sqlite" in path.name]
    for path in set(files) - {server.data / "key"}:
        stored = path.read_bytes() if path.exists() else b""  # the write-ahead log is removed when the server stops
        assert not [secret for secret in known if secret.encode() in stored], path
    shown = [line for line in server.output if "/clusters/sk_" not in line]
    assert len(shown) > 5  # it does log at level debug
    assert not [line for line in shown if any(secret in line for secret in (*known, unknown))]


def test_the_first_key_is_readable_only_by_its_owner_whatever_the_umask(server: ServerProcess) -> None:
    assert (server.data / "key").stat().st_mode & 0o777 == 0o600
    assert server.data.stat().st_mode & 0o777 == 0o700
    for database in server.data.glob("*.sqlite*"):
        assert database.stat().st_mode & 0o077 == 0, database


def test_secrets_are_compared_only_by_their_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparison time does not depend on the error: neither a byte of a secret nor its position is compared."""
    compared: list[tuple[str, str]] = []
    plain = secrets.compare_digest

    def watched(left: str, right: str) -> bool:
        compared.append((left, right))
        return plain(left, right)

    monkeypatch.setattr(secrets, "compare_digest", watched)
    services = assemble(Settings(data=tmp_path / "data"))
    secret = services.keys.create_organization("one").key
    compared.clear()
    services.keys.authenticate(secret)
    services.close()

    checksum, digest = compared
    assert checksum == (secret[-6:], secret[-6:])  # computed from the key itself, not from the secret
    assert digest == (hash_of(secret),) * 2


# ── when they stop working ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_revoked_on_the_command_line_stops_at_once_on_a_running_server(
    server: ServerProcess, admin: httpx.Client
) -> None:
    secret = made(admin, "doomed")["key"]
    assert status(server, secret) == 200

    command = [sys.executable, "-m", "shoal.cli.main", "keys", "revoke", "doomed", "--data", str(server.data)]
    subprocess.run(command, check=True, capture_output=True)

    assert status(server, secret) == 401


def test_under_load_rotation_enables_the_new_secret_and_disables_the_old_one_at_once(
    server: ServerProcess, admin: httpx.Client
) -> None:
    old = made(admin, "busy")["key"]
    seen: dict[str, list[int]] = defaultdict(list)
    current, over = [old], threading.Event()

    def call() -> None:
        with httpx.Client(trust_env=False, timeout=30) as http:
            while not over.is_set():
                secret = current[0]
                answer = http.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {secret}"})
                seen[secret].append(answer.status_code)

    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(call) for _ in range(8)]
        while not seen[old]:
            time.sleep(0.01)
        new = admin.post(f"{_KEYS}/busy/rotate").json()["key"]
        current[0] = new
        while len(seen[new]) < 200:
            time.sleep(0.01)
        over.set()
        for caller in callers:
            caller.result()
    assert set(seen[new]) == {200}
    assert status(server, old) == 401 and status(server, new) == 200


# ── an organisation keeps one ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("DELETE", None),
        ("PATCH", {"status": "revoked"}),
        ("PATCH", {"permissions": ["read", "write", "delete"]}),
        ("PATCH", {"expires_at": "2099-01-01T00:00:00Z"}),
    ],
    ids=["delete", "revoke", "take the permission", "let it expire"],
)
def test_the_last_admin_key_cannot_be_removed_over_http(
    method: str, body: dict[str, Any] | None, server: ServerProcess, admin: httpx.Client
) -> None:
    made(admin, "no admin")
    made(admin, "for a while", "admin")
    assert admin.patch(f"{_KEYS}/for a while", json={"expires_at": "2099-01-01T00:00:00Z"}).status_code == 200

    refused = admin.request(method, _FIRST, json=body)

    assert refused.status_code == 409 and refused.json()["error"]["code"] == "conflict"
    assert "shoal keys revoke" in refused.json()["error"]["message"]
    assert admin.get("/me").json()["key"]["permissions"] == ["admin", "delete", "read", "write"]
    assert admin.patch(_FIRST, json={"description": "d"}).status_code == 200
    made(admin, "another", "admin")
    assert admin.request(method, _FIRST, json=body).status_code == 200


def test_of_two_admins_who_remove_each_other_one_remains(tmp_path: Path) -> None:
    services = assemble(Settings(data=tmp_path / "data"))
    scope = Scope(services.keys.create_organization("one").organization_id)
    for attempt in range(10):
        left, right = f"left {attempt}", f"right {attempt}"
        for name in (left, right):
            services.keys.create(scope, "a@b", CreateKey(name=name, permissions=["admin"]))
        for key in services.keys.all(scope):
            if key.name not in (left, right):
                services.keys.remove(scope, key.key_id)
        outcomes = _together(services, scope, left, right)
        assert sorted(outcomes) == ["done", "refused"]
        assert len(services.keys.all(scope)) == 1
    services.close()


def _together(services: Services, scope: Scope, *names: str) -> list[str]:
    ready = Barrier(len(names))

    def remove(name: str) -> str:
        ready.wait(30)
        try:
            services.keys.remove(scope, name)
        except Conflict:
            return "refused"
        return "done"

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(remove, names))


@pytest.mark.parametrize("attempt", ["get", "patch", "delete", "rotate"])
def test_an_admin_of_one_organisation_has_no_rights_in_another(
    attempt: str, server: ServerProcess, admin: httpx.Client
) -> None:
    services = assemble(Settings(data=server.data))
    stranger = services.keys.create_organization("second").key
    services.close()
    headers = {"Authorization": f"Bearer {stranger}"}
    calls: dict[str, Callable[[], httpx.Response]] = {
        "get": lambda: httpx.get(f"{server.url}/v1{_FIRST}", headers=headers),
        "patch": lambda: httpx.patch(f"{server.url}/v1{_FIRST}", headers=headers, json={"status": "revoked"}),
        "delete": lambda: httpx.delete(f"{server.url}/v1{_FIRST}", headers=headers),
        "rotate": lambda: httpx.post(f"{server.url}/v1{_FIRST}/rotate", headers=headers),
    }
    mine = admin.get(_FIRST).json()

    answer = calls[attempt]()

    # Its own first key has the same name and user; only that key may be affected.
    assert mine["key_id"] not in answer.text
    unchanged = admin.get(_FIRST).json()
    assert {**unchanged, "last_used_at": None} == {**mine, "last_used_at": None}
