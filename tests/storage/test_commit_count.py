"""A damaged, truncated or missing write-ahead log is detected, though SQLite takes it for a shorter one."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.errors import Corrupt
from shoal.storage.sqlite.database import Database
from shoal.storage.sqlite.inspection import check_file

SCHEMA = ["CREATE TABLE things (name TEXT)"]
COMMITS = 20
PAGE = 4096


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The files of a database whose process was killed before its log was checkpointed."""
    database = Database(tmp_path / "live" / "things.sqlite", SCHEMA)
    for number in range(COMMITS):
        write(database, f"thing {number}")
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    database.close()
    return tmp_path / "killed" / "things.sqlite"


def write(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES (?)", (name,))


def names(path: Path) -> int:
    database = Database(path, SCHEMA)
    try:
        return int(database.read().execute("SELECT count(*) FROM things").fetchone()[0])
    finally:
        database.close()


def log_of(path: Path) -> Path:
    return path.with_name("things.sqlite-wal")


def commits_of(path: Path) -> Path:
    return path.with_name("things.sqlite-commits")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE)


def test_an_intact_log_is_replayed(killed: Path) -> None:
    assert names(killed) == COMMITS
    assert names(killed) == COMMITS


@pytest.mark.parametrize("damage", [Path.unlink, cut, lambda path: os.truncate(path, 0)], ids=["gone", "cut", "empty"])
def test_an_incomplete_log_is_rejected(killed: Path, damage: Callable[[Path], None]) -> None:
    damage(log_of(killed))

    with pytest.raises(Corrupt, match=r"killed/things\.sqlite has lost its last ([\d,]+ )?change"):
        names(killed)
    assert "has lost its last" in check_file(killed, len(SCHEMA))[1][0]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["removed", "emptied"])
@pytest.mark.parametrize("log", ["with its log", "without"])
def test_a_missing_database_is_not_mistaken_for_a_new_one(
    killed: Path, damage: Callable[[Path], None], log: str
) -> None:
    damage(killed)
    if log == "without":
        log_of(killed).unlink()

    for _ in range(2):  # the first may have recreated the file
        with pytest.raises(Corrupt, match=rf"has lost its last {COMMITS + 1} changes"):
            names(killed)
    assert "has lost its last" in check_file(killed, len(SCHEMA))[1][0]


@pytest.mark.parametrize("change", ["mirror = 7", "count = 'x', mirror = 0", "id = 'text'", "id = x'00'"])
@pytest.mark.parametrize("noted", [True, False])
def test_a_damaged_count_is_rejected_immediately(killed: Path, change: str, noted: bool) -> None:
    if not noted:
        commits_of(killed).unlink()
    with sqlite3.connect(killed) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute(f"UPDATE commit_count SET {change}")
    connection.close()

    with pytest.raises(Corrupt, match="has a damaged commit counter"):
        names(killed)
    assert "has a damaged commit counter" in check_file(killed, len(SCHEMA))[1][0]


def test_a_flipped_bit_anywhere_in_the_log_is_rejected_or_changes_nothing(killed: Path) -> None:
    content, commits = log_of(killed).read_bytes(), commits_of(killed).read_bytes()
    refused = 0
    for at in range(0, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[at] ^= 1
        for beside in killed.parent.glob("things.sqlite-*"):
            beside.unlink()
        log_of(killed).write_bytes(damaged)
        commits_of(killed).write_bytes(commits)
        kept = killed.read_bytes()
        try:
            assert names(killed) == COMMITS
        except Corrupt:
            refused += 1
        killed.write_bytes(kept)

    assert refused > 50


def test_a_file_truncated_within_a_page_is_rejected_unless_its_log_holds_the_page(killed: Path, tmp_path: Path) -> None:
    database = Database(tmp_path / "large" / "things.sqlite", SCHEMA)
    for number in range(COMMITS):
        write(database, f"thing {number}" * 1000)
    shutil.copytree(tmp_path / "large", tmp_path / "before")  # all pages are in the log
    database.close()
    closed, held = tmp_path / "large" / "things.sqlite", tmp_path / "before" / "things.sqlite"
    os.truncate(closed, closed.stat().st_size - 700)
    with held.open("r+b") as file:
        file.truncate(held.stat().st_size - 700)

    assert names(held) == COMMITS
    with pytest.raises(Corrupt, match="is truncated"):
        names(closed)
    assert "is truncated" in check_file(closed, len(SCHEMA))[1][0]


def test_deleting_the_count_accepts_the_loss_and_continues(killed: Path) -> None:
    cut(log_of(killed))
    with pytest.raises(Corrupt, match=r"delete things\.sqlite-commits beside it"):
        names(killed)

    commits_of(killed).unlink()

    assert names(killed) < COMMITS
    database = Database(killed, SCHEMA)
    write(database, "one more")
    database.close()
    assert names(killed)


@pytest.mark.parametrize("content", [b"", b"\xff" * 12, b"\xff" * 400], ids=["empty", "torn", "longer"])
def test_a_torn_count_blocks_no_operation(killed: Path, content: bytes) -> None:
    commits_of(killed).write_bytes(content)

    assert names(killed) == COMMITS

    database = Database(killed, SCHEMA)
    write(database, "one more")
    shutil.copytree(killed.parent, killed.parent.with_name("later"))
    database.close()
    later = killed.parent.with_name("later") / killed.name
    cut(log_of(later))
    with pytest.raises(Corrupt, match="has lost its last"):  # counting has resumed
        names(later)


def test_transactions_without_changes_are_not_counted(tmp_path: Path) -> None:
    database = Database(tmp_path / "things.sqlite", SCHEMA)
    write(database, "one")
    before = commits_of(tmp_path / "things.sqlite").read_bytes()

    with database.transaction() as connection:
        connection.execute("SELECT * FROM things").fetchall()
    assert commits_of(tmp_path / "things.sqlite").read_bytes() == before

    write(database, "two")
    assert commits_of(tmp_path / "things.sqlite").read_bytes() != before
    database.close()


def test_the_count_of_a_removed_file_does_not_apply_to_its_successor(tmp_path: Path) -> None:
    path = tmp_path / "things.sqlite"
    old = Database(path, SCHEMA)
    for number in range(COMMITS):
        write(old, f"thing {number}")
    for file in tmp_path.iterdir():
        file.unlink()
    Database(path, SCHEMA).close()
    write(old, "too late")  # SQLite allows it: the file has been unlinked
    old.close()

    assert names(path) == 0


def test_a_commit_creates_no_file_in_a_folder_being_removed(tmp_path: Path) -> None:
    database = Database(tmp_path / "things.sqlite", SCHEMA)
    write(database, "one")
    commits_of(tmp_path / "things.sqlite").unlink()

    write(database, "two")

    assert not commits_of(tmp_path / "things.sqlite").exists()
    database.close()
