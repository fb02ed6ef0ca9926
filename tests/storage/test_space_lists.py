"""A vector with a damaged slot is reported as missing, because each document lists its vector spaces."""

import contextlib
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import deadline
from shoal.columns import DocumentBatch, VectorColumn
from shoal.errors import Corrupt, OutOfTime
from shoal.records.scope import Scope
from shoal.storage.sqlite.documents.namespaces import DOCUMENTS_FORMAT
from shoal.storage.sqlite.documents.space_lists import read_space_list, space_list, space_lists
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.sqlite.inspection import check_file, inspect_namespace
from shoal.storage.sqlite.migrations import format_of

COL, COUNT = "col_1", 20
IDS = [f"d{number:02d}" for number in range(COUNT)]


def batch(ids: list[str], *, image: bool = True) -> DocumentBatch:
    """Every document has a `text`, every second one an `image`."""
    text = np.arange(len(ids) * 4, dtype=np.float32).reshape(-1, 4)
    vectors = {"text": VectorColumn(np.arange(len(ids)), text)}
    if image:
        rows = np.arange(0, len(ids), 2)
        vectors["image"] = VectorColumn(rows, np.ones((len(rows), 3), dtype=np.float32))
    return DocumentBatch(ids, [b'{"word":1}'] * len(ids), vectors)


@pytest.fixture
def whole(tmp_path: Path, scope: Scope, now: datetime) -> Path:
    """A folder whose journal is empty."""
    root = tmp_path / "whole"
    store = SqliteDocuments(root)
    store.write(scope, COL, [batch(IDS)], now=now)
    store.checkpoint()
    store.close()
    return root


@pytest.fixture
def store(whole: Path) -> Iterator[SqliteDocuments]:
    opened = SqliteDocuments(whole)
    yield opened
    opened.close()


def database(root: Path) -> Path:
    (path,) = root.rglob("documents.sqlite")
    return path


