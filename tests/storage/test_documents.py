"""The contract of every document store, and what the SQLite store adds: files, crashes, multiple processes."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shoal.columns import DocumentBatch, Matrix, VectorColumn
from shoal.errors import AlreadyExists, Corrupt, InvalidField, Unavailable
from shoal.records.queries.filters import MATCH_ALL, Condition, parse_filter
from shoal.records.queries.paging import Page, Sort
from shoal.records.scope import Scope
from shoal.storage.memory.documents import MemoryDocuments
from shoal.storage.protocols.documents import DerivedVectors, DocumentStore, StoredDocument, WriteCount
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite.documents.store import SqliteDocuments

COL = "col_1"
RUN = "col_1@run_7"
Fields = dict[str, Any]


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DocumentStore]:
    """Each document store; to add one, add a param."""
    stores: dict[str, Callable[[], DocumentStore]] = {
        "sqlite": lambda: SqliteDocuments(tmp_path / "documents"),
        "memory": MemoryDocuments,
    }
    made = stores[request.param]()
    yield made
    made.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[SqliteDocuments]:
    """The SQLite store with segments of 10 rows of 4 dimensions, so that they roll over."""
    made = SqliteDocuments(tmp_path / "documents", segment_bytes=160)
    yield made
    made.close()


def vector(seed: int, dimension: int = 4) -> list[float]:
    """Distinct rows that are easy to recognise."""
    return [float(seed * 10 + place) for place in range(dimension)]


def batch(documents: dict[str, Fields], **vectors: dict[str, list[float]]) -> DocumentBatch:
    """A batch of documents; `vectors` gives, for each name, the vectors by id."""
    ids = list(documents)
    columns = {}
    for name, by_id in vectors.items():
        rows = [row for row, document_id in enumerate(ids) if document_id in by_id]
        if not rows:
            continue
        values = np.array([by_id[ids[row]] for row in rows], dtype=np.float32)
        columns[name] = VectorColumn(np.array(rows, dtype=np.int64), values)
    return DocumentBatch(ids, [orjson.dumps(payload) for payload in documents.values()], columns)


def numbered(numbers: Iterable[int]) -> DocumentBatch:
    """Documents `d000`, `d001`, …, each with its number in the payload and in its vector."""
    chosen = list(numbers)
    return batch(
        {f"d{n:03d}": {"n": n, "metadata": {"odd": n % 2 == 1}} for n in chosen},
        text={f"d{n:03d}": vector(n) for n in chosen},
    )


def payload_of(document: StoredDocument | None) -> Fields:
    assert document is not None
    return document.payload


def payloads(store: DocumentStore, scope: Scope, collection: str = COL) -> dict[str, Fields]:
    listing = store.find(scope, collection, Query(page=Page(limit=10_000)))
    return {document.document_id: document.payload for document in listing.items}


def vectors_by_id(matrix: Matrix, name: str = "text") -> dict[str, list[float]]:
    return dict(zip(matrix.ids, matrix.blocks[name].tolist(), strict=True))


# ── the contract ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_document_round_trips_unchanged(store: DocumentStore, scope: Scope, now: datetime) -> None:
    payload = {
        "title": 'Grüße "日本" \\ / \u0007 \0',
        "nested": {"list": [1, 2.5, None, True]},
        "big": 2**63 - 1,
        "": {},
    }

    count = store.write(scope, COL, [batch({"a": payload, "b": {}}, text={"a": vector(1)})], now=now)
    [found, absent, bare] = store.get(scope, COL, ["a", "nobody", "b"], vectors="all")

    assert count == WriteCount(inserted=2, replaced=0)
    assert found is not None and found.payload == payload and found.collection == COL
    assert (found.created_at, found.updated_at) == (now, now)
    assert found.vectors["text"].tolist() == vector(1) and found.vectors["text"].dtype == np.float32
    assert absent is None
    assert bare is not None and bare.payload == {} and bare.vectors == {}


def test_only_requested_vectors_are_returned(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [batch({"a": {}}, text={"a": vector(1)}, image={"a": vector(2, 2)})], now=now)

    shown = [store.get(scope, COL, ["a"], vectors=names)[0] for names in ((), ["image"], "all", ["unknown"])]

    assert [sorted(document.vectors) for document in shown if document] == [[], ["image"], ["image", "text"], []]


def test_a_replaced_document_keeps_only_its_creation_time(store: DocumentStore, scope: Scope, now: datetime) -> None:
    later = now + timedelta(hours=1)
    store.write(
        scope, COL, [batch({"a": {"x": 1, "y": 1}, "b": {}}, text={"a": vector(1)}, image={"a": vector(9)})], now=now
    )

    count = store.write(scope, COL, [batch({"c": {}, "a": {"x": 2}}, text={"a": vector(2)})], now=later)

    [a, b] = store.get(scope, COL, ["a", "b"], vectors="all")
    assert count == WriteCount(inserted=1, replaced=1)
    assert a is not None and a.payload == {"x": 2} and (a.created_at, a.updated_at) == (now, later)
    assert {name: values.tolist() for name, values in a.vectors.items()} == {"text": vector(2)}
    assert b is not None and b.updated_at == now


def test_a_document_given_twice_in_one_call_is_stored_once(store: DocumentStore, scope: Scope, now: datetime) -> None:
    count = store.write(scope, COL, [numbered([1, 2]), batch({"d002": {"n": "again"}})], now=now)

    assert count == WriteCount(inserted=2, replaced=1)
    assert payloads(store, scope)["d002"] == {"n": "again"}
    assert store.load_matrix(scope, [COL], ["text"]).missing == 1


@pytest.mark.parametrize("first", [0, 3])
def test_an_iterator_that_fails_midway_stores_nothing(
    store: DocumentStore, scope: Scope, now: datetime, first: int
) -> None:
    store.write(scope, COL, [numbered(range(first))], now=now)
    before = payloads(store, scope)

    def broken() -> Iterator[DocumentBatch]:
        yield numbered(range(20))
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        store.write(scope, COL, broken(), now=now)

    assert payloads(store, scope) == before
    store.write(scope, COL, [numbered([50])], now=now)
    matrix = store.load_matrix(scope, [COL], ["text"])
    assert vectors_by_id(matrix) == {f"d{n:03d}": vector(n) for n in [*range(first), 50]}


def test_an_existing_id_fails_the_whole_call_on_request(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered([2])], now=now)

    with pytest.raises(AlreadyExists, match="d002"):
        store.write(scope, COL, [numbered([0]), numbered([1, 2])], now=now, on_conflict="fail")

    assert list(payloads(store, scope)) == ["d002"]
    assert store.write(scope, RUN, [numbered([2])], now=now, on_conflict="fail").inserted == 1


def test_a_wrong_dimension_is_rejected_with_its_field_and_remedy(
    store: DocumentStore, scope: Scope, now: datetime
) -> None:
    store.declare_vector(scope, "text", 4)
    store.declare_vector(scope, "text", 4)

    with pytest.raises(InvalidField) as raised:
        store.write(scope, COL, [numbered([1]), batch({"a": {}}, text={"a": vector(1, 3)})], now=now)
    with pytest.raises(InvalidField):
        store.declare_vector(scope, "text", 5)

    assert raised.value.field == "vectors.text"
    assert "Send 4 numbers" in raised.value.message
    assert store.count(scope, COL) == 0
    assert store.vector_dimensions(scope) == {"text": 4}


def test_an_undeclared_vector_name_is_declared_by_the_first_write(
    store: DocumentStore, scope: Scope, now: datetime
) -> None:
    assert store.vector_dimensions(scope) == {}

    store.write(scope, COL, [batch({"a": {}}, **{"é/../x": {"a": vector(1, 2)}})], now=now)

    assert store.vector_dimensions(scope) == {"é/../x": 2}
    assert store.load_matrix(scope, [COL], ["é/../x"]).blocks["é/../x"].tolist() == [vector(1, 2)]


def test_nothing_outside_a_scope_is_visible_or_modified(store: DocumentStore, now: datetime) -> None:
    mine = Scope("org_1", "ns_1")
    others = [Scope("org_1", "ns_2"), Scope("org_2", "ns_1"), Scope("ORG_1", "ns_1"), Scope("org_1", "../org_1/ns_1")]
    store.write(mine, COL, [numbered([1])], now=now)

    for other in others:
        assert store.get(other, COL, ["d001"]) == [None]
        assert store.find(other, COL, Query()).items == [] and store.count(other, COL) == 0
        assert len(store.load_matrix(other, [COL], ["text"])) == 0
        assert store.load_fields(other, [COL], ["n"]) == ([], [], [[]])
        assert store.distinct(other, COL, "n", MATCH_ALL, 5) == ([], 0)
        assert store.vector_dimensions(other) == {}
        assert store.update(other, COL, [("d001", {"n": 2})], now=now) == []
        assert store.update_where(other, COL, MATCH_ALL, {"n": 2}, now=now) == 0
        assert store.delete(other, COL, ["d001"]) == [] and store.delete_where(other, COL, MATCH_ALL) == 0
        store.drop_collection(other, COL)
        store.drop_namespace(other)
        assert store.update(other, COL, [("d001", {})], now=now, vectors=numbered([1])) == []

    assert payloads(store, mine) == {"d001": {"n": 1, "metadata": {"odd": True}}}


def test_a_call_without_a_namespace_is_rejected(store: DocumentStore, now: datetime) -> None:
    with pytest.raises(InvalidField, match="namespace_id"):
        store.write(Scope("org_1"), COL, [numbered([1])], now=now)


def test_collections_and_their_generations_are_isolated(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered([1])], now=now)
    store.write(scope, RUN, [numbered([1, 2])], now=now)

    store.drop_collection(scope, COL)

    assert store.count(scope, COL) == 0 and store.count(scope, RUN) == 2
    assert vectors_by_id(store.load_matrix(scope, [RUN], ["text"])) == {"d001": vector(1), "d002": vector(2)}
    assert store.count(scope, RUN, parse_filter({"collection_id": "col_1"})) == 2


def test_find_filters_sorts_paginates_and_counts(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered(reversed(range(9))), batch({"a": {}, "z": {"n": 4}})], now=now)

    def ids(query: Query) -> list[str]:
        return [document.document_id for document in store.find(scope, COL, query).items]

    assert ids(Query(page=Page(limit=3))) == ["a", "d000", "d001"]
    assert ids(Query(sort=[Sort("n", descending=True)], page=Page(limit=6, offset=3))) == [
        *("d005", "d004", "z", "d003", "d002", "d001"),
    ]
    assert ids(Query(sort=[Sort("metadata.n")], page=Page(limit=20)))[-1] == "a"
    assert ids(Query(sort=[Sort("n", descending=True)], page=Page(limit=20)))[-1] == "a"
    assert ids(Query(filter=parse_filter({"metadata.odd": True}))) == ["d001", "d003", "d005", "d007"]
    listing = store.find(scope, COL, Query(filter=parse_filter({"odd": False}), page=Page(limit=2, include_total=True)))
    assert (len(listing.items), listing.total, listing.more) == (2, 5, True)
    last = store.find(scope, COL, Query(page=Page(limit=2, offset=9)))
    assert (len(last.items), last.total, last.more) == (2, 0, False)


def test_search_matches_substrings_case_insensitively(store: DocumentStore, scope: Scope, now: datetime) -> None:
    documents: dict[str, Fields] = {
        "a": {"title": "Die STRASSE"},
        "b": {"x": [{"y": "Hauptstraße"}]},
        "c": {"straße": "key"},
    }
    store.write(scope, COL, [batch(documents)], now=now)

    def found(text: str, *fields: str) -> list[str]:
        query = Query(search=text, search_fields=fields)
        return [document.document_id for document in store.find(scope, COL, query).items]

    assert found("strasse") == ["a", "b"]
    assert found("strasse", "title", "x") == ["a"]
    assert found("C", "document_id") == ["c"]


def test_fields_outside_the_payload_can_be_queried(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered([1])], now=now)
    store.write(scope, COL, [numbered([2])], now=now + timedelta(seconds=1))

    assert store.count(scope, COL, parse_filter({"document_id": ["D001", "nobody"]})) == 1
    assert store.count(scope, COL, parse_filter({"created_at": "2026-03-29T01:30:00.123Z"})) == 1
    after = Condition("updated_at", "gt", "2026-03-29T01:30:00.123Z")
    assert store.load_fields(scope, [COL], ["document_id", "collection_id"], filter=after)[2] == [["d002"], ["col_1"]]


def test_distinct_values_are_ordered_by_descending_frequency(store: DocumentStore, scope: Scope, now: datetime) -> None:
    values = ["b", "a", "b", 1, 1.0, True, None, ["a", "c", "a"], {"k": 1}, [], [["x"]]]
    documents = {f"d{n}": {"metadata": {"v": value}} for n, value in enumerate(values)} | {"none": {}}
    store.write(scope, COL, [batch(documents)], now=now)

    found, count = store.distinct(scope, COL, "v", MATCH_ALL, 4)
    every, _ = store.distinct(scope, COL, "metadata.v", MATCH_ALL, 100)

    assert (found, count) == ([(1, 2), ("a", 2), ("b", 2), (True, 1)], 7)
    assert sorted(n for _, n in every) == [1, 1, 1, 1, 2, 2, 2]
    assert store.distinct(scope, COL, "v", parse_filter({"v": "a"}), 9) == ([("a", 2), ("c", 1)], 2)
    assert store.distinct(scope, COL, "collection_id", MATCH_ALL, 9) == ([("col_1", 12)], 1)


def test_the_matrix_does_not_depend_on_insertion_order(store: DocumentStore, now: datetime) -> None:
    one, two = Scope("org_1", "ns_1"), Scope("org_1", "ns_2")
    store.write(one, COL, [numbered(range(30))], now=now)
    store.write(one, RUN, [numbered(range(5, 15))], now=now)
    for piece in ([20, 3, 29], [0, 7], sorted({*range(30)} - {20, 3, 29, 0, 7}, reverse=True)):
        store.write(two, COL, [numbered(piece)], now=now)
        store.write(two, RUN, [numbered([n for n in piece if 5 <= n < 15])], now=now)

    for sample in (None, 7):
        a, b = (store.load_matrix(scope, [RUN, COL], ["text"], sample=sample) for scope in (one, two))

        assert list(a.ids) == list(b.ids) and list(a.collections) == list(b.collections)
        assert np.array_equal(a.blocks["text"], b.blocks["text"])
        pairs = list(zip(a.ids, a.collections, strict=True))
        assert pairs == sorted(pairs)
        assert a.blocks["text"].tolist() == [vector(int(document_id[1:])) for document_id in a.ids]


def test_a_sample_is_seeded_and_without_replacement(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered(range(200))], now=now)

    samples = [store.load_matrix(scope, [COL], ["text"], sample=50, seed=seed) for seed in (1, 1, 2)]

    assert [len(set(sample.ids)) for sample in samples] == [50, 50, 50]
    assert list(samples[0].ids) == list(samples[1].ids) == sorted(samples[0].ids)
    assert list(samples[0].ids) != list(samples[2].ids)
    assert all(vectors_by_id(sample)[sample.ids[0]] == vector(int(sample.ids[0][1:])) for sample in samples)
    assert len(store.load_matrix(scope, [COL], ["text"], sample=500)) == 200


def test_the_fingerprint_of_a_matrix_changes_with_its_rows_and_only_with_them(
    store: DocumentStore, scope: Scope, now: datetime
) -> None:
    store.write(scope, COL, [numbered(range(9))], now=now)

    def fingerprint(**how: Any) -> str:
        return store.load_matrix(scope, [COL], ["text"], **how).fingerprint

    first = fingerprint()
    store.update(scope, COL, [("d001", {"note": 1})], now=now)
    assert fingerprint() == first != ""
    assert fingerprint(filter=parse_filter({"odd": True})) != first
    assert fingerprint(sample=5, seed=1) != fingerprint(sample=5, seed=2)
    store.update(scope, COL, [("d001", {})], now=now, vectors=batch({"d001": {}}, text={"d001": vector(7)}))
    changed = fingerprint()
    assert changed != first
    store.delete(scope, COL, ["d008"])
    assert fingerprint() not in (first, changed)


def test_documents_without_a_vector_are_omitted_and_counted(store: DocumentStore, scope: Scope, now: datetime) -> None:
    documents: dict[str, Fields] = {name: {"n": 1} for name in "abcd"} | {"other": {"n": 2}}
    given = batch(
        documents, text={"a": vector(1), "b": vector(2), "c": vector(3)}, image={"b": vector(4, 2), "c": vector(5, 2)}
    )
    store.write(scope, COL, [given], now=now)
    ones = parse_filter({"n": 1})

    both = store.load_matrix(scope, [COL], ["image", "text"], filter=ones)

    assert (list(both.ids), both.missing) == (["b", "c"], 2)
    assert both.blocks["image"].tolist() == [vector(4, 2), vector(5, 2)]
    assert both.blocks["text"].tolist() == [vector(2), vector(3)]
    unknown = store.load_matrix(scope, [COL], ["sound"], filter=ones)
    assert (len(unknown), unknown.missing, len(unknown.blocks["sound"])) == (0, 4, 0)
    assert store.load_matrix(scope, [COL], []).missing == 0
    assert store.load_matrix(scope, ["col_unknown"], ["text"]).blocks["text"].shape == (0, 4)


def test_fields_are_returned_in_matrix_order(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, RUN, [batch({"b": {"x": [1, {"y": None}]}, "a": {"metadata": {"x": True}}})], now=now)
    store.write(scope, COL, [batch({"b": {"x": "text"}, "c": {}})], now=now)

    ids, collections, [xs, none] = store.load_fields(scope, [RUN, COL], ["x", "none"])

    assert ids == ["a", "b", "b", "c"]
    assert collections == [RUN, COL, RUN, COL]
    assert xs == [True, "text", [1, {"y": None}], None] and none == [None] * 4


def test_an_update_merges_objects_and_replaces_everything_else(
    store: DocumentStore, scope: Scope, now: datetime
) -> None:
    later = now + timedelta(days=1)
    start = {"m": {"keep": 1, "deep": {"a": 1}}, "list": [1, 2], "s": {"gone": 1}}
    store.write(scope, COL, [batch({"a": start, "b": {"n": 1}}, text={"a": vector(1)})], now=now)
    first = {"m": {"deep": {"b": 2}, "new": None}, "list": [3], "s": 5}

    told = store.update(scope, COL, [("a", first), ("nobody", {"x": 1}), ("a", {"m": {"keep": 2}})], now=later)

    [a, b] = store.get(scope, COL, ["a", "b"], vectors="all")
    assert told == ["a"]
    assert payload_of(a) == {"m": {"keep": 2, "deep": {"a": 1, "b": 2}, "new": None}, "list": [3], "s": 5}
    assert a is not None and (a.created_at, a.updated_at) == (now, later)
    assert a.vectors["text"].tolist() == vector(1)
    assert b is not None and b.updated_at == now
    assert store.update(scope, COL, [("a", {"only": 1})], now=later, merge=False) == ["a"]
    assert payload_of(store.get(scope, COL, ["a"])[0]) == {"only": 1}


def test_updates_are_all_or_nothing(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered(range(3))], now=now)
    before = payloads(store, scope)

    def broken() -> Iterator[tuple[str, Fields]]:
        for n in range(1500):
            yield f"d{n % 3:03d}", {"n": "changed"}
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.update(scope, COL, broken(), now=now)

    assert payloads(store, scope) == before


def test_an_update_by_filter_changes_matching_documents(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered(range(5))], now=now)

    changed = store.update_where(scope, COL, parse_filter({"odd": True}), {"metadata": {"seen": 1}, "n": -1}, now=now)

    assert changed == 2
    assert payloads(store, scope)["d001"] == {"n": -1, "metadata": {"odd": True, "seen": 1}}
    assert store.count(scope, COL, parse_filter({"seen": 1})) == 2


def test_new_vectors_leave_other_named_vectors_unchanged(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(
        scope, COL, [batch({"a": {}, "b": {}}, text={"a": vector(1), "b": vector(2)}, image={"a": vector(3)})], now=now
    )

    given = batch({"a": {}}, text={"a": vector(7)}, sound={"a": vector(8, 2)})
    assert store.update(scope, COL, [("a", {})], now=now, vectors=given) == ["a"]

    found = store.get(scope, COL, ["a"], vectors="all")[0]
    assert found is not None
    shown = {name: values.tolist() for name, values in found.vectors.items()}
    assert shown == {"text": vector(7), "image": vector(3), "sound": vector(8, 2)}
    assert vectors_by_id(store.load_matrix(scope, [COL], ["text"])) == {"a": vector(7), "b": vector(2)}
    nobody = batch({"nobody": {}}, text={"nobody": vector(1)})
    assert store.update(scope, COL, [("nobody", {})], now=now, vectors=nobody) == []
    with pytest.raises(InvalidField):
        store.update(scope, COL, [("a", {})], now=now, vectors=batch({"a": {}}, text={"a": vector(1, 9)}))


def test_delete_returns_which_documents_existed(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered(range(6))], now=now)

    assert store.delete(scope, COL, ["d004", "nobody", "d001", "d004"]) == ["d004", "d001"]
    assert store.delete_where(scope, COL, parse_filter({"odd": True})) == 2

    assert list(payloads(store, scope)) == ["d000", "d002"]
    assert vectors_by_id(store.load_matrix(scope, [COL], ["text"])) == {"d000": vector(0), "d002": vector(2)}


@pytest.mark.parametrize("hostile", ["d001\0", "d001\0x", "\ud800", "' OR 1=1 --", "d00%", ""])
def test_an_unknown_id_affects_no_document(store: DocumentStore, scope: Scope, now: datetime, hostile: str) -> None:
    store.write(scope, COL, [numbered(range(3))], now=now)

    assert store.get(scope, COL, [hostile, "d001"], vectors="all")[0] is None
    assert store.update(scope, COL, [(hostile, {"n": 7})], now=now) == []
    assert store.delete(scope, COL, [hostile]) == []

    assert store.count(scope, COL, Condition("n", "in", (0, 1, 2))) == 3


def test_a_dropped_namespace_is_empty_and_can_be_used_again(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered(range(6))], now=now)

    store.drop_namespace(scope)

    assert store.count(scope, COL) == 0 and store.vector_dimensions(scope) == {}
    store.write(scope, COL, [batch({"a": {}}, text={"a": vector(1, 2)})], now=now)
    assert store.load_matrix(scope, [COL], ["text"]).blocks["text"].tolist() == [vector(1, 2)]


def test_a_memory_map_stays_valid_during_writes_deletes_and_compaction(
    store: DocumentStore, scope: Scope, now: datetime
) -> None:
    store.write(scope, COL, [numbered(range(40))], now=now)
    held = store.load_matrix(scope, [COL], ["text"])

    store.write(scope, COL, [numbered(range(100, 140))], now=now)
    store.delete(scope, COL, [f"d{n:03d}" for n in range(20)])
    freed = store.compact(scope)
    store.write(scope, COL, [numbered(range(30))], now=now)

    assert freed == (20 * 16 if isinstance(store, SqliteDocuments) else 0)
    assert vectors_by_id(held) == {f"d{n:03d}": vector(n) for n in range(40)}
    now_there = [*range(40), *range(100, 140)]
    assert vectors_by_id(store.load_matrix(scope, [COL], ["text"])) == {f"d{n:03d}": vector(n) for n in now_there}
    assert store.compact(scope) == 0 or len(store.load_matrix(scope, [COL], ["text"])) == 80
    store.drop_namespace(scope)
    assert vectors_by_id(held) == {f"d{n:03d}": vector(n) for n in range(40)}


def test_a_closed_store_raises_a_clear_error(store: DocumentStore, scope: Scope, now: datetime) -> None:
    store.write(scope, COL, [numbered([1])], now=now)

    store.close()
    store.close()

    with pytest.raises(Unavailable):
        store.count(scope, COL)


# ── the SQLite store ─────────────────────────────────────────────────────────────────────────────────────────────────


def segment_files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.f32"))


def test_contiguous_rows_are_mapped_without_copying(tmp_path: Path, scope: Scope, now: datetime) -> None:
    store = SqliteDocuments(tmp_path / "documents")
    store.write(scope, COL, (numbered(range(start, start + 10)) for start in range(0, 50, 10)), now=now)

    whole = store.load_matrix(scope, [COL], ["text"]).blocks["text"]
    part = store.load_matrix(scope, [COL], ["text"], filter=Condition("n", "gte", 45)).blocks["text"]
    scattered = store.load_matrix(scope, [COL], ["text"], filter=parse_filter({"odd": True})).blocks["text"]

    assert isinstance(whole, np.memmap) and isinstance(part, np.memmap)
    assert not whole.flags.writeable and whole.flags.c_contiguous
    assert part.tolist() == [vector(n) for n in range(45, 50)]
    assert not isinstance(scattered, np.memmap) and scattered.dtype == np.float32


def test_rows_that_only_look_contiguous_are_not_mixed_up(local: SqliteDocuments, scope: Scope, now: datetime) -> None:
    local.write(scope, COL, [numbered([0, 2, 1, 3])], now=now)

    assert local.load_matrix(scope, [COL], ["text"]).blocks["text"].tolist() == [vector(n) for n in range(4)]


def test_segments_roll_over_and_read_as_one(
    local: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    local.write(scope, COL, [numbered(range(7)), numbered(range(7, 32))], now=now)
    local.write(scope, COL, [numbered(range(32, 35))], now=now)

    assert [path.stat().st_size for path in segment_files(tmp_path)] == [160, 160, 160, 80]
    matrix = local.load_matrix(scope, [COL], ["text"])
    assert matrix.blocks["text"].tolist() == [vector(n) for n in range(35)]


def test_compaction_takes_only_segments_with_many_holes_and_sorts_them(
    local: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    local.write(scope, COL, [numbered(reversed(range(30)))], now=now)
    before = segment_files(tmp_path)
    local.delete(scope, COL, ["d029", "d028", "d019", "d018", "d017"])  # 2 holes in 10 rows are tolerated, 3 are not

    assert local.compact(scope) == 3 * 16

    after = segment_files(tmp_path)
    assert set(before) - set(after) == {before[1]} and len(after) == 3
    seven = Condition("document_id", "in", tuple(f"d{n:03d}" for n in range(10, 17)))
    assert isinstance(local.load_matrix(scope, [COL], ["text"], filter=seven).blocks["text"], np.memmap)
    assert len(local.load_matrix(scope, [COL], ["text"])) == 25
    assert local.compact(scope) == 0


def test_a_collection_that_loses_its_last_document_frees_its_space(
    local: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    local.write(scope, COL, [numbered(range(30))], now=now)

    local.delete_where(scope, COL, MATCH_ALL)

    assert segment_files(tmp_path) == []
    local.write(scope, COL, [numbered(range(3))], now=now)
    assert len(local.load_matrix(scope, [COL], ["text"])) == 3


def test_a_path_never_changes_its_meaning(local: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path) -> None:
    local.write(scope, COL, [numbered(range(5))], now=now)
    [before] = segment_files(tmp_path)
    local.drop_collection(scope, COL)

    local.write(scope, COL, [numbered(range(5))], now=now)

    assert segment_files(tmp_path) != [before]


def test_data_left_beyond_the_committed_rows_by_a_crash_is_never_read(
    local: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    local.write(scope, COL, [numbered(range(5))], now=now)
    [segment] = segment_files(tmp_path)
    stray = segment.with_name("0000000099.f32")
    stray.write_bytes(b"x" * 16)
    with segment.open("ab") as file:
        file.write(b"\xff" * 37)

    local.write(scope, COL, [numbered(range(5, 8))], now=now)

    assert segment.stat().st_size == 8 * 16
    assert vectors_by_id(local.load_matrix(scope, [COL], ["text"])) == {f"d{n:03d}": vector(n) for n in range(8)}
    assert local.compact(scope) == 16 and not stray.exists()


def test_a_lost_vector_file_is_reported_and_not_read_as_zeros(
    local: SqliteDocuments, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    local.write(scope, COL, [numbered(range(5))], now=now)
    [segment] = segment_files(tmp_path)
    os.truncate(segment, 32)

    with pytest.raises(Corrupt, match="shorter"):
        local.load_matrix(scope, [COL], ["text"])
    segment.unlink()
    with pytest.raises(Corrupt, match="missing"):
        local.load_matrix(scope, [COL], ["text"])
    assert len(local.find(scope, COL, Query()).items) == 5


def test_keys_written_with_escapes_are_found(local: SqliteDocuments, scope: Scope, now: datetime) -> None:
    local.write(scope, COL, [DocumentBatch(["a", "b"], [b'{"\\u00e9":1}', b'{"a\\/b":1}'])], now=now)

    assert local.count(scope, COL, parse_filter({"é": 1})) == 1
    assert local.count(scope, COL, parse_filter({"a/b": 1})) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_many_namespaces_keep_few_files_open(tmp_path: Path) -> None:
    store = SqliteDocuments(tmp_path)
    scopes = [Scope("org_1", f"ns_{n}") for n in range(80)]
    before = len(list(Path("/proc/self/fd").iterdir()))

    for scope in scopes:
        store.declare_vector(scope, "text", 4)

    opened = len(list(Path("/proc/self/fd").iterdir())) - before
    assert opened <= 64 * 3, "a database, its log and its shared memory for each namespace"
    assert all(store.vector_dimensions(scope) == {"text": 4} for scope in scopes)
    store.close()


def test_a_namespace_dropped_by_another_process_is_noticed(tmp_path: Path, scope: Scope, now: datetime) -> None:
    one, two = SqliteDocuments(tmp_path), SqliteDocuments(tmp_path)
    one.write(scope, COL, [numbered([1])], now=now)
    assert two.count(scope, COL) == 1

    one.drop_namespace(scope)
    assert two.count(scope, COL) == 0
    one.write(scope, COL, [numbered([2, 3])], now=now)

    assert two.count(scope, COL) == 2
    two.write(scope, COL, [numbered([4])], now=now)
    assert one.count(scope, COL) == 3
    one.close()
    two.close()


@pytest.mark.process
def test_a_namespace_removed_during_writes_disappears_and_can_be_recreated(
    tmp_path: Path, scope: Scope, now: datetime
) -> None:
    one, two = SqliteDocuments(tmp_path), SqliteDocuments(tmp_path)
    done = threading.Event()

    def write(store: SqliteDocuments) -> None:
        for number in itertools.takewhile(lambda _: not done.is_set(), itertools.count()):
            with suppress(Unavailable):  # removed concurrently
                store.write(scope, COL, [numbered([number % 900])], now=now)

    writers = [threading.Thread(target=write, args=(store,)) for store in (one, two)]
    for writer in writers:
        writer.start()
    for _ in range(20):
        time.sleep(0.03)
        one.drop_namespace(scope)
    done.set()
    for writer in writers:
        writer.join()

    one.drop_namespace(scope)
    two.write(scope, COL, [numbered(range(5))], now=now)
    assert len(one.load_matrix(scope, [COL], ["text"])) == one.count(scope, COL) == 5
    assert [path.name for path in (tmp_path / scope.organization_id).iterdir()] == [scope.namespace_id]
    one.close()
    two.close()


def test_a_failed_write_frees_its_space(local: SqliteDocuments, scope: Scope, now: datetime) -> None:
    def sizes() -> dict[str, int]:
        return {path.name: path.stat().st_size for path in Path(local._namespaces._root).rglob("*.f32")}

    def breaks(first: int) -> Iterator[DocumentBatch]:
        yield numbered(range(first, first + 25))
        raise RuntimeError("the upload ended")

    with pytest.raises(RuntimeError):
        local.write(scope, COL, breaks(100), now=now)
    assert sizes() == {}

    local.write(scope, COL, [numbered(range(7))], now=now)
    before = sizes()
    with pytest.raises(RuntimeError):
        local.write(scope, COL, breaks(100), now=now)

    assert sizes() == before
    assert vectors_by_id(local.load_matrix(scope, [COL], ["text"])) == {f"d{n:03d}": vector(n) for n in range(7)}


def test_space_is_not_freed_once_others_may_write_there(tmp_path: Path, scope: Scope, now: datetime) -> None:
    """SQLite rolls back a transaction on a full disk; the rows after ours may then belong to another writer."""
    one, two = SqliteDocuments(tmp_path), SqliteDocuments(tmp_path)
    one.write(scope, COL, [numbered(range(5))], now=now)

    def breaks() -> Iterator[DocumentBatch]:
        yield numbered(range(100, 110))
        with one._namespaces.open_existing(scope) as namespace:
            assert namespace is not None
            namespace.database.read().execute("ROLLBACK")
        two.write(scope, COL, [numbered(range(200, 220))], now=now)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        one.write(scope, COL, breaks(), now=now)

    there = [*range(5), *range(200, 220)]
    assert vectors_by_id(two.load_matrix(scope, [COL], ["text"])) == {f"d{n:03d}": vector(n) for n in there}
    one.close()
    two.close()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["removed", "emptied"])
def test_a_damaged_namespace_can_be_removed(
    tmp_path: Path, scope: Scope, now: datetime, damage: Callable[[Path], None]
) -> None:
    store = SqliteDocuments(tmp_path)
    store.write(scope, COL, [numbered(range(5))], now=now)
    store.close()
    damage(*tmp_path.glob("*/*/documents.sqlite"))

    again = SqliteDocuments(tmp_path)
    with pytest.raises(Corrupt):
        again.count(scope, COL)
    again.drop_namespace(scope)

    assert again.count(scope, COL) == 0
    assert list((tmp_path / scope.organization_id).iterdir()) == []
    again.close()


def test_an_interrupted_removal_is_finished_by_the_next(tmp_path: Path, scope: Scope, now: datetime) -> None:
    store = SqliteDocuments(tmp_path)
    store.write(scope, COL, [numbered(range(5))], now=now)
    store._namespaces.move_away(scope)  # killed at this point

    store.drop_namespace(scope)

    assert list((tmp_path / scope.organization_id).iterdir()) == []
    store.close()


def test_documents_whose_database_is_missing_are_not_reported_as_empty(
    tmp_path: Path, scope: Scope, now: datetime
) -> None:
    store = SqliteDocuments(tmp_path)
    store.write(scope, COL, [batch({"a": {"n": 1}})], now=now)
    store.close()
    (path,) = tmp_path.glob("*/*/documents.sqlite")
    path.unlink()

    again = SqliteDocuments(tmp_path)
    for ask in (lambda: again.count(scope, COL), lambda: again.write(scope, COL, [batch({"b": {}})], now=now)):
        with pytest.raises(Corrupt, match="are missing"):
            ask()
    again.close()


def test_readers_and_writers_in_one_process_do_not_interfere(
    local: SqliteDocuments, scope: Scope, now: datetime
) -> None:
    local.write(scope, COL, [numbered(range(100, 110))], now=now)
    faults: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            matrix = local.load_matrix(scope, [COL], ["text"])
            wrong = [i for i, row in vectors_by_id(matrix).items() if row != vector(int(i[1:]))]
            if wrong or matrix.missing or len(matrix) % 10:
                faults.append(f"{len(matrix)} rows, {matrix.missing} missing, wrong: {wrong}")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(15):
        local.write(scope, COL, [numbered(range(turn % 5 * 10, turn % 5 * 10 + 10))], now=now)
        local.delete(scope, COL, [f"d{n:03d}" for n in range((turn + 2) % 5 * 10, (turn + 2) % 5 * 10 + 10)])
        local.compact(scope)
    done.set()
    for reader in readers:
        reader.join()

    assert faults == []


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from shoal.columns import DocumentBatch, VectorColumn
from shoal.records.scope import Scope
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.memory.documents import MemoryDocuments

root, name, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = SqliteDocuments(root, segment_bytes=4096)
for number in range(first, first + count):
    ids = [f"{name}{number:05d}_{row:02d}" for row in range(20)]
    values = np.full((20, 8), number, dtype=np.float32) + np.arange(20, dtype=np.float32)[:, None] / 32
    batch = DocumentBatch(ids, [b'{"n":%d}' % number] * 20, {"v": VectorColumn(np.arange(20), values)})
    store.write(Scope("org_1", "ns_1"), "col_1", [batch], now=datetime(2026, 1, 1, tzinfo=UTC))
    print(number, flush=True)
"""


