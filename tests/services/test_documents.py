"""Documents on real stores: stored as one object, validated before anything is written, grouped and counted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.assemble import Services, assemble
from shoal.errors import AlreadyExists, InvalidField, NotFound
from shoal.records.collection import CollectionSource, CreateCollection
from shoal.records.documents.document import (
    AggregateDocuments,
    BatchDelete,
    CreateDocument,
    DistinctValues,
    UpsertDocuments,
)
from shoal.records.documents.vectors import float_block
from shoal.records.namespace import CreateNamespace, VectorConfigSpec
from shoal.records.queries.filters import parse_filter
from shoal.records.scope import Scope
from shoal.services.documents.vector_check import VectorNames, build_columns
from shoal.settings import Settings
from shoal.storage.protocols.records import Query

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OPEN = VectorNames({}, closed=False)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    opened = assemble(Settings(data=tmp_path / "data", max_dimension=64), lambda: NOW)
    yield opened
    opened.close()


@pytest.fixture
def scope(services: Services) -> Scope:
    """A namespace that accepts any vector, with a collection `things`."""
    organization = Scope("org_test")
    made = services.namespaces.create(organization, CreateNamespace(namespace_name="main"))
    scope = Scope("org_test", made.namespace_id)
    source = CollectionSource(type="bucket")
    services.collections.create(scope, CreateCollection(collection_name="things", source=source))
    return scope


def upsert(services: Services, scope: Scope, *documents: object) -> list[str]:
    body = UpsertDocuments.model_validate({"collection_id": "things", "documents": list(documents)})
    return services.documents.upsert(scope, body).document_ids


def byo(id: str, vector: object = None, **payload: object) -> dict[str, object]:
    return {"document_id": id, "vectors": {} if vector is None else {"text": vector}, "payload": payload}


# ── vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def check(*vectors: object, names: VectorNames = OPEN) -> dict[str, list[list[float]]]:
    columns = build_columns(vectors, lambda i: f"documents[{i}].vectors", names, 64)
    return {name: column.values.tolist() for name, column in columns.items()}


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3)))
def test_lists_of_finite_floats_become_exactly_these_float32(values: list[list[float]]) -> None:
    block = float_block(values, lambda i: str(i), dimension=3, most=3)

    assert block.dtype == np.float32 and block.flags.c_contiguous
    assert block.tolist() == values


def test_documents_may_lack_a_vector_and_have_others() -> None:
    columns = build_columns([{"a": [1]}, None, {"b": [2, 3], "a": [4]}], lambda i: "", OPEN, 64)

    assert columns["a"].rows.tolist() == [0, 2] and columns["a"].values.tolist() == [[1], [4]]
    assert columns["b"].rows.tolist() == [2] and columns["b"].values.tolist() == [[2, 3]]


BAD_VECTORS: list[tuple[Any, str, str]] = [
    ([0.5, float("nan")], "[1]", "finite"),
    ([0.5, float("-inf")], "[1]", "finite"),
    ([1e39, 0.5], "[0]", "finite"),
    ([-(10**400), 0.5], "[0]", "finite"),
    ([0.5, "0.5"], "[1]", "must be a number"),
    ([True, 0.5], "[0]", "must be a number"),
    ([0.5, None], "[1]", "must be a number"),
    ([0.5, {"x": 1}], "[1]", "must be a number"),
    ([[0.5, 0.5]], "[0]", "multi-vectors are not supported"),
    ({"indices": [1], "values": [0.5]}, "", "sparse vectors are not supported"),
    ("0.5, 0.5", "", "must be a list of numbers"),
    (7, "", "must be a list of numbers"),
    ([], "", "is empty"),
    ([0.5], "", "has 1 numbers where documents[0].vectors.text has 2"),
    ([0.5] * 65, "", "more than the 64"),
]


@pytest.mark.parametrize(("bad", "element", "problem"), BAD_VECTORS, ids=[str(bad[0])[:20] for bad in BAD_VECTORS])
def test_a_bad_vector_is_named_down_to_the_element(bad: object, element: str, problem: str) -> None:
    good = {"text": [0.5, 0.5]}

    with pytest.raises(InvalidField) as caught:
        check(good, good, None, {"text": bad}, good)

    assert caught.value.field == f"documents[3].vectors.text{element}"
    assert problem in caught.value.message


def test_the_dimension_of_the_index_takes_precedence_over_the_first_document() -> None:
    names = VectorNames({"text": 3}, closed=False)

    with pytest.raises(InvalidField, match=r"documents\[0\].vectors.text: has 2 numbers where the index has 3"):
        check({"text": [1, 2]}, {"text": [1, 2, 3]}, names=names)


@pytest.mark.parametrize("key", ["text", "mixpeek://text_extractor@v1/text", "shoal://x/text"])
def test_a_vector_is_identified_by_its_name_or_the_end_of_its_uri(key: str) -> None:
    assert check({key: [1, 2]}, names=VectorNames({"text": 2}, closed=True)) == {"text": [[1, 2]]}


def test_a_name_that_is_a_full_uri_is_kept() -> None:
    uri = "mixpeek://x/text"

    assert check({uri: [1, 2]}, names=VectorNames({uri: 2, "text": 3}, closed=True)) == {uri: [[1, 2]]}


def test_an_unknown_name_is_rejected_with_the_existing_ones() -> None:
    with pytest.raises(InvalidField, match=r"documents\[0\]\.vectors\.txt.*Use one of: image, text\."):
        check({"txt": [1, 2]}, names=VectorNames({"text": 2, "image": 3}, closed=True))


def test_one_vector_under_two_keys_is_rejected() -> None:
    with pytest.raises(InvalidField, match="a second time"):
        check({"text": [1, 2], "m://x/text": [3, 4]}, names=VectorNames({"text": 2}, closed=True))


def test_zero_vectors_are_stored_if_no_metric_is_declared(services: Services, scope: Scope) -> None:
    upsert(services, scope, byo("zero", [0, 0]))

    assert services.documents.get(scope, "things", "zero", vectors="all")["vectors"] == {"text": [0, 0]}


def test_declared_names_are_a_closed_set_and_inferred_ones_are_not(services: Services, scope: Scope) -> None:
    configs = [VectorConfigSpec(name="text", dimension=2)]
    made = services.namespaces.create(
        scope.organization, CreateNamespace(namespace_name="declared", vector_configs=configs)
    )
    declared = Scope(scope.organization_id, made.namespace_id)
    body = UpsertDocuments(documents=[{"document_id": "a", "vectors": {"new": [1, 2, 3]}}])

    services.documents.upsert(scope, body)
    with pytest.raises(InvalidField, match="Use one of: text"):
        services.documents.upsert(declared, body)

    assert services.collections.get(scope, "default").document_count == 1
    assert services.namespaces.get(scope.organization, scope.namespace_id).document_count == 1
    assert services.namespaces.get(scope.organization, "declared").document_count == 0
    with pytest.raises(NotFound):
        services.collections.get(declared, "default")


# ── all or nothing ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ("text", "documents[1]"),
        ({"vectors": {}}, "documents[1].document_id"),
        ({"document_id": 7, "vectors": {}}, "documents[1].document_id"),
        ({"document_id": "", "vectors": {}}, "documents[1].document_id"),
        ({"document_id": "b"}, "documents[1].vectors"),
        ({"document_id": "b", "vectors": [1, 2]}, "documents[1].vectors"),
        ({"document_id": "b", "vectors": {}, "payload": [1]}, "documents[1].payload"),
        ({"document_id": "b", "vectors": {}, "metadata": "x"}, "documents[1].metadata"),
        ({"document_id": "b", "vectors": {}, "source_type": "elsewhere"}, "documents[1].source_type"),
        ({"document_id": "b", "vectors": {}, "root_bucket_id": 7}, "documents[1].root_bucket_id"),
        ({"document_id": "a", "vectors": {}}, "documents[1].document_id"),
        ({"document_id": "b", "vectors": {"text": [1, 2, 3]}}, "documents[1].vectors.text"),
        ({"document_id": "b", "vectors": {}, "payload": {"x": "y" * 2**20}}, "documents[1]"),
    ],
)
def test_one_invalid_document_rejects_the_whole_upsert(
    services: Services, scope: Scope, bad: object, field: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        upsert(services, scope, byo("a", [1, 2]), bad, byo("c", [1, 2]))

    assert caught.value.field == field
    assert services.documents.count(scope, "things")[1] == 0
    assert services.documents.vector_names(scope).dimensions == {}


def test_a_duplicate_id_is_reported_with_both_positions(services: Services, scope: Scope) -> None:
    with pytest.raises(InvalidField, match=r"documents\[2\].document_id: is the same as documents\[0\].document_id"):
        upsert(services, scope, byo("a"), byo("b"), byo("a"))


# ── payload ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_payload_is_at_the_root_with_metadata_beside_it_and_lineage_separate(services: Services, scope: Scope) -> None:
    document = byo("a", [1, 2], title="t") | {"metadata": {"lang": "en"}, "root_bucket_id": "bkt_1"}
    upsert(services, scope, document)

    shown = services.documents.get(scope, "things", "a")

    internal = shown.pop("_internal")
    collection = services.collections.find(scope, "things").collection_id
    assert shown == {"title": "t", "metadata": {"lang": "en"}, "document_id": "a", "collection_id": collection}
    assert internal["lineage"] == {"root_bucket_id": "bkt_1", "source_type": "direct_upsert"}
    assert internal["created_at"] == "2026-11-23T12:00:00.000Z"
    lineage = parse_filter({"_internal.lineage.root_bucket_id": "bkt_1"})
    assert len(services.documents.search(scope, "things", Query(filter=lineage)).items) == 1


def test_sending_back_a_returned_document_changes_nothing(services: Services, scope: Scope) -> None:
    upsert(services, scope, byo("a", [1, 2], title="t") | {"metadata": {"lang": "en"}})
    shown = services.documents.get(scope, "things", "a", vectors="all")

    services.documents.put(scope, "things", "a", shown | {"_shoal": {"run": "x"}, "collection_id": "other"})

    assert services.documents.get(scope, "things", "a", vectors="all") == shown


def test_reserved_payload_keys_are_dropped_and_reported(services: Services, scope: Scope) -> None:
    document = byo("a", title="t", _internal={"lineage": {}}, vectors=[1], document_id="b")
    answer = services.documents.upsert(scope, UpsertDocuments(collection_id="things", documents=[document]))

    assert answer.dropped_payload_fields == {"a": ["_internal", "document_id", "vectors"]}
    assert services.documents.get(scope, "things", "a")["_internal"]["lineage"] == {"source_type": "direct_upsert"}


def test_patch_merges_and_put_replaces_and_both_accept_vectors(services: Services, scope: Scope) -> None:
    upsert(services, scope, byo("a", [1, 2], title="t", metadata={"x": 1, "y": 2}))

    patched = services.documents.patch(scope, "things", "a", {"metadata": {"x": 3}, "vectors": {"text": [5, 6]}})
    assert (patched["title"], patched["metadata"]) == ("t", {"x": 3, "y": 2})
    replaced = services.documents.put(scope, "things", "a", {"metadata": {"z": 1}})

    assert "title" not in replaced and replaced["metadata"] == {"z": 1}
    assert replaced["_internal"]["lineage"] == {"source_type": "direct_upsert"}
    assert services.documents.get(scope, "things", "a", vectors=["text"])["vectors"] == {"text": [5, 6]}
    with pytest.raises(InvalidField, match=r"vectors\.text: has 3 numbers where the index has 2"):
        services.documents.patch(scope, "things", "a", {"title": "new", "vectors": {"text": [1, 2, 3]}})
    assert "title" not in services.documents.get(scope, "things", "a")


def test_a_given_id_can_be_created_only_once(services: Services, scope: Scope) -> None:
    services.documents.create(scope, "things", CreateDocument(document_id="mine"))

    with pytest.raises(AlreadyExists):
        services.documents.create(scope, "things", CreateDocument(document_id="mine"))


def test_an_upsert_replaces_whole_documents(services: Services, scope: Scope) -> None:
    upsert(services, scope, byo("a", [1, 2], title="old", extra=1))
    upsert(services, scope, byo("a", title="new"))

    shown = services.documents.get(scope, "things", "a", vectors="all")
    assert shown["title"] == "new" and "extra" not in shown and "vectors" not in shown


def test_an_empty_filter_deletes_nothing(services: Services, scope: Scope) -> None:
    upsert(services, scope, byo("a"))

    empty: list[dict[str, Any] | None] = [None, {}, {"case_sensitive": False}, {"AND": []}, {"NOT": []}, {"AND": [{}]}]
    for filters in empty:
        with pytest.raises(InvalidField, match="must hold a condition"):
            services.documents.batch_delete(scope, "things", BatchDelete(filters=filters))
    assert services.documents.count(scope, "things")[1] == 1


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shop(services: Services, scope: Scope) -> Scope:
    rows = [("a", "x", 1, ["p", "q"]), ("b", "x", 3.5, ["p"]), ("c", "y", 10, []), ("d", None, None, None)]
    documents = [byo(id, category=category, price=price, tags=tags) for id, category, price, tags in rows]
    upsert(services, scope, *documents)
    return scope


def aggregated(services: Services, scope: Scope, **body: object) -> list[tuple[Any, ...]]:
    rows = services.documents.aggregate(scope, "things", AggregateDocuments.model_validate(body))
    return [(*row["group"].values(), *row["metrics"].values()) for row in rows]


def test_group_aggregates_skip_missing_values(services: Services, shop: Scope) -> None:
    functions = ["count", "sum", "avg", "min", "max"]
    wanted = [{"function": name, "field": "price", "alias": name} for name in functions]

    rows = aggregated(services, shop, group_by=[{"field": "category"}], aggregations=wanted)

    assert rows == [("x", 2, 4.5, 2.25, 1, 3.5), ("y", 1, 10, 10, 10, 10), (None, 0, 0, None, None, None)]


def test_groups_can_be_filtered_sorted_and_limited_by_their_aggregates(services: Services, shop: Scope) -> None:
    base: dict[str, object] = {
        "group_by": [{"field": "category", "alias": "kind"}],
        "aggregations": [{"function": "count", "alias": "n"}],
    }

    assert aggregated(services, shop, **base, sort_by="n") == [("x", 2), ("y", 1), (None, 1)]
    assert aggregated(services, shop, **base, sort_by="kind", sort_direction="asc", limit=1) == [("x", 2)]
    assert aggregated(services, shop, **base, having=[{"field": "n", "operator": "gt", "value": 1}]) == [("x", 2)]
    assert aggregated(services, shop, **base, filters={"category": "y"}) == [("y", 1)]


def test_lists_are_unwound_and_collected(services: Services, shop: Scope) -> None:
    count = [{"function": "count", "alias": "n"}]
    tags = [
        {"function": "add_to_set", "field": "category", "alias": "all"},
        {"function": "count_distinct", "field": "category", "alias": "n"},
    ]

    assert aggregated(services, shop, group_by=[{"field": "tags"}], aggregations=count, unwind="tags") == [
        ("p", 2),
        ("q", 1),
    ]
    assert aggregated(services, shop, aggregations=tags) == [(["x", "y"], 2)]


def test_invalid_aggregations_are_rejected_by_name(services: Services, shop: Scope) -> None:
    sums = [{"function": "sum", "alias": "s"}]
    count = [{"function": "count", "alias": "n"}]

    for body, field in (
        ({"aggregations": sums}, r"aggregations\[0\].field"),
        ({"aggregations": count, "having": [{"field": "m", "operator": "gt", "value": 1}]}, r"having\[0\]"),
        ({"aggregations": count, "sort_by": "m"}, "sort_by"),
        ({"aggregations": count, "group_by": [{"field": "day", "date_trunc": "day"}]}, r"group_by\[0\]"),
        ({"aggregations": count, "group_by": [{"field": "a..b"}]}, "field"),
        ({"aggregations": count, "range_buckets": [{}]}, "range_buckets"),
    ):
        with pytest.raises(InvalidField, match=field):
            aggregated(services, shop, **body)


def test_distinct_values_are_returned_with_their_counts(services: Services, shop: Scope) -> None:
    values, total = services.documents.distinct(shop, "things", DistinctValues(field="tags"))

    assert (values, total) == ([("p", 2), ("q", 1)], 2)


# ── scope ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_namespace_sees_nothing(services: Services, scope: Scope) -> None:
    upsert(services, scope, byo("a", [1, 2]))
    made = services.namespaces.create(scope.organization, CreateNamespace(namespace_name="other"))
    other = Scope(scope.organization_id, made.namespace_id)
    collection = services.collections.find(scope, "things").collection_id

    for ref in ("things", collection):
        with pytest.raises(NotFound):
            services.documents.get(other, ref, "a")
        with pytest.raises(NotFound):
            services.documents.count(other, ref)