def execute(root: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(database(root)) as connection:
        connection.execute(statement, values)
    connection.close()


def slot_keys(path: Path) -> list[tuple[int, int]]:
    """(first byte, bytes) in the file of the two key columns of each row of `slots`, and of their types."""
    connection = sqlite3.connect(path)
    ((root, size),) = connection.execute(
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'slots'"
    ).fetchall()
    connection.close()
    content = path.read_bytes()
    start = (root - 1) * size
    assert content[start] == 0x0A, "one leaf holds all rows"
    (cells,) = struct.unpack_from(">H", content, start + 3)
    found = []
    for number in range(cells):
        (offset,) = struct.unpack_from(">H", content, start + 8 + 2 * number)
        record = start + offset + 1  # after the length, one byte for so short a row
        header = content[record]
        types = content[record + 1 : record + 3]
        width = sum({1: 1, 8: 0, 9: 0}[each] for each in types)
        found += [(record + 1, 2), (record + header, width)]
    return found


def asked(root: Path, scope: Scope) -> list[Callable[[SqliteDocuments], Any]]:
    def matrix(store: SqliteDocuments, name: str) -> Any:
        read = store.load_matrix(scope, [COL], [name])
        return read.ids, read.blocks[name].tolist()

    def listed(store: SqliteDocuments) -> Any:
        found = store.get(scope, COL, IDS, vectors="all")
        return [one and {name: row.tolist() for name, row in one.vectors.items()} for one in found]

    return [lambda store: matrix(store, "text"), lambda store: matrix(store, "image"), listed]


def answers(root: Path, scope: Scope) -> list[Any]:
    """The answer to each query, or "damaged" if damage is reported."""
    store, given = SqliteDocuments(root), []
    try:
        for ask in asked(root, scope):
            try:
                given.append(ask(store))
            except Corrupt:
                given.append("damaged")
    except Corrupt:
        given.append("damaged")
    finally:
        store.close()
    return given


def test_every_flipped_bit_in_a_slot_key_is_reported_by_reads_and_by_the_doctor(
    whole: Path, scope: Scope, tmp_path: Path
) -> None:
    expected = answers(whole, scope)
    assert "damaged" not in expected
    keys = slot_keys(database(whole))
    assert len(keys) == 2 * (COUNT + COUNT // 2)
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    folder, content = database(copy).parent, database(whole).read_bytes()
    # Beginning, middle and end of the page; testing all rows takes minutes and finds the same.
    for first, width in [*keys[:6], *keys[26:34], *keys[-4:]]:
        for bit in range(8 * width):
            flipped = bytearray(content)
            flipped[first + bit // 8] ^= 1 << bit % 8
            for beside in folder.glob("documents.sqlite*"):
                beside.unlink()
            shutil.copytree(database(whole).parent, folder, dirs_exist_ok=True)
            database(copy).write_bytes(flipped)
            given = answers(copy, scope)
            others = [answer for answer, whole_one in zip(given, expected, strict=True) if answer != whole_one]
            assert others and set(others) == {"damaged"}, (first, bit)
            assert given[-1] == "damaged", (first, bit)
            _, wrong = check_file(folder / "documents.sqlite", DOCUMENTS_FORMAT, quick=True)
            assert wrong or inspect_namespace(folder).damage, (first, bit)


def test_a_lost_slot_is_reported_with_its_document_and_storing_it_again_repairs_it(
    store: SqliteDocuments, whole: Path, scope: Scope, now: datetime
) -> None:
    execute(whole, "DELETE FROM slots WHERE document = 8 AND space = 1")

    with pytest.raises(Corrupt, match=r"'text' of document 'd07' is damaged on disk\. Store the document") as told:
        store.load_matrix(scope, [COL], ["text"])
    with pytest.raises(Corrupt, match="vector 'text' of document 'd07'"):
        store.get(scope, COL, IDS, vectors="all")
    assert told.value.details == {"document_id": "d07", "vector": "text", "damaged": 1}
    assert store.get(scope, COL, ["d07"])[0] is not None
    assert store.load_matrix(scope, [COL], ["image"]).missing == COUNT // 2
    assert inspect_namespace(database(whole).parent).damage == [
        "the places of the vectors 'text' of document 'd07' are damaged"
    ]
    store.write(scope, COL, [batch(["d07"])], now=now)
    assert store.load_matrix(scope, [COL], ["text"]).missing == 0
    assert inspect_namespace(database(whole).parent).damage == []


def test_a_vector_that_a_document_does_not_list_is_damage(store: SqliteDocuments, whole: Path, scope: Scope) -> None:
    """Also one from before checksums, which nothing else would detect."""
    execute(whole, "UPDATE slots SET checksum = NULL")
    execute(whole, "UPDATE slots SET document = 2 WHERE document = 1 AND space = 2")

    with pytest.raises(Corrupt, match="'image' of document 'd00', and of 1 more,"):
        store.load_matrix(scope, [COL], ["image"])
    with pytest.raises(Corrupt, match="'image' of document 'd01'"):
        store.get(scope, COL, ["d01"], vectors="all")
    assert len(store.load_matrix(scope, [COL], ["text"])) == COUNT


def test_a_damaged_list_is_reported_and_rewritten(
    store: SqliteDocuments, whole: Path, scope: Scope, now: datetime
) -> None:
    execute(whole, "UPDATE documents SET spaces = x'31' WHERE number = 4")

    with pytest.raises(Corrupt, match="The list of vectors of document 'd03' is damaged"):
        store.get(scope, COL, ["d03"], vectors="all")
    assert inspect_namespace(database(whole).parent).damage == ["the lists of vectors of document 'd03' are damaged"]
    with pytest.raises(Corrupt, match="'d03'"):
        store.update(scope, COL, [("d03", {})], now=now, vectors=batch(["d03"]))
    store.write(scope, COL, [batch(["d03"])], now=now)
    assert store.get(scope, COL, ["d03"], vectors="all")[0] is not None


def test_a_vector_under_another_name_is_damage(store: SqliteDocuments, whole: Path, scope: Scope) -> None:
    execute(whole, "UPDATE vector_spaces SET name = 'tezt' WHERE name = 'text'")

    with pytest.raises(Corrupt, match="The list of vector names is damaged"):
        store.get(scope, COL, IDS, vectors="all")
    assert "the name of vectors 'tezt' is damaged" in inspect_namespace(database(whole).parent).damage


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE slots SET segment = 99 WHERE document = 3",
        "UPDATE slots SET slot = 999 WHERE document = 3",
        "UPDATE slots SET slot = -1 WHERE document = 3",
        "UPDATE slots SET slot = 'x' WHERE document = 3",
        "UPDATE segments SET slots = -5",
        "UPDATE segments SET slots = 1",
        "UPDATE segments SET slots = 'x'",
    ],
)
def test_a_slot_that_points_nowhere_is_damage_and_not_a_bug(
    store: SqliteDocuments, whole: Path, scope: Scope, damage: str
) -> None:
    execute(whole, damage)

    for ask in (
        lambda: store.load_matrix(scope, [COL], ["text"]),
        lambda: store.get(scope, COL, ["d00", "d02"], vectors="all"),
    ):
        with pytest.raises(Corrupt):
            ask()
    assert inspect_namespace(database(whole).parent).damage


def listed(root: Path) -> dict[str, set[int]]:
    """The lists of the rows, each checked against `slots`."""
    connection = sqlite3.connect(database(root))
    rows = connection.execute("SELECT number, document_id, spaces FROM documents").fetchall()
    placed = connection.execute("SELECT document, space FROM slots").fetchall()
    connection.close()
    lists = {id: read_space_list(number, kept) for number, id, kept in rows}
    assert {(number, space) for number, id, _ in rows for space in lists[id] or ()} == set(placed)
    return {id: set(spaces or ()) for id, spaces in lists.items()}


def test_every_write_maintains_the_lists(store: SqliteDocuments, whole: Path, scope: Scope, now: datetime) -> None:
    assert listed(whole)["d00"] == {1, 2}
    assert listed(whole)["d01"] == {1}

    store.write(scope, COL, [batch(["d00", "new"], image=False)], now=now)  # d00 is replaced and no longer has an image
    assert (listed(whole)["d00"], listed(whole)["new"]) == ({1}, {1})
    store.update(scope, COL, [("d01", {})], now=now, vectors=batch(["d01"]))
    assert listed(whole)["d01"] == {1, 2}
    store.write(scope, COL, [DocumentBatch(["d02", "bare"], [b"{}", b"{}"])], now=now)
    assert (listed(whole)["d02"], listed(whole)["bare"]) == (set(), set())
    store.update(scope, COL, [("d03", {"more": 1})], now=now)
    store.delete(scope, COL, [f"d{number:02d}" for number in range(8, 16)])
    assert store.compact(scope) > 0
    assert listed(whole)["d04"] == {1, 2}
    assert inspect_namespace(database(whole).parent).damage == []
    assert len(store.load_matrix(scope, [COL], ["image"])) == 5


def test_a_file_of_format_6_gets_its_lists_and_gives_the_same_answers(whole: Path, scope: Scope) -> None:
    expected = answers(whole, scope)
    for table, column in (("documents", "spaces"), ("vector_spaces", "checksum")):
        execute(whole, f"ALTER TABLE {table} DROP COLUMN {column}")
    for table in ("receipts", "result_fences"):
        execute(whole, f"DROP TABLE {table}")
    execute(whole, "ALTER TABLE written DROP COLUMN step")
    execute(whole, "PRAGMA user_version = 6")
    assert inspect_namespace(database(whole).parent).damage == []  # the doctor reads it without migrating

    with deadline.within(1e-9), contextlib.suppress(OutOfTime):  # the deadline does not cut off the step
        answers(whole, scope)
    assert format_of(sqlite3.connect(database(whole))) == DOCUMENTS_FORMAT
    assert answers(whole, scope) == expected

    assert listed(whole)["d00"] == {1, 2}
    assert inspect_namespace(database(whole).parent).damage == []


def test_a_list_belongs_to_one_document_and_detects_each_flipped_bit() -> None:
    one = space_list(7, [4, 1])

    assert read_space_list(7, one) == frozenset({1, 4})
    assert read_space_list(8, one) is None
    assert read_space_list(7, space_list(7, [])) == frozenset()
    assert space_lists([7, 8], [(1, 4), ()]) == [one, space_list(8, [])]
    for bit in range(8 * len(one)):
        flipped = bytearray(one)
        flipped[bit // 8] ^= 1 << bit % 8
        assert read_space_list(7, bytes(flipped)) is None
    assert read_space_list(7, None) is None


def test_a_collection_with_a_damaged_key_is_not_mistaken_for_an_empty_one(
    whole: Path, scope: Scope, now: datetime
) -> None:
    """The key is stored in the table and in its index: if either is damaged, the other shows it."""
    content = database(whole).read_bytes()
    places = [at for at in range(len(content)) if content.startswith(COL.encode(), at)]
    assert len(places) == 2
    for at in places:
        flipped = bytearray(content)
        flipped[at + 2] ^= 4
        database(whole).write_bytes(flipped)
        store = SqliteDocuments(whole)
        said = pytest.raises(Corrupt, match="The list of collections is damaged at 'col_1'")
        with said:
            store.count(scope, COL)
        with said:
            store.load_matrix(scope, [COL, "col_2"], ["text"])
        with said:
            store.write(scope, COL, [batch(["new"])], now=now)
        store.close()
