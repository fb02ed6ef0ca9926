"""One SQLite file, shared by threads and processes."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from shoal.errors import Conflict, Corrupt, InsufficientStorage, Unavailable
from shoal.storage.sqlite.database import Database

SCHEMA = (
    "CREATE TABLE words (word TEXT PRIMARY KEY, number INTEGER);",
    "ALTER TABLE words ADD COLUMN note TEXT;"
    "CREATE TRIGGER noted AFTER INSERT ON words BEGIN"
    "  UPDATE words SET note = 'semi;colon' WHERE word = new.word; SELECT 1;"
    "END;",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path, SCHEMA)
    yield database
    database.close()


def insert(connection: sqlite3.Connection, word: str, number: int = 0) -> None:
    connection.execute("INSERT INTO words (word, number) VALUES (?, ?)", (word, number))


def add(database: Database, word: str, number: int = 0) -> None:
    with database.transaction() as connection:
        insert(connection, word, number)


def words(database: Database) -> list[str]:
    return [row[0] for row in database.read().execute("SELECT word FROM words ORDER BY word")]


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def write() -> None:
        with database.transaction() as connection:
            insert(connection, "one")
            insert(connection, "two")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()

    assert words(database) == []


def test_a_nested_transaction_is_reported_as_a_bug_and_the_outer_one_continues(database: Database) -> None:
    with database.transaction() as connection:
        insert(connection, "before")
        with pytest.raises(RuntimeError, match="inside a transaction"):
            add(database, "inner")
        insert(connection, "after")

    assert words(database) == ["after", "before"]


def test_an_uncaught_inner_transaction_rolls_back_the_outer_one(database: Database) -> None:
    def write() -> None:
        with database.transaction() as connection:
            insert(connection, "before")
            add(database, "inner")

    with pytest.raises(RuntimeError, match="inside a transaction"):
        write()

    assert words(database) == []


def test_another_thread_sees_a_transaction_only_after_its_commit(database: Database) -> None:
    with ThreadPoolExecutor(1) as other:
        with database.transaction() as connection:
            insert(connection, "one")
            during = other.submit(words, database).result()
        after = other.submit(words, database).result()

    assert (during, after) == ([], ["one"])


def test_a_snapshot_does_not_see_what_was_written_since(database: Database) -> None:
    with ThreadPoolExecutor(1) as other, database.snapshot():
        before = words(database)
        other.submit(add, database, "one").result()
        during = words(database)

    assert (before, during, words(database)) == ([], [], ["one"])


def test_a_write_inside_a_snapshot_is_reported_as_a_bug(database: Database) -> None:
    with database.snapshot(), pytest.raises(RuntimeError, match="snapshot"):
        add(database, "one")

    add(database, "one")
    assert words(database) == ["one"]


def test_writers_take_turns_in_order_of_arrival(database: Database) -> None:
    order: list[int] = []

    def write(number: int) -> None:
        with database.transaction():
            order.append(number)

    with database.transaction():
        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for number, thread in enumerate(threads):
            thread.start()
            while len(database._writers._waiting) <= number:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()

    assert order == list(range(8))


def test_many_threads_increment_without_a_lost_update(database: Database) -> None:
    add(database, "sum", 0)

    def count() -> None:
        for _ in range(25):
            with database.transaction() as connection:
                (number,) = connection.execute("SELECT number FROM words").fetchone()
                connection.execute("UPDATE words SET number = ?", (number + 1,))

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(count) for _ in range(8)]:
            done.result()

    assert database.read().execute("SELECT number FROM words").fetchall() == [(200,)]


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_locked_by_another_program_is_unavailable_and_then_works(database: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database.read().execute("PRAGMA busy_timeout=10")

    with pytest.raises(Unavailable, match="busy"):
        add(database, "one")
    other.close()
    add(database, "two")

    assert words(database) == ["two"]


def test_waiting_for_a_thread_that_never_ends_times_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.storage.sqlite.database._WAIT_SECONDS", 0.05)

    with database.transaction(), ThreadPoolExecutor(1) as other:
        refused = other.submit(add, database, "one").exception()
    add(database, "two")

    assert isinstance(refused, Unavailable)
    assert words(database) == ["two"]


def test_a_full_disk_stores_nothing_of_a_transaction_and_recovers(database: Database) -> None:
    (pages,) = database.read().execute("PRAGMA page_count").fetchone()
    database.read().execute(f"PRAGMA max_page_count={pages + 4}")

    def write() -> None:
        with database.transaction() as connection:
            for number in range(1000):
                insert(connection, f"{number:05d}" * 100)

    with pytest.raises(InsufficientStorage, match="disk is full"):
        write()
    database.read().execute("PRAGMA max_page_count=100000")
    add(database, "one")

    assert words(database) == ["one"]


def test_a_transaction_rolled_back_by_sqlite_does_not_pass_for_a_success(database: Database) -> None:
    def write() -> None:
        with database.transaction() as connection:
            insert(connection, "one")
            connection.execute("ROLLBACK")  # as SQLite itself does on an I/O error

    with pytest.raises(Unavailable, match="nothing of it was stored"):
        write()

    assert words(database) == []


def test_writing_after_sqlite_rolled_back_is_rejected_at_once(database: Database) -> None:
    def write() -> None:
        with database.transaction() as connection:
            connection.execute("ROLLBACK")  # as SQLite itself does on an I/O error
            add(database, "one")

    with pytest.raises(Unavailable, match="nothing of it was stored"):
        write()
    add(database, "two")

    assert words(database) == ["two"]


def test_a_file_that_is_not_a_database_is_corrupt(path: Path) -> None:
    path.write_bytes(b"This is a text, and a long one, which SQLite cannot take for a database. " * 100)

    with pytest.raises(Corrupt):
        Database(path, SCHEMA)


def test_a_damaged_page_is_corrupt(database: Database, path: Path) -> None:
    with database.transaction() as connection:
        for number in range(2000):
            insert(connection, f"{number:05d}" * 20)
    database.close()
    content = bytearray(path.read_bytes())
    for page in range(2 * 4096, len(content), 4096):
        content[page : page + 64] = b"\xee" * 64
    path.write_bytes(bytes(content))

    with pytest.raises(Corrupt, match=rf"{path.parent.name}/{path.name} is damaged \("):
        words(Database(path, SCHEMA))


def test_a_mistake_in_our_own_sql_is_not_disguised(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        database.read().execute("SELECT colour FROM words")


def test_a_folder_that_cannot_be_created_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(Unavailable, match="data folder"):
        Database(tmp_path / "file" / "words.sqlite", SCHEMA)


# ── formats ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_old_file_is_migrated_to_the_current_format_with_its_rows(path: Path) -> None:
    old = Database(path, SCHEMA[:1])
    add(old, "one")
    old.close()

    present = Database(path, SCHEMA)
    add(present, "two")
    rows = present.read().execute("SELECT word, note FROM words ORDER BY word").fetchall()
    present.close()

    assert rows == [("one", None), ("two", "semi;colon")]


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    Database(path, SCHEMA[:1]).close()

    with pytest.raises(sqlite3.OperationalError):
        Database(path, (SCHEMA[0], "CREATE TABLE more (x); CREATE TABLE words (x);"))
    repaired = Database(path, (SCHEMA[0], "CREATE TABLE more (x);"))

    assert repaired.read().execute("SELECT count(*) FROM more").fetchall() == [(0,)]
    repaired.close()


def test_a_file_of_a_newer_version_is_rejected_with_the_remedy(path: Path) -> None:
    Database(path, SCHEMA).close()

    with pytest.raises(Conflict, match=r"words\.sqlite was written by a newer Shoal .* Install the newer version"):
        Database(path, SCHEMA[:1])


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_commits_are_synchronous_and_the_file_is_private(database: Database, path: Path) -> None:
    settings = {
        name: database.read().execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_a_thread_that_ends_closes_its_connection(database: Database, path: Path) -> None:
    def open_files() -> int:
        return sum(file.path == str(path) for file in psutil.Process().open_files())

    before = open_files()
    for number in range(20):
        thread = threading.Thread(target=add, args=(database, str(number)))
        thread.start()
        thread.join()

    # SQLite retains one descriptor while a lock is held elsewhere and reuses it for the next connection.
    assert before == 1
    assert open_files() <= 2


def test_close_closes_the_connections_of_all_threads(database: Database, path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(lambda number: add(database, str(number)), range(16)))) == 16
        database.close()
        database.close()
        left = [file.path for file in psutil.Process().open_files() if file.path.startswith(str(path))]

    assert left == []
    with pytest.raises(Unavailable, match="closed"):
        words(database)


def test_sql_functions_are_registered_on_the_connection_of_each_thread(path: Path) -> None:
    database = Database(path, SCHEMA, setup=lambda connection: connection.create_function("twice", 1, lambda x: 2 * x))

    def ask() -> int:
        return int(database.read().execute("SELECT twice(21)").fetchone()[0])

    with ThreadPoolExecutor(1) as other:
        answers = [ask(), other.submit(ask).result()]
    database.close()

    assert answers == [42, 42]


FORKING = """
import os, sys
from pathlib import Path
from shoal.storage.sqlite.database import Database
database = Database(Path(sys.argv[1]), ())
def add(word):
    with database.transaction() as connection:
        connection.execute("INSERT INTO words (word) VALUES (?)", (word,))
