"""`shoal doctor` finds each kind of damage, names it, and removes nothing but leftovers."""

import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from faults.disk import NoDisk, small_disk
from ops.folders import flip, made, only, settings_of, update
from shoal.assemble import assemble
from shoal.cli.main import main
from shoal.durable import create_locked_file
from shoal.errors import Unavailable
from shoal.maintenance.backup import back_up
from shoal.maintenance.doctor import Report, examine, repair
from shoal.records.scope import Scope
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.sqlite.metadata import SqliteMetadata

Break = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "data"
    made(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of the folder that a test may damage."""
    return Path(shutil.copytree(whole, tmp_path / "data"))


def seen(folder: Path) -> Report:
    return examine(settings_of(folder), idle_minutes=0)


def documents_of(folder: Path) -> Path:
    return only(folder, "documents/*/*/documents.sqlite")


def segment_of(folder: Path) -> Path:
    """The vectors of the source collection, not those of the run's output."""
    (path,) = [path for path in folder.glob("documents/*/*/vectors/*/*/*.f32") if "@" not in str(path)]
    return path


def metadata_of(folder: Path) -> Path:
    return folder / "metadata.sqlite"


def files_of(folder: Path) -> dict[Path, int]:
    """The modification time of each file, without the side files that SQLite creates for a reader."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {path: path.stat().st_mtime_ns for path in files}


def test_an_intact_folder_is_healthy_and_was_checked_completely(folder: Path) -> None:
    before = files_of(folder)

    report = seen(folder)

    assert report.findings == []
    assert report.sound
    looked = dict(report.looked_at)
    assert looked["documents"] == "1 namespace, 123 documents, 63 vectors"
    assert looked["artifacts"] == "3 tables of 1 run"
    assert files_of(folder) == before


def put_schedule(folder: Path) -> Path:
    metadata = SqliteMetadata(metadata_of(folder))
    metadata.transact(lambda tx: tx.put_schedule(Scope("o", "n"), "s", datetime(2026, 1, 1, tzinfo=UTC), {}))
    metadata.close()
    return metadata_of(folder)


DAMAGES: dict[str, tuple[Break, str, str]] = {
    "a flipped byte of a vector": (
        lambda f: flip(segment_of(f), 5 * 8 * 4 + 1),
        "namespace ns_", "the vectors 'v' of document 'd0005' in vectors/",
    ),
    "a vector file that is too short": (
        lambda f: os.truncate(segment_of(f), 40),
        "namespace ns_", "is shorter than the 60 vectors that were stored in it",
    ),
    "a vector file that is missing": (
        lambda f: segment_of(f).unlink(),
        "namespace ns_", "is missing: the vectors of documents 'd0000', 'd0001'",
    ),
    "a changed payload": (
        lambda f: update(documents_of(f), "UPDATE documents SET payload = '{}' WHERE document_id = 'd0007'"),
        "namespace ns_", "the payloads of document 'd0007' are damaged",
    ),
    "a slot of no document": (
        lambda f: update(documents_of(f), "DELETE FROM documents WHERE document_id = 'd0009'"),
        "namespace ns_", "1 vectors in vectors/",
    ),
    "a vector that is not found": (
        lambda f: update(documents_of(f), "DELETE FROM slots WHERE slot = 3 AND segment = 1"),
        "namespace ns_", "the places of the vectors 'v' of document 'd",
    ),
    "a slot beyond the end": (
        lambda f: update(documents_of(f), "UPDATE slots SET slot = 999 WHERE slot = 3"),
        "namespace ns_", "have vectors beyond the end of vectors/",
    ),
    "a slot in no segment": (
        lambda f: update(documents_of(f), "UPDATE slots SET segment = 99 WHERE slot = 3"),
        "namespace ns_", "lie in segment 99, of which there is no record",
    ),
    "a document of no collection": (
        lambda f: update(documents_of(f), "UPDATE documents SET collection = 99 WHERE document_id = 'd0001'"),
        "namespace ns_", "1 documents belong to no collection",
    ),
    "a changed record": (
        lambda f: update(metadata_of(f), "UPDATE records SET body = replace(body, 'groups', 'croups') "
                         "WHERE kind = 'cluster'"),
        "metadata.sqlite", "the cluster 'clust_",
    ),
    "a damaged table": (
        lambda f: flip(only(f, "artifacts/*/*/*/*/members.parquet"), 200),
        "run run_", "its table 'members' is damaged or missing",
    ),
    "a missing table": (
        lambda f: only(f, "artifacts/*/*/*/*/members.parquet").unlink(),
        "run run_", "its table 'members' is damaged or missing",
    ),
    "missing artifacts": (
        lambda f: shutil.rmtree(only(f, "artifacts/*/*/*")),
        "run run_", "it is published, and its artifacts are missing",
    ),
    "a run that nobody will carry out": (
        lambda f: (
            update(metadata_of(f), "UPDATE records SET checksum = NULL, body = json_set(body, '$.status', 'pending') "
                   "WHERE kind = 'execution'"),
        ),
        "metadata.sqlite", "is pending, and no job will execute it",
    ),
    "a cluster that shows a run that is gone": (
        lambda f: update(metadata_of(f), "DELETE FROM records WHERE kind = 'execution'"),
        "metadata.sqlite", "which does not exist",
    ),
    "a run without its task": (
        lambda f: update(metadata_of(f), "DELETE FROM records WHERE kind = 'task'"),
        "metadata.sqlite", "has lost its task",
    ),
    "a job without its run": (
        lambda f: update(metadata_of(f), "UPDATE jobs SET state = 'queued', job_id = 'run_lost'"),
        "metadata.sqlite", "job run_lost is queued, and its run does not exist",
    ),
    "a saved reply that is damaged": (
        lambda f: update(metadata_of(f), "UPDATE replies SET status = 500"),
        "metadata.sqlite", "1 saved replies to requests with an idempotency key are damaged",
    ),
    "an event that is damaged": (
        lambda f: update(metadata_of(f), "UPDATE events SET data = '{}' WHERE number = 2"),
        "metadata.sqlite", "event 2 is damaged in the namespace ns_",
    ),
    "events that are damaged": (
        lambda f: update(metadata_of(f), "UPDATE events SET data = CAST(x'ff' AS TEXT) WHERE number < 3"),
        "metadata.sqlite", "2 events from 1 on are damaged in the namespace ns_",
    ),
    "a schedule that is damaged": (
        lambda f: update(metadata_of(f), "INSERT INTO schedules VALUES ('o', 'n', 's', 'x', '{}', 1, NULL, NULL, 7)"),
        "metadata.sqlite", "the schedule 's' of the namespace n is damaged",
    ),
    "a schedule whose time is damaged": (
        lambda f: update(put_schedule(f), "UPDATE schedules SET due = replace(due, '2026', '2096')"),
        "metadata.sqlite", "the schedule 's' of the namespace n is damaged",
    ),
    "a count of events that is damaged": (
        lambda f: update(metadata_of(f), "UPDATE event_heads SET namespace_id = CAST(x'ff' AS TEXT)"),
        "metadata.sqlite", "the numbers of the last events of 1 namespaces are damaged",
    ),
    "a receipt that is damaged": (
        lambda f: update(documents_of(f), "INSERT INTO receipts VALUES ('w', '2026-01-01', '{}', 7)"),
        "namespace ns_", "1 saved answers to document writes with an idempotency key are damaged",
    ),
    "an index that has lost a row": (
        lambda f: flip_page(documents_of(f), b"d0030"),
        "namespace ns_", "",
    ),
    "documents that are gone": (
        lambda f: documents_of(f).unlink(),
        "namespace ns_", "documents.sqlite is missing",
    ),
    "documents that are gone with all that was beside them": (
        lambda f: shutil.rmtree(f / "documents"),
        "namespace ns_", "documents.sqlite is missing",
    ),
    "artifacts that are gone": (
        lambda f: shutil.rmtree(f / "artifacts"),
        "run run_", "it is published, and its artifacts are missing",
    ),
    "metadata that are gone": (
        lambda f: metadata_of(f).unlink(),
        "metadata.sqlite", "is missing",
    ),
    "documents that are empty": (
        lambda f: os.truncate(documents_of(f), 0),
        "namespace ns_", "has lost its last",
    ),
    "metadata of zeros": (
        lambda f: metadata_of(f).write_bytes(b"\0" * 8192),
        "metadata.sqlite", "",
    ),
}  # fmt: skip


def flip_page(path: Path, text: bytes) -> None:
    """Change the last occurrence of a text: its index entry, not the row."""
    content = path.read_bytes()
    flip(path, content.rindex(text) + 4)


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damage_is_detected_and_identified(folder: Path, name: str) -> None:
    damage, where, problem = DAMAGES[name]
    damage(folder)

    report = seen(folder)

    found = [finding for finding in report.findings if finding.kind == "damage"]
    assert any(finding.where.startswith(where) and problem in finding.problem for finding in found), report.findings
    assert all(finding.remedy for finding in found)
    assert not report.sound
    assert repair(report, settings_of(folder)) == []


def test_lost_metadata_is_no_reason_to_suggest_removing_documents(folder: Path) -> None:
    metadata_of(folder).unlink()

    assert [finding.where for finding in seen(folder).findings] == ["metadata.sqlite"]


def test_documents_without_a_namespace_are_reported(folder: Path) -> None:
    update(metadata_of(folder), "DELETE FROM records WHERE kind = 'namespace'")

    (finding,) = [one for one in seen(folder).findings if one.where.startswith("namespace ns_")]

    assert (finding.kind, finding.problem) == ("problem", "no record refers to it")
    assert finding.remedy.startswith("If it was deleted, remove documents/org_")


def test_a_zeroed_page_is_not_mistaken_for_old_documents(folder: Path) -> None:
    path = documents_of(folder)
    content = bytearray(path.read_bytes())
    at = content.index(b"d0030") // 4096 * 4096
    content[at + 2048 : at + 4096] = bytes(2048)
    path.write_bytes(content)

    report = seen(folder)

    assert not report.sound
    assert not [finding for finding in report.findings if finding.kind == "note"]


def leftovers(folder: Path) -> list[Path]:
    """One leftover of each kind, as crashes leave them."""
    run = only(folder, "artifacts/*/*/*")
    namespace = documents_of(folder).parent
    stray = namespace / "vectors" / "col_gone" / "v" / "0000000099.f32"
    unnamed, part = run / "0123456789abcdef", run / ".fedcba.part"
    gone = run.parent / ".run_x.123.gone"
    dropped = namespace.with_name(".ns_dropped.0123456789ab.gone")
    for made_folder in (unnamed, part, gone, dropped):
        made_folder.mkdir()
        (made_folder / "members.parquet").write_bytes(b"x")
    stray.parent.mkdir(parents=True)
    spool, locks = folder / "spool" / "abc", [folder / kind / "12-ab.lock" for kind in ("workers", "servers")]
    single = folder / ".key.abc.part"
    for path in (stray, spool, *locks, single):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return [unnamed, part, gone, dropped, stray, spool, *locks, single]


def test_leftovers_are_reported_but_removed_only_on_request(folder: Path) -> None:
    left = leftovers(folder)

    report = seen(folder)

    assert {finding.path for finding in report.findings} == set(left)
    assert {finding.kind for finding in report.findings} == {"leftover"}
    assert report.sound
    assert all(path.exists() for path in left)
    assert {finding.path for finding in repair(report, settings_of(folder))} == set(left)
    assert not any(path.exists() for path in left)
    assert seen(folder).findings == []


def test_files_that_may_still_be_written_are_not_touched(folder: Path) -> None:
    leftovers(folder)

    assert examine(settings_of(folder), idle_minutes=60).findings == []


def test_a_key_file_that_others_can_read_is_reported(folder: Path) -> None:
    (folder / "key").chmod(0o644)

    report = seen(folder)

    assert [(finding.kind, finding.where) for finding in report.findings] == [("problem", "key")]
    assert "0644" in report.findings[0].problem
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o644
    assert not report.sound


def test_a_disk_below_its_reserve_is_reported(folder: Path) -> None:
    report = examine(settings_of(folder, disk_reserve_mib=900_000_000))

    assert [(finding.kind, finding.where) for finding in report.findings] == [("problem", "disk")]


@pytest.mark.parametrize("pattern", ["metadata.sqlite", "documents/*/*/documents.sqlite"])
def test_no_flipped_bit_in_a_database_escapes_both_the_reader_and_the_doctor(
    whole: Path, tmp_path: Path, pattern: str
) -> None:
    """Flip 150 single bits, each in a fresh copy: the doctor reports every change of a checksummed row as damage."""
    rng = random.Random(7)
    copy, size = tmp_path / "data", only(whole, pattern).stat().st_size
    rows = dump(only(whole, pattern))
    shutil.copytree(whole, copy)
    silent = []
    for _ in range(150):
        path, at, bit = only(copy, pattern), rng.randrange(size), rng.randrange(8)
        flip(path, at, bit)
        if dump(path) != rows and seen(copy).sound:
            silent.append((at, bit))
        shutil.copyfile(only(whole, pattern), path)

    assert silent == []


def dump(path: Path) -> Any:
    """All rows of a database; unreadable data is represented by a special value."""
    import sqlite3

    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        kept = sorted(tables & {b"records", b"documents", b"slots", b"segments", b"collections"})
        return [connection.execute(f'SELECT * FROM "{table.decode()}"').fetchall() for table in kept]
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError) as error:
        return str(error)
    finally:
        connection.close()


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["shoal", "doctor", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(str(ended.value.code or 0))


def test_the_command_reports_through_a_table_and_its_exit_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOAL_DISK_RESERVE_MIB", "0")
    assert command(monkeypatch, "--data", folder) == 0
    assert "✓ Sound." in capsys.readouterr().out
    flip(segment_of(folder), 0)

    assert command(monkeypatch, "--data", folder) == 1

    out = capsys.readouterr().out
    assert "✗ Not sound: 1 × damage." in out
    assert "d0000" in out


def test_the_command_can_print_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOAL_DISK_RESERVE_MIB", "0")
    left = leftovers(folder)

    assert command(monkeypatch, "--data", folder, "--json", "--repair", "--idle-minutes", "0") == 0

    report = orjson.loads(capsys.readouterr().out)
    assert report["sound"] is True
    assert {one["kind"] for one in report["findings"]} == {"leftover"}
    assert all(one["removed"] for one in report["findings"])
    assert set(report["versions"]) == {"shoal", "python", "sqlite"}
    assert not any(path.exists() for path in left)


def test_a_path_that_is_not_a_folder_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "--data", tmp_path / "nothing") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_in_its_last_step_is_not_damage(folder: Path) -> None:
    """Its results are recorded, but its worker has not yet removed it from the queue."""
    update(metadata_of(folder), "UPDATE jobs SET state = 'running', worker = 'w', lease_until = created_at")

    report = seen(folder)

    assert report.findings == []
    assert dict(report.looked_at)["records"].endswith(", 1 open job")


def test_empty_folders_of_killed_creations_are_removed(folder: Path) -> None:
    organization = only(folder, "documents/*")
    shutil.copytree(organization / only(folder, "documents/*/*").name, organization / "ns_riddle")
    (organization / "ns_killed").mkdir()
    half = folder / "artifacts" / organization.name / "ns_killed" / "run_killed"
    half.mkdir(parents=True)
    SqliteDocuments(folder / "documents").declare_vector(Scope(organization.name, "ns_declared"), "v", 2)

    report = seen(folder)
    removed = repair(report, settings_of(folder))

    empty = {finding.where for finding in removed}
    assert {f"documents/{organization.name}/{name}" for name in ("ns_killed", "ns_declared")} <= empty
    assert not half.exists() and not (organization / "ns_killed").exists()
    assert [(f.kind, f.where) for f in seen(folder).findings] == [("problem", "namespace ns_riddle")]


def test_an_empty_folder_that_is_filled_before_the_repair_is_kept(folder: Path) -> None:
    organization = only(folder, "documents/*").name
    half = folder / "artifacts" / organization / "ns_new" / "run_new"
    half.mkdir(parents=True)
    report = seen(folder)
    (half / "manifest.json").write_text("{}")

    repair(report, settings_of(folder))

    assert (half / "manifest.json").exists()


def test_an_upload_in_progress_is_not_a_leftover_however_old_it_looks(folder: Path) -> None:
    (folder / "spool").mkdir(exist_ok=True)
    (folder / "spool" / "abandoned").touch()
    with create_locked_file(folder / "spool") as path:
        os.utime(path, (0, 0))

        assert [finding.where for finding in seen(folder).findings] == ["spool/abandoned"]


@pytest.mark.process
def test_a_read_only_disk_is_reported(folder: Path, tmp_path: Path) -> None:
    try:
        with small_disk(64) as disk:
            shutil.copytree(folder, disk / "data")
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

            report = seen(disk / "data")
            with pytest.raises(Unavailable, match="mounted read-only"):
                back_up(disk / "data", tmp_path / "backup", about={})

            assert [(finding.kind, finding.where) for finding in report.findings] == [("note", "disk")]
            assert "mounted read-only" in report.findings[0].problem
    except NoDisk as reason:
        pytest.skip(str(reason))


def test_a_deleted_namespace_that_is_still_being_cleaned_up_is_a_note(folder: Path) -> None:
    services = assemble(settings_of(folder))
    organization = Scope(services.keys.organizations()[0].organization_id)
    with pytest.MonkeyPatch.context() as stopped:
        stopped.setattr(services.namespaces._removals, "_clear", lambda *_: None)
        services.namespaces.remove(organization, "default")
    services.close()

    assert [(finding.kind, finding.where.partition(" ")[0]) for finding in seen(folder).findings] == [
        ("note", "namespace")
    ]
