"""A data folder with one of every resource, created by the previous version, can be read completely through the API."""

import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from data.make_whole_folder import HERE, read_all, repeat_keyed, wait_for
from server_process import ServerProcess
from shoal.assemble import Services, assemble
from shoal.maintenance.doctor import examine
from shoal.settings import Settings

ClientMaker = Callable[..., httpx.Client]

FOLDERS = sorted(HERE.glob("whole-*.tar.xz"))


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The extracted folder; `answers.json` is next to it."""
    with tarfile.open(request.param) as packed:
        packed.extractall(tmp_path, filter="data")
    (tmp_path / "data").chmod(0o700)
    return tmp_path / "data"


@pytest.fixture
def earlier(folder: Path) -> Any:
    return orjson.loads((folder.parent / "answers.json").read_bytes())


@pytest.fixture
def services(folder: Path, earlier: Any) -> Iterator[Services]:
    """All services on the earlier folder, at its creation time: replies to keyed requests are kept for a day."""
    made_at = datetime.fromisoformat(earlier["made_at"])
    opened = assemble(Settings(data=folder, workers=0), lambda: made_at)
    yield opened
    opened.close()


@pytest.fixture
def admin_key(folder: Path) -> str:
    return (folder / "key").read_text().strip()


def test_the_folder_is_small_and_has_one_of_every_resource() -> None:
    assert FOLDERS
    assert all(path.stat().st_size < 100_000 for path in FOLDERS)


def test_every_resource_of_an_earlier_folder_is_returned_as_before(
    client_for: ClientMaker, admin_key: str, earlier: Any
) -> None:
    now = read_all(client_for(admin_key, **{"X-Namespace": "default"}), earlier["run_id"])

    assert {path for path in now if not _contains(now[path], earlier["reads"][path])} == set()


def test_keyed_requests_of_an_earlier_folder_are_replayed_and_not_executed_again(
    client_for: ClientMaker, admin_key: str, earlier: Any
) -> None:
    client = client_for(admin_key, **{"X-Namespace": "default"})

    assert repeat_keyed(client) == earlier["keyed"]
    assert all(one["replayed"] for one in earlier["keyed"].values())
    buckets = client.post("/buckets/list", json={"search": "made-once"}).json()
    assert len(buckets["results"]) == 1


@pytest.mark.process
def test_a_run_queued_in_an_earlier_folder_is_executed(folder: Path) -> None:
    assert examine(Settings(data=folder)).sound
    with ServerProcess(folder) as server, server.client("default") as client:
        cluster = wait_for(client, "waiting")

    assert (cluster["status"], cluster["num_clusters"]) == ("COMPLETED", 3)
    assert examine(Settings(data=folder)).sound


def _contains(answer: Any, earlier: Any) -> bool:
    """Whether a response contains everything of an earlier one; fields may be added."""
    if isinstance(earlier, dict):
        return isinstance(answer, dict) and all(
            key in answer and _contains(answer[key], value) for key, value in earlier.items()
        )
    if isinstance(earlier, list):
        return isinstance(answer, list) and len(answer) == len(earlier) and all(map(_contains, answer, earlier))
    return bool(answer == earlier)
