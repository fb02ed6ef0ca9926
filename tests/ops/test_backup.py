"""Backups of a folder that is being written to, and their restoration."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pytest

from ops.folders import fill, flip, made, only, settings_of
from shoal.assemble import Services, assemble
from shoal.columns import DocumentBatch, VectorColumn
from shoal.errors import Conflict, Corrupt, InvalidField
from shoal.maintenance.backup import back_up, restore
from shoal.maintenance.doctor import examine
from shoal.records.collection import CreateCollection
from shoal.records.namespace import CreateNamespace
from shoal.records.queries.filters import MATCH_ALL
from shoal.records.scope import Scope
from shoal.storage.local.data_folder import BACKUP_MANIFEST
from shoal.storage.protocols.records import Query

ABOUT = {"shoal": "test"}
ROWS = 7
BACKUPS = 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "data"
    made(folder)
    return folder


@pytest.fixture(scope="module")
def kept(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the folder."""
    target = tmp_path_factory.mktemp("backup") / "kept"
    back_up(whole, target, about=ABOUT)
    return target


def sound(folder: Path) -> bool:
    report = examine(settings_of(folder), idle_minutes=0)
    return report.findings == []


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Services, Scope]]:
    services = assemble(settings_of(tmp_path / "data"))
    services.keys.bootstrap(tmp_path / "data" / "key")
    scope = fill(services)
    yield services, scope
    services.close()


class Writer(threading.Thread):
    """Writes numbered batches, each with a record, to two namespaces in turn, compacts, and tracks what was stored."""

    def __init__(self, services: Services, scopes: list[Scope]) -> None:
        super().__init__(daemon=True)
        self._services, self._scopes = services, scopes
        for scope in scopes:
            for name in ("load", "scrap"):
                body = {"collection_name": name, "source": {"type": "direct_upsert"}}
                services.collections.create(scope, CreateCollection.model_validate(body))
        self.stored = 0
        self.halt = threading.Event()
        self.failed: list[Exception] = []

    def run(self) -> None:
        try:
            while not self.halt.is_set():
                self._write(self.stored)
                self.stored += 1
        except Exception as error:
            self.failed.append(error)
            raise

    def _write(self, number: int) -> None:
        scope, store = self._scopes[number % len(self._scopes)], self._services.documents_store
        ids = [f"n{number:05d}-{row}" for row in range(ROWS)]
        values = np.full((ROWS, 4), number, dtype=np.float32)
        batch = DocumentBatch(ids, [b"{}"] * ROWS, {"w": VectorColumn(np.arange(ROWS), values)})
        load, scrap_heap = (key_of(self._services, scope, name) for name in ("load", "scrap"))
        store.write(scope, load, [batch], now=datetime.now(UTC))
        if number % 11 == 5:  # holes, and files that disappear
            store.delete_where(scope, scrap_heap, MATCH_ALL)
            store.compact(scope)
        scrap = DocumentBatch([f"s{number % 5}"], [b"{}"], {"w": VectorColumn(np.arange(1), values[:1])})
        store.write(scope, scrap_heap, [scrap], now=datetime.now(UTC))


def key_of(services: Services, scope: Scope, name: str) -> str:
    """The storage key of a collection."""
    return services.collections.find(scope, name).storage_key


def batches_in(folder: Path, scopes: list[Scope]) -> list[int]:
    """The numbers of the batches in a folder; each must be complete, with its own vectors."""
    services = assemble(settings_of(folder))
    numbers = []
    try:
        for scope in scopes:
            matrix = services.documents_store.load_matrix(scope, [key_of(services, scope, "load")], ["w"])
            for start in range(0, len(matrix), ROWS):
                number = int(matrix.ids[start][1:6])
                assert [id[:6] for id in matrix.ids[start : start + ROWS]] == [f"n{number:05d}"] * ROWS
                assert (matrix.blocks["w"][start : start + ROWS] == number).all()
                numbers.append(number)
    finally:
        services.close()
    return sorted(numbers)


