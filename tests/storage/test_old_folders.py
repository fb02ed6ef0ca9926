"""Data of earlier releases opens, even if the migration is interrupted."""

import os
import shutil
import signal
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from data.make_folder import answers
from server_process import ServerProcess
from shoal import failpoints
from shoal.records.scope import Scope
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.sqlite.metadata import SqliteMetadata
from shoal.storage.sqlite.migrations import copies_of

pytestmark = pytest.mark.process

FOLDERS = sorted((Path(__file__).parents[1] / "data").glob("folder-*.tar.xz"))


def open_all(data: Path) -> None:
    """Migrate as a start does: the metadata at once, each namespace on first access."""
    metadata, documents = SqliteMetadata(data / "metadata.sqlite"), SqliteDocuments(data / "documents")
    for folder in (data / "documents").glob("*/*"):
        documents.vector_dimensions(Scope(folder.parent.name, folder.name))
    documents.close()
    metadata.close()


def opened(data: Path, faults: str = "") -> int:
    """The exit code of a forked process that opens everything, with faults as in SHOAL_FAILPOINTS."""
    pid = os.fork()
    if pid == 0:
        failpoints._faults.update(failpoints._parse_faults(faults))
        code = 1
        try:
            open_all(data)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def unpacked(packed: Path, into: Path) -> tuple[Path, Any]:
    with tarfile.open(packed) as folder:
        folder.extractall(into, filter="data")
    return into / "data", orjson.loads((into / "told.json").read_bytes())


def databases(data: Path) -> list[Path]:
    return sorted(data.rglob("*.sqlite"))


def formats(data: Path) -> list[int]:
    found = []
    for path in databases(data):
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        found.append(connection.execute("PRAGMA user_version").fetchone()[0])
        connection.close()
    return found


def contents(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    dumped = list(connection.iterdump())
    connection.close()
    return dumped


def said_before(old: Any, new: Any) -> bool:
    """Whether a response contains everything of the old one; fields may be added."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and said_before(old[key], new[key]) for key in old)
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(said_before, old, new))
    return bool(old == new)


def test_there_is_a_folder_of_every_release() -> None:
    assert [path.name for path in FOLDERS] == ["folder-0.1.0.tar.xz"]
    assert all(path.stat().st_size < 100_000 for path in FOLDERS)


@pytest.mark.parametrize("packed", FOLDERS, ids=lambda path: path.name)
def test_a_folder_of_an_earlier_release_gives_the_same_responses(packed: Path, tmp_path: Path) -> None:
    data, told = unpacked(packed, tmp_path)

    with ServerProcess(data) as server, server.client("default") as client:
        now = answers(client)
        updated = client.patch("/collections/questions/documents/q-07", json={"payload": {"more": 1}})
        client.post("/clusters/topics/execute").raise_for_status()
        while client.get("/clusters/topics").json()["status"] not in ("COMPLETED", "FAILED"):
            pass
        again = client.get("/clusters/topics").json()

    for question, answer in told.items():
        assert answer is not None and said_before(answer, now[question]), question
    assert updated.status_code == 200, updated.text
    assert (again["status"], again["num_clusters"]) == ("COMPLETED", 3)


@pytest.mark.parametrize("packed", FOLDERS, ids=lambda path: path.name)
def test_a_copy_of_the_old_file_is_kept_next_to_the_new_one(packed: Path, tmp_path: Path) -> None:
    data, _ = unpacked(packed, tmp_path)
    before = {path: contents(path) for path in databases(data)}

    assert opened(data) == 0

    for path, old in before.items():
        (copy,) = copies_of(path)
        assert contents(copy) == old
        assert copy.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("point", ["migrate.copied", "migrate.step", "migrate.before_commit"])
@pytest.mark.parametrize("packed", FOLDERS, ids=lambda path: path.name)
def test_a_kill_at_any_step_of_a_migration_leaves_the_old_file_intact(
    packed: Path, point: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Kill 20 times at each point, alternately for the current file and the next; then the migration succeeds."""
    data, _ = unpacked(packed, tmp_path / "first")
    before, old_formats = [contents(path) for path in databases(data)], formats(data)
    kills = 0
    for number in range(20):
        fresh = tmp_path / "again"
        shutil.copytree(data, fresh)
        # Odd attempts let the metadata migrate and kill during the migration of the first namespace.
        code = opened(fresh, f"{point}=crash@{1 + number % 2}")
        kills += code == -signal.SIGKILL
        present = formats(fresh)
        for path, was, old, is_now in zip(databases(fresh), before, old_formats, present, strict=True):
            if is_now == old:
                assert contents(path) == was
        assert any(is_now == old for old, is_now in zip(old_formats, present, strict=True))
        assert opened(fresh) == 0
        assert not list(fresh.rglob("*.part"))
        shutil.rmtree(fresh)

    record_property("tries", kills)
    assert kills == 20


def test_a_migration_without_space_for_its_copy_changes_nothing(tmp_path: Path) -> None:
    data, _ = unpacked(FOLDERS[0], tmp_path)
    before = [contents(path) for path in databases(data)]

    assert opened(data, "migrate.copied=err:ENOSPC") != 0

    assert [contents(path) for path in databases(data)] == before
    assert opened(data) == 0