def writer(root: Path, name: str, first: int, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(root), name, str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_writers(store: SqliteDocuments, acknowledged: Sequence[tuple[str, int]]) -> None:
    """Every acknowledged batch exists, every existing batch is complete, and every vector belongs to its document."""
    matrix = store.load_matrix(Scope("org_1", "ns_1"), ["col_1"], ["v"])
    numbers = np.array([int(i[1:6]) + int(i[7:]) / 32 for i in matrix.ids], dtype=np.float32)
    batches = {document_id[:6] for document_id in matrix.ids}

    assert np.array_equal(matrix.blocks["v"], np.repeat(numbers[:, None], 8, axis=1))
    assert matrix.missing == 0
    assert len(matrix) == 20 * len(batches) == store.count(Scope("org_1", "ns_1"), "col_1")
    assert {f"{name}{number:05d}" for name, number in acknowledged} <= batches


@pytest.mark.process
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[tuple[str, int]] = []
    for turn in range(10):
        process = writer(tmp_path, "k", turn * 1000, 1000)
        assert process.stdout is not None
        acknowledged += [("k", int(process.stdout.readline())) for _ in range(turn + 1)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [("k", int(line)) for line in process.stdout.read().splitlines()]
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        store = SqliteDocuments(tmp_path)
        check_writers(store, acknowledged)
        store.close()


@pytest.mark.process
def test_two_processes_write_concurrently(tmp_path: Path) -> None:
    processes = [writer(tmp_path, name, 0, 25) for name in "ab"]
    for process in processes:
        assert process.stdout is not None
        told = process.stdout.read().split()
        process.stdout.close()
        assert process.wait() == 0 and len(told) == 25

    store = SqliteDocuments(tmp_path)
    check_writers(store, [(name, number) for name in "ab" for number in range(25)])
    assert store.count(Scope("org_1", "ns_1"), "col_1") == 2 * 25 * 20
    store.close()


# ── any order of calls ───────────────────────────────────────────────────────────────────────────────────────────────

NOW = datetime(2026, 1, 1, tzinfo=UTC)
numbers = st.lists(st.integers(0, 24), max_size=8, unique=True)
collections = st.sampled_from([COL, RUN])
maybe_odd = st.sampled_from([MATCH_ALL, parse_filter({"odd": True}), Condition("n", "lt", 9)])


class AgainstADict(RuleBasedStateMachine):
    """The store behaves like the model {collection: {id: (payload, vector)}}."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.scope = Scope("org_1", "ns_1")
        self.store = SqliteDocuments(self.root, segment_bytes=96)
        self.model: dict[str, dict[str, tuple[Fields, list[float] | None]]] = {COL: {}, RUN: {}}
        self.held: list[tuple[Matrix, dict[str, list[float]]]] = []

    def matching(self, collection: str, filter: object) -> list[str]:
        def passes(payload: Fields) -> bool:
            if filter is MATCH_ALL:
                return True
            return bool(
                payload["n"] < 9 if isinstance(filter, Condition) and filter.operator == "lt" else payload["odd"]
            )

        return sorted(i for i, (payload, _) in self.model[collection].items() if passes(payload))

    @rule(collection=collections, chosen=numbers, seed=st.integers(0, 99), every=st.booleans())
    def write(self, collection: str, chosen: list[int], seed: int, every: bool) -> None:
        given = {f"d{n:02d}": vector(seed + n) for n in chosen if every or n % 3}
        documents: dict[str, Fields] = {f"d{n:02d}": {"n": n, "odd": n % 2 == 1, "seed": seed} for n in chosen}
        known = len(documents.keys() & self.model[collection].keys())

        parts = [batch(dict(piece), text=given) for piece in ([*documents.items()][:2], [*documents.items()][2:])]

        assert self.store.write(self.scope, collection, parts, now=NOW) == WriteCount(len(chosen) - known, known)
        self.model[collection] |= {i: (payload, given.get(i)) for i, payload in documents.items()}

    @rule(collection=collections, chosen=numbers)
    def update(self, collection: str, chosen: list[int]) -> None:
        there = [f"d{n:02d}" for n in chosen if f"d{n:02d}" in self.model[collection]]
        updates = [(f"d{n:02d}", {"touched": {"by": n}}) for n in chosen]

        assert self.store.update(self.scope, collection, updates, now=NOW) == there
        for i in there:
            payload, given = self.model[collection][i]
            self.model[collection][i] = (payload | {"touched": {"by": int(i[1:])}}, given)

    @rule(collection=collections, chosen=numbers)
    def delete(self, collection: str, chosen: list[int]) -> None:
        there = [f"d{n:02d}" for n in chosen if f"d{n:02d}" in self.model[collection]]

        assert self.store.delete(self.scope, collection, [f"d{n:02d}" for n in chosen]) == there
        for i in there:
            del self.model[collection][i]

    @rule(collection=collections, filter=maybe_odd)
    def delete_where(self, collection: str, filter: Any) -> None:
        there = self.matching(collection, filter)

        assert self.store.delete_where(self.scope, collection, filter) == len(there)
        for i in there:
            del self.model[collection][i]

    @rule(collection=collections)
    def drop(self, collection: str) -> None:
        self.store.drop_collection(self.scope, collection)
        self.model[collection] = {}

    @rule()
    def compact(self) -> None:
        assert self.store.compact(self.scope) >= 0

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteDocuments(self.root, segment_bytes=96)

    @rule(collection=collections, filter=maybe_odd)
    def load(self, collection: str, filter: Any) -> None:
        matrix = self.store.load_matrix(self.scope, [collection], ["text"], filter=filter)
        wanted = self.matching(collection, filter)
        expected = {i: v for i in wanted if (v := self.model[collection][i][1]) is not None}

        assert list(matrix.ids) == list(expected) and matrix.missing == len(wanted) - len(expected)
        assert vectors_by_id(matrix) == expected
        self.held = [*self.held[-2:], (matrix, expected)]

    @invariant()
    def everything_is_there_and_held_maps_stay(self) -> None:
        for collection, documents in self.model.items():
            assert payloads(self.store, self.scope, collection) == {i: p for i, (p, _) in documents.items()}
        for matrix, expected in self.held:
            assert vectors_by_id(matrix) == expected

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)


AgainstADict.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_any_order_of_calls_answers_like_a_dict = AgainstADict.TestCase


def test_derived_vectors_are_stored_where_documents_still_hold_what_was_read(
    store: DocumentStore, scope: Scope, now: datetime
) -> None:
    held = {"same": {"mark": 1}, "emptied": {"mark": 1}, "changed": {"mark": 2}, "new": {}, "own": {}}
    own = {id: vector(9) for id in ("same", "emptied", "changed", "own")}
    store.write(scope, COL, [batch(held, text=own, image={"emptied": vector(3)})], now=now)
    ids, read = [*held, "gone"], [1, 1, 1, None, None, None]
    column = VectorColumn(
        np.array([0, 2, 3, 4, 5], dtype=np.int64), np.array([vector(n) for n in range(5)], np.float32)
    )
    derived = DerivedVectors("text", "mark", read, [(id, {"mark": 7}) for id in ids], column)

    assert store.store_derived(scope, COL, [derived], now=now) == ["same", "emptied", "new"]

    marks = {id: payload.get("mark") for id, payload in payloads(store, scope).items()}
    assert marks == {"same": 7, "emptied": 7, "changed": 2, "new": 7, "own": None}
    kept = vectors_by_id(store.load_matrix(scope, [COL], ["text"]))
    assert kept == {"same": vector(0), "changed": vector(9), "new": vector(2), "own": vector(9)}
    assert sorted(store.load_ids_with_vector(scope, COL, "text")) == sorted(kept)
    assert vectors_by_id(store.load_matrix(scope, [COL], ["image"]), "image") == {"emptied": vector(3)}
    wrong = DerivedVectors(
        "text", "mark", [7], [("same", {"mark": 8})], VectorColumn(np.array([0]), np.ones((1, 9), np.float32))
    )
    with pytest.raises(InvalidField):
        store.store_derived(scope, COL, [wrong], now=now)
    assert payloads(store, scope)["same"]["mark"] == 7