@pytest.mark.slow
def test_backups_under_load_hold_exactly_a_prefix_of_the_acknowledged_writes(
    live: tuple[Services, Scope], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("tries", BACKUPS)
    services, scope = live
    services.namespaces.create(scope.organization, CreateNamespace.model_validate({"namespace_name": "second"}))
    scopes = [scope, services.namespaces.scope(scope.organization, "second")]
    writer = Writer(services, scopes)
    writer.start()
    try:
        for number in range(BACKUPS):
            while writer.stored < number * 3 and not writer.failed:
                pass
            before = writer.stored
            back_up(services.settings.data, tmp_path / "backup", about=ABOUT)
            after = writer.stored
            restore(tmp_path / "backup", tmp_path / "restored")

            held = batches_in(tmp_path / "restored", scopes)

            assert held == list(range(len(held)))
            assert before <= len(held) <= after + 1
            if number % 10 == 0:
                report = examine(settings_of(tmp_path / "restored"), idle_minutes=0)
                assert [f for f in report.findings if "no record refers to it" not in f.problem] == []
            shutil.rmtree(tmp_path / "backup")
            shutil.rmtree(tmp_path / "restored")
    finally:
        writer.halt.set()
        writer.join()

    assert writer.failed == []
    assert list(services.settings.data.glob(".backup*")) == []


def test_a_restored_folder_is_intact_and_gives_the_same_responses(whole: Path, kept: Path, tmp_path: Path) -> None:
    restore(kept, tmp_path / "restored")

    assert sound(tmp_path / "restored")
    shown = []
    for folder in (whole, tmp_path / "restored"):
        services = assemble(settings_of(folder))
        scope = Scope(services.keys.organizations()[0].organization_id)
        scope = services.namespaces.scope(scope, "default")
        cluster = services.clusters.get(scope, "groups")
        members = services.artifacts.read(scope, str(cluster.current_run_id), "members").to_pylist()
        documents = services.documents.search(scope, "docs", Query(), vectors="all").items
        shown.append((cluster, members, orjson.dumps(documents, option=orjson.OPT_SERIALIZE_NUMPY)))
        services.close()
    assert shown[0] == shown[1]


def test_the_plaintext_key_is_copied_only_on_request(whole: Path, kept: Path, tmp_path: Path) -> None:
    back_up(whole, tmp_path / "with", about=ABOUT, with_key=True)
    secret = (whole / "key").read_bytes().strip()

    assert not any(secret in path.read_bytes() for path in kept.rglob("*") if path.is_file())
    assert (tmp_path / "with" / "data" / "key").read_bytes().strip() == secret


def test_everything_in_a_backup_is_private(kept: Path) -> None:
    assert kept.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in kept.rglob("*") if path.is_file()} == {0o600}


def test_later_writes_to_the_folder_do_not_affect_a_backup(live: tuple[Services, Scope], tmp_path: Path) -> None:
    services, scope = live
    back_up(services.settings.data, tmp_path / "backup", about=ABOUT)
    before = {path: path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file()}

    writer = Writer(services, [scope])
    writer._write(1)
    services.documents_store.drop_collection(scope, key_of(services, scope, "load"))

    assert {path: path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("pattern", ["metadata.sqlite", "*.f32", "members.parquet", "manifest.json", BACKUP_MANIFEST])
def test_a_damaged_backup_is_rejected_with_the_file_and_restores_nothing(
    kept: Path, tmp_path: Path, pattern: str
) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "copy"))
    path = only(copy, f"**/{pattern}")
    flip(path, path.stat().st_size // 2)

    with pytest.raises(Corrupt, match=path.name):
        restore(copy, tmp_path / "restored")

    assert [entry.name for entry in tmp_path.iterdir()] == ["copy"]


def test_a_backup_with_a_missing_or_truncated_file_is_rejected(kept: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "copy"))
    os.truncate(only(copy, "**/*.f32"), 8)
    with pytest.raises(Corrupt, match="damaged"):
        restore(copy, tmp_path / "restored")
    only(copy, "**/*.f32").unlink()
    with pytest.raises(Corrupt, match="lacks"):
        restore(copy, tmp_path / "restored")

    assert not (tmp_path / "restored").exists()


def test_a_backup_is_never_created_inside_the_folder_it_saves(whole: Path) -> None:
    with pytest.raises(InvalidField, match="lies in the data folder"):
        back_up(whole, whole / "documents" / "backup", about=ABOUT)

    assert not (whole / "documents" / "backup").exists()


