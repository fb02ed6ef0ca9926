"""`shoal keys` and `shoal organizations` on a real folder."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import httpx
import pytest

from cli.conftest import Command
from server_process import ServerProcess
from shoal.assemble import assemble
from shoal.durable import atomic_write
from shoal.settings import Settings

pytestmark = pytest.mark.process


@pytest.fixture
def data(here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder as after the first start of a server."""
    data = tmp_path / "data"
    monkeypatch.setenv("SHOAL_DATA", str(data))
    services = assemble(Settings.read())
    assert services.keys.bootstrap(data / "key") is not None
    services.close()
    return data


def secret_in(output: str) -> str:
    return output.rsplit(maxsplit=1)[-1]


@pytest.mark.parametrize(
    "command",
    [
        ["keys", "list"],
        ["keys", "create", "x"],
        ["keys", "revoke", "first"],
        ["audit"],
        ["organizations", "list"],
        ["worker"],
    ],
    ids=" ".join,
)
def test_a_mistyped_folder_is_refused_and_not_created(here: Command, tmp_path: Path, command: list[str]) -> None:
    done = here(*command, "--data", tmp_path / "typo")

    assert done.code == 2
    assert "--data: is not a data folder" in done.complaint
    assert not (tmp_path / "typo").exists()


def test_rotating_the_key_in_the_key_file_updates_the_file(here: Command, data: Path) -> None:
    key_file = data / "key"
    other = secret_in(here("keys", "create", "other").out)
    before = key_file.read_text()
    here("keys", "rotate", "other")
    assert key_file.read_text() == before != other

    rotated = secret_in(here("keys", "rotate", "first").out)

    assert key_file.read_text().strip() == rotated
    assert key_file.stat().st_mode & 0o777 == 0o600
    with ServerProcess(data, workers=0) as server:
        answer = httpx.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {rotated}"}, trust_env=False)
    assert answer.status_code == 200


def test_a_key_file_that_cannot_be_written_is_unchanged_and_reported(
    here: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (data / "key").read_text()

    @contextmanager
    def full(path: Path, **options: bool) -> Iterator[BinaryIO]:
        with atomic_write(path, **options):
            raise OSError(errno.ENOSPC, "No space left on device")
            yield

    monkeypatch.setattr("shoal.services.keys.file.atomic_write", full)

    done = here("keys", "rotate", "first")

    assert secret_in(done.out).startswith("sk_")
    assert done.complaint == f"shoal: {data / 'key'} could not be written: it holds the old secret."
    assert (data / "key").read_text() == before
    assert not list(data.glob(".key*"))


def test_concurrent_rotations_leave_the_latest_secret_in_the_file(data: Path) -> None:
    command = [sys.executable, "-m", "shoal.cli.main", "keys", "rotate", "first"]

    for process in [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(4)]:
        assert process.wait() == 0

    services = assemble(Settings.read())
    assert services.keys.is_valid_file(data / "key")
    services.close()


def test_a_key_can_expire_after_days_but_not_after_0(here: Command, data: Path) -> None:
    here("keys", "create", "guest", "--days", "30")

    until = datetime.now(UTC) + timedelta(days=30)
    assert f"active, to {until:%Y-%m-%d}" in here("keys", "list").out
    assert here("keys", "create", "none", "--days", "0").code == 2
    assert "NAME: must have 1 to 100 characters" in here("keys", "create", "").complaint


def test_keys_are_shown_as_a_table_that_fits(here: Command, data: Path) -> None:
    lines = here("keys", "list").out.splitlines()

    assert max(map(len, lines)) <= 100
    assert any(line.split()[:3] == ["name", "begins", "status"] for line in lines)
    assert any(line.split()[0:1] == ["first"] for line in lines)


def test_an_organisation_has_its_own_keys_and_cannot_see_other_organisations(here: Command, data: Path) -> None:
    created = here("organizations", "create", "acme")
    secret = secret_in(created.out)
    more = secret_in(here("keys", "create", "ci", "--organization", "acme").out)

    assert "An organization called 'acme' already exists" in here("organizations", "create", "acme").complaint
    assert "There are: local, acme" in here("keys", "list", "--organization", "acm").complaint
    assert "acme" in here("organizations", "list").out
    with ServerProcess(data, workers=0) as server:
        with server.client() as client:
            client.post("/collections", json={"collection_name": "ours", "source": {"type": "direct_upsert"}})
        for key in (secret, more):
            theirs = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=f"{server.url}/v1", headers=theirs, trust_env=False) as client:
                assert client.get("/me").json()["organization_name"] == "acme"
                assert client.post("/collections/list", json={}).json()["results"] == []
                assert client.get("/collections/ours").status_code == 404