add("parent before")
child = os.fork()
if child == 0:
    add("child")
    database.close()
    os._exit(0)
status = os.waitpid(child, 0)[1]
add("parent after")
database.close()
sys.exit(status)
"""


@pytest.mark.process
def test_both_sides_of_a_fork_may_continue_writing(path: Path) -> None:
    script = FORKING.replace("()", repr(SCHEMA), 1)

    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)

    database = Database(path, SCHEMA)
    assert words(database) == ["child", "parent after", "parent before"]
    assert database.read().execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


OPENING = """
import sys
from pathlib import Path
from shoal.storage.sqlite.database import Database
sys.stdin.readline()
for number in range(10):
    database = Database(Path(sys.argv[1]) / f"{number}.sqlite", SCHEMA)
    with database.transaction() as connection:
        connection.execute("INSERT INTO words (word) VALUES (?)", (sys.argv[2],))
    database.close()
"""


@pytest.mark.process
def test_processes_may_open_a_new_file_concurrently(tmp_path: Path) -> None:
    script = OPENING.replace("SCHEMA", repr(SCHEMA))
    racers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name], stdin=subprocess.PIPE) for name in "abc"
    ]
    for racer in racers:
        racer.communicate(b"go\n", timeout=60)

    assert [racer.returncode for racer in racers] == [0, 0, 0]
    for number in range(10):
        database = Database(tmp_path / f"{number}.sqlite", SCHEMA)
        assert words(database) == ["a", "b", "c"]
        database.close()