@pytest.mark.parametrize("pattern", ["metadata.sqlite", "documents/*/*/documents.sqlite"])
def test_a_folder_with_damage_or_lost_changes_is_not_backed_up(whole: Path, tmp_path: Path, pattern: str) -> None:
    damaged, older = (Path(shutil.copytree(whole, tmp_path / name)) for name in ("damaged", "older"))
    with only(damaged, pattern).open("r+b") as file:
        file.write(b"\xff" * 100)
    with sqlite3.connect(only(older, pattern)) as connection:
        connection.execute("UPDATE commit_count SET count = count - 1, mirror = mirror + 1")
    connection.close()

    with pytest.raises(Corrupt, match="damaged"):
        back_up(damaged, tmp_path / "backup", about=ABOUT)
    with pytest.raises(Corrupt, match="has lost its last"):
        back_up(older, tmp_path / "backup", about=ABOUT)

    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("gone", ["documents.sqlite", "documents.sqlite*"])
def test_a_folder_whose_documents_are_missing_is_not_backed_up(whole: Path, tmp_path: Path, gone: str) -> None:
    lossy = Path(shutil.copytree(whole, tmp_path / "lossy"))
    for path in lossy.glob(f"documents/*/*/{gone}"):
        path.unlink()

    with pytest.raises(Corrupt, match=r"documents\.sqlite is missing"):
        back_up(lossy, tmp_path / "backup", about=ABOUT)

    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["removed", "emptied"])
def test_a_folder_without_its_metadata_is_not_mistaken_for_a_new_one(
    whole: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    lossy = Path(shutil.copytree(whole, tmp_path / "lossy"))
    for path in lossy.glob("metadata.sqlite-*"):
        path.unlink()
    damage(lossy / "metadata.sqlite")
    before = {path: path.read_bytes() for path in lossy.rglob("*") if path.is_file()}

    with pytest.raises(Corrupt, match=r"holds documents but has lost its metadata\.sqlite"):
        assemble(settings_of(lossy))

    assert {path: path.read_bytes() for path in lossy.rglob("*") if path.is_file()} == before


def test_folders_in_use_are_never_overwritten(whole: Path, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine").write_text("x")

    with pytest.raises(InvalidField, match="TARGET: is not empty"):
        back_up(whole, tmp_path / "used", about=ABOUT)
    with pytest.raises(InvalidField, match="--data: is not empty"):
        restore(kept, tmp_path / "used")
    with pytest.raises(InvalidField, match="Is this a backup"):
        restore(whole, tmp_path / "new")
    with pytest.raises(InvalidField, match="Is this a data folder"):
        back_up(tmp_path / "used", tmp_path / "new", about=ABOUT)
    (tmp_path / "empty").mkdir()
    restore(kept, tmp_path / "empty")

    assert [path.name for path in (tmp_path / "used").iterdir()] == ["mine"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty", "used"]


def resigned(copy: Path, **edits: object) -> None:
    """Change a manifest together with its checksum."""
    from shoal.storage.checksums import manifest_checksum

    manifest = orjson.loads((copy / BACKUP_MANIFEST).read_bytes()) | edits
    (copy / BACKUP_MANIFEST).write_bytes(orjson.dumps(manifest | {"checksum": manifest_checksum(manifest)}))


def test_a_backup_of_a_newer_version_is_rejected(kept: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "copy"))
    resigned(copy, format=99)

    with pytest.raises(Conflict, match="newer Shoal"):
        restore(copy, tmp_path / "restored")


def test_a_backup_cannot_write_outside_its_folder(kept: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "copy"))
    resigned(copy, files={"../../escaped": {"bytes": 0, "sha256": ""}})

    with pytest.raises(Corrupt, match="outside"):
        restore(copy, tmp_path / "restored")

    assert not (tmp_path.parent / "escaped").exists()


def test_damage_in_the_folder_is_not_backed_up_silently(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "data"))
    os.truncate(only(copy, "documents/*/*/vectors/*/*/*.f32"), 8)

    with pytest.raises(Corrupt, match="shorter"):
        back_up(copy, tmp_path / "backup", about=ABOUT)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data"]
    assert list(copy.glob(".backup*")) == []
