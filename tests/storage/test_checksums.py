"""A corrupted byte on disk is detected, reported and isolated; everything else is still served."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import orjson
import pytest

from shoal.columns import DocumentBatch, VectorColumn
from shoal.errors import Corrupt
from shoal.records.scope import Scope
from shoal.storage.checksums import UNKNOWN, find_damaged_rows, row_checksums, text_checksum
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite.documents.store import SqliteDocuments
from single_writes import SqliteStore

COL, COUNT, DIMENSION = "col_1", 20, 6


def batch(names: list[str], start: float = 0.0) -> DocumentBatch:
    values = np.arange(len(names) * DIMENSION, dtype=np.float32).reshape(-1, DIMENSION) + np.float32(start)
    payloads = [orjson.dumps({"word": f"word {name}"}) for name in names]
    return DocumentBatch(names, payloads, {"text": VectorColumn(np.arange(len(names)), values)})


@pytest.fixture
def store(tmp_path: Path, scope: Scope, now: datetime) -> Iterator[SqliteDocuments]:
    opened = SqliteDocuments(tmp_path)
    opened.write(scope, COL, [batch([f"d{number:02d}" for number in range(COUNT)])], now=now)
    yield opened
    opened.close()


def segment(root: Path) -> Path:
    (path,) = root.rglob("*.f32")
    return path


def flip(path: Path, at: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def execute(root: Path, statement: str, *values: object) -> None:
    (path,) = root.rglob("documents.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("byte", [0, 11, DIMENSION * 4 - 1])
def test_a_flipped_bit_in_a_vector_is_reported_with_its_document_and_affects_nothing_else(
    store: SqliteDocuments, scope: Scope, tmp_path: Path, byte: int, bit: int
) -> None:
    flip(segment(tmp_path), 7 * DIMENSION * 4 + byte, bit)

    with pytest.raises(Corrupt, match="vector 'text' of document 'd07' is damaged") as told:
        store.load_matrix(scope, [COL], ["text"])
    with pytest.raises(Corrupt, match="'d07'"):
        store.get(scope, COL, ["d06", "d07"], vectors="all")

    assert told.value.details == {"document_id": "d07", "vector": "text", "damaged": 1}
    assert [found and found.document_id for found in store.get(scope, COL, ["d07"])] == ["d07"]
    others = [f"d{number:02d}" for number in range(COUNT) if number != 7]
    assert all(found and "text" in found.vectors for found in store.get(scope, COL, others, vectors="all"))


def test_a_damaged_list_of_vector_names_is_reported(store: SqliteDocuments, scope: Scope, tmp_path: Path) -> None:
    execute(tmp_path, "UPDATE vector_spaces SET dimension = 'x'")

    with pytest.raises(Corrupt, match="The list of vector names is damaged"):
        store.get(scope, COL, ["d01"], vectors="all")


def test_storing_the_document_again_repairs_it(
    store: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    flip(segment(tmp_path), 7 * DIMENSION * 4)

    store.write(scope, COL, [batch(["d07"], start=500.0)], now=now)

    matrix = store.load_matrix(scope, [COL], ["text"])
    assert len(matrix) == COUNT
    assert matrix.blocks["text"][7, 0] == 500.0


def test_a_slot_that_points_at_another_documents_vector_is_damage(
    store: SqliteDocuments, scope: Scope, tmp_path: Path
) -> None:
    execute(tmp_path, "UPDATE slots SET slot = 3 WHERE slot = 7")

    with pytest.raises(Corrupt, match="'d07'"):
        store.load_matrix(scope, [COL], ["text"])


def test_compaction_does_not_propagate_damage(store: SqliteDocuments, scope: Scope, tmp_path: Path) -> None:
    store.delete(scope, COL, [f"d{number:02d}" for number in range(10, COUNT)])
    flip(segment(tmp_path), 7 * DIMENSION * 4)

    with pytest.raises(Corrupt, match="'d07'"):
        store.compact(scope)
    store.delete(scope, COL, ["d07"])

    assert store.compact(scope) > 0
    assert len(store.load_matrix(scope, [COL], ["text"])) == 9


def test_compacted_vectors_keep_their_checksums(store: SqliteDocuments, scope: Scope, tmp_path: Path) -> None:
    store.delete(scope, COL, [f"d{number:02d}" for number in range(10, COUNT)])
    store.compact(scope)
    flip(segment(tmp_path), 5 * DIMENSION * 4)

    with pytest.raises(Corrupt, match="'d05'"):
        store.load_matrix(scope, [COL], ["text"])


def test_a_changed_payload_is_reported_with_its_document_wherever_it_is_read(
    store: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    execute(tmp_path, "UPDATE documents SET payload = replace(payload, 'd07', 'd0?') WHERE document_id = 'd07'")

    for ask in (
        lambda: store.get(scope, COL, ["d07"]),
        lambda: store.find(scope, COL, Query()),
        lambda: store.load_fields(scope, [COL], ["word"]),
        lambda: store.distinct(scope, COL, "word", Query().filter, 10),
        lambda: store.update(scope, COL, [("d07", {"more": 1})], now=now),
    ):
        with pytest.raises(Corrupt, match="payload of document 'd07' is damaged"):
            ask()
    assert store.get(scope, COL, ["d06"])[0] is not None
    store.update(scope, COL, [("d07", {"word": "whole again"})], now=now, merge=False)
    assert [found and found.payload for found in store.get(scope, COL, ["d07"])] == [{"word": "whole again"}]


def test_a_payload_that_is_no_longer_text_is_damage_and_not_a_bug(
    store: SqliteDocuments, scope: Scope, tmp_path: Path
) -> None:
    execute(tmp_path, "UPDATE documents SET payload = CAST(x'7b22fffe' AS TEXT) WHERE document_id = 'd07'")

    with pytest.raises(Corrupt):
        store.get(scope, COL, ["d07"])


def test_updating_a_document_updates_its_checksum(store: SqliteDocuments, scope: Scope, now: datetime) -> None:
    store.update(scope, COL, [("d01", {"more": {"deep": "ü"}})], now=now)
    store.update_where(scope, COL, Query().filter, {"all": True}, now=now)

    listed = store.find(scope, COL, Query())
    assert all(document.payload["all"] is True for document in listed.items)
    assert listed.items[1].payload == {"word": "word d01", "more": {"deep": "ü"}, "all": True}


def test_rows_stored_before_checksums_existed_are_read_without_verification(
    store: SqliteDocuments, scope: Scope, tmp_path: Path
) -> None:
    execute(tmp_path, "UPDATE documents SET checksum = NULL")
    execute(tmp_path, "UPDATE slots SET checksum = NULL")

    assert len(store.load_matrix(scope, [COL], ["text"])) == COUNT
    assert len(store.find(scope, COL, Query(), vectors="all").items) == 10


def test_a_changed_record_is_reported_and_the_others_are_served(tmp_path: Path, scope: Scope) -> None:
    store = SqliteStore(tmp_path / "metadata.sqlite")
    for name in ("one", "two"):
        store.insert(scope, "bucket", f"bkt_{name}", {"size": 1}, name=name)
    store.replace(scope, "bucket", "bkt_two", {"size": 2}, name="two", expect_version=1)
    with sqlite3.connect(tmp_path / "metadata.sqlite") as connection:
        connection.execute("UPDATE records SET body = '{\"size\":7}' WHERE id = 'bkt_one'")
    connection.close()

    with pytest.raises(Corrupt, match="record 'bkt_one' is damaged"):
        store.get(scope, "bucket", "bkt_one")
    two = store.get(scope, "bucket", "bkt_two")

    assert two is not None and two.body == {"size": 2}
    store.close()


def test_checksums_distinguish_rows_documents_and_spaces() -> None:
    values = np.ones((3, 4), dtype=np.float32)
    taken = row_checksums([1, 2, 3], 1, values)

    assert len({*taken, *row_checksums([1, 2, 3], 2, values)}) == 6
    assert find_damaged_rows([1, 2, 3], 1, values, np.array([taken[0], UNKNOWN, 5])).tolist() == [2]
    assert (
        len({text_checksum("a", "b"), text_checksum("b", "a"), text_checksum("a", "b", "c"), text_checksum("a")}) == 4
    )
