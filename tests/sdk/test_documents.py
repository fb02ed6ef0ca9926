"""Documents through both clients: one by one, by the thousand, found, counted and grouped."""

import json
from typing import Any

import pytest
from mixpeek._client.client import MixpeekAPIError
from mixpeek.exceptions import BadRequestException, NotFoundException, UnprocessableEntityException
from mixpeek.models.batch_delete_documents_request import BatchDeleteDocumentsRequest
from mixpeek.models.batch_update_documents_request import BatchUpdateDocumentsRequest
from mixpeek.models.bulk_update_documents_request import BulkUpdateDocumentsRequest
from mixpeek.models.byo_upsert_request import BYOUpsertRequest
from mixpeek.models.collection_response import CollectionResponse
from mixpeek.models.distinct_values_request import DistinctValuesRequest
from mixpeek.models.document_aggregation_request import DocumentAggregationRequest
from mixpeek.models.document_create_request import DocumentCreateRequest
from mixpeek.models.document_response import DocumentResponse
from mixpeek.models.list_documents_request import ListDocumentsRequest

from sdk.official import Official, error_of, request
from sdk.topics import Fill

_UNIT = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_a_document_lives_from_creation_to_deletion(official: Official, fill: Fill) -> None:
    home = fill([])
    document = official.documents.create_document(
        home.collection_name,
        request(DocumentCreateRequest, vectors={"text": _UNIT}, metadata={"price": 1}, title="hello"),
    )
    assert document.collection_id == home.collection_id
    assert _own(document) == {"title": "hello", "metadata": {"price": 1}}
    result = official.documents.get_document(home.collection_name, document.document_id, return_vectors=True)
    assert _own(result) == {"title": "hello", "metadata": {"price": 1}}
    assert result.additional_properties["vectors"] == {"text": _UNIT}

    patched = official.documents.patch_document(home.collection_name, document.document_id, {"metadata": {"price": 99}})
    assert _own(patched) == {"title": "hello", "metadata": {"price": 99}}
    put = official.documents.update_document(home.collection_name, document.document_id, {"metadata": {"lang": "en"}})
    assert _own(put) == {"metadata": {"lang": "en"}}
    outcome = official.documents.get_document(home.collection_name, document.document_id, return_vectors=True)
    assert outcome.additional_properties["vectors"] == {"text": _UNIT}

    assert official.documents.delete_document(home.collection_name, document.document_id).success is True
    with pytest.raises(NotFoundException):
        official.documents.get_document(home.collection_name, document.document_id)


def _own(document: DocumentResponse) -> dict[str, Any]:
    """The document's own fields: all but what the server adds."""
    added = ("vectors", "_internal", "created_at", "updated_at")
    return {name: value for name, value in document.additional_properties.items() if name not in added}


def test_an_upsert_replaces_documents_of_the_same_id(official: Official, fill: Fill) -> None:
    home = fill([])
    documents = [
        {"document_id": f"byo_{i}", "vectors": {"text": _UNIT}, "payload": {"title": f"t{i}"}, "metadata": {"n": i}}
        for i in range(3)
    ]
    for title in ("first", "second"):
        documents[0]["payload"] = {"title": title}
        answer = official.byo.upsert_documents_byo_namespaces(
            official.namespace,
            request(
                BYOUpsertRequest,
                collection_id=home.collection_id,
                documents=documents,
                options={"write_token": False, "idempotency_key": title},
            ),
        )
        assert answer.document_ids == ["byo_0", "byo_1", "byo_2"]
    assert _own(official.documents.get_document(home.collection_name, "byo_0")) == {
        "title": "second",
        "metadata": {"n": 0},
    }
    assert official.documents.count_documents(home.collection_name).count == 3


def test_the_high_level_client_upserts_reads_and_changes(official: Official, fill: Fill) -> None:
    home, high = fill([]), official.high
    answer = high.namespaces.documents.upsert(
        namespace_id=official.namespace,
        documents=[{"document_id": f"h{i}", "vectors": {"text": _UNIT}, "payload": {"n": i}} for i in range(4)],
        collection_id=home.collection_id,
    )
    assert answer.inserted == 4
    assert high.documents.get(home.collection_id, "h2").n == 2
    assert high.documents.update(home.collection_id, "h2", update_data={"n": 20}).n == 20
    batch = high.documents.batch_update(
        home.collection_id, updates=[{"document_id": "h3", "update_data": {"metadata": {"flag": True}}}]
    )
    assert (batch.updated_count, batch.failed_count) == (1, 0)
    first = high.documents.list(home.collection_id, page_size=3)
    rest = high.documents.list(home.collection_id, page_size=3, cursor=first.pagination.next_cursor)
    assert [value.document_id for value in [*first.results, *rest.results]] == ["h0", "h1", "h2", "h3"]
    assert rest.results[0].metadata.flag is True
    high.documents.delete(home.collection_id, "h3")
    with pytest.raises(MixpeekAPIError) as gone:
        high.documents.get(home.collection_id, "h3")
    assert gone.value.status == 404


def test_a_list_filters_sorts_and_returns_vectors(official: Official, topics: CollectionResponse) -> None:
    page = official.documents.list_documents(
        topics.collection_name,
        list_documents_request=request(
            ListDocumentsRequest,
            filters={
                "AND": [
                    {"field": "metadata.topic", "operator": "in", "value": ["billing", "travel"]},
                    {"field": "price", "operator": "lt", "value": 14},
                ],
                "NOT": [{"field": "metadata.lang", "operator": "eq", "value": "de"}],
            },
            sort={"field": "price", "direction": "desc"},
            include_total=True,
            return_vectors=True,
            limit=3,
        ),
    )
    results = page.results or []
    assert [result.document_id for result in results] == ["travel_01", "billing_11", "billing_10"]
    assert page.pagination.total == 9 and page.pagination.total_pages == 3
    assert all(len(result.additional_properties["vectors"]["text"]) == 8 for result in results)


def test_pages_by_cursor_meet_every_document_once(official: Official, topics: CollectionResponse) -> None:
    result: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        page = official.documents.list_documents(
            topics.collection_name,
            list_documents_request=request(
                ListDocumentsRequest, limit=10, cursor=cursor, sort={"field": "price", "direction": "asc"}
            ),
        )
        result += [item.document_id for item in page.results or []]
        cursor = page.pagination.next_cursor
    assert cursor is None and len(result) == 36 and len(set(result)) == 36
    assert (result[0], result[-1]) == ("billing_00", "weather_11")


def test_a_cursor_of_another_list_is_refused(official: Official, topics: CollectionResponse) -> None:
    first = official.documents.list_documents(
        topics.collection_name, list_documents_request=request(ListDocumentsRequest, limit=5)
    )
    with pytest.raises(BadRequestException):
        official.documents.list_documents(
            topics.collection_name,
            list_documents_request=request(
                ListDocumentsRequest, limit=5, cursor=first.pagination.next_cursor, sort={"field": "price"}
            ),
        )


def test_the_get_list_takes_filter_sort_and_search_as_text(official: Official, topics: CollectionResponse) -> None:
    page = official.documents.list_documents_0(
        topics.collection_name,
        filters=json.dumps({"AND": [{"field": "metadata.topic", "operator": "eq", "value": "travel"}]}),
        sort="price:desc",
        return_vectors=True,
        limit=2,
        include_total=True,
    )
    assert [item.document_id for item in page.results or []] == ["travel_11", "travel_10"]
    assert page.pagination.total == 12
    assert len((page.results or [])[0].additional_properties["vectors"]["text"]) == 8
    rest = official.documents.list_documents(
        topics.collection_name,
        filters='{"metadata.topic": "travel"}',
        sort='{"field": "price"}',
        list_documents_request=request(ListDocumentsRequest, sort={"field": "price", "direction": "desc"}, limit=1),
    )
    assert [item.document_id for item in rest.results or []] == ["travel_11"], "the body's sort wins"
    for filters, sort in (("{", None), ("[]", None), (None, "price:up"), (None, ":asc")):
        with pytest.raises(UnprocessableEntityException):
            official.documents.list_documents_0(topics.collection_name, filters=filters, sort=sort)


def test_a_document_is_read_with_the_vectors_named(official: Official, topics: CollectionResponse) -> None:
    document = official.documents.get_document(topics.collection_name, "travel_00", return_vector_names="text")
    assert len(document.additional_properties["vectors"]["text"]) == 8
    plain = official.documents.get_document(topics.collection_name, "travel_00")
    assert "vectors" not in plain.additional_properties


def test_the_get_list_pages_by_offset(official: Official, topics: CollectionResponse) -> None:
    page = official.documents.list_documents_0(topics.collection_name, limit=2, offset=34, include_total=True)
    assert [item.document_id for item in page.results or []] == ["weather_10", "weather_11"]
    assert page.pagination.total == 36 and page.pagination.next_cursor is None


def test_batches_and_bulk_update_what_they_name(official: Official, fill: Fill) -> None:
    home = fill()
    batch = official.documents.batch_update(
        home.collection_name,
        request(
            BatchUpdateDocumentsRequest,
            updates=[
                {"document_id": "travel_00", "update_data": {"metadata": {"flag": True}}},
                {"document_id": "nobody", "update_data": {"metadata": {"flag": True}}},
            ],
        ),
    )
    assert (batch.updated_count, batch.failed_count) == (1, 1)
    assert [result.success for result in batch.results or []] == [True, False]
    by_filter = official.documents.batch_update(
        home.collection_name,
        request(
            BatchUpdateDocumentsRequest, filters={"metadata.topic": "travel"}, update_data={"metadata": {"seen": 1}}
        ),
    )
    assert by_filter.updated_count == 12
    bulk = official.documents.bulk_update(
        home.collection_name,
        request(BulkUpdateDocumentsRequest, filters={"metadata.lang": "de"}, update_data={"metadata": {"seen": 2}}),
    )
    assert (bulk.status, bulk.updated_count) == ("COMPLETED", 12)
    counted = official.documents.distinct_document_values(
        home.collection_name, request(DistinctValuesRequest, field="metadata.seen")
    )
    assert {value.value: value.count for value in counted.values} == {2: 12, 1: 8}
    travel = official.documents.get_document(home.collection_name, "travel_00")
    assert travel.additional_properties["metadata"] == {"topic": "travel", "lang": "de", "flag": True, "seen": 2}


def test_values_are_counted_and_aggregated(official: Official, topics: CollectionResponse) -> None:
    assert official.documents.count_documents(topics.collection_name).count == 36
    distinct = official.documents.distinct_document_values(
        topics.collection_name, request(DistinctValuesRequest, field="metadata.lang")
    )
    assert [(value.value, value.count) for value in distinct.values] == [("en", 24), ("de", 12)]
    assert distinct.total_distinct == 2
    answer = official.documents.aggregate_documents(
        topics.collection_name,
        request(
            DocumentAggregationRequest,
            group_by=[{"field": "metadata.topic", "alias": "topic"}],
            aggregations=[
                {"function": "count", "alias": "n"},
                {"function": "avg", "field": "price", "alias": "mean_price"},
            ],
            sort_by="mean_price",
            sort_direction="asc",
        ),
    )
    assert answer.total_groups == 3
    assert [(row.group["topic"], row.metrics["n"], row.metrics["mean_price"]) for row in answer.results] == [
        ("billing", 12, 5.5),
        ("travel", 12, 17.5),
        ("weather", 12, 29.5),
    ]


def test_documents_are_deleted_by_ids_and_by_filter(official: Official, fill: Fill) -> None:
    home = fill()
    by_id = official.documents.batch_delete(
        home.collection_name, request(BatchDeleteDocumentsRequest, document_ids=["travel_00", "nobody"])
    )
    assert (by_id.deleted_count, by_id.failed_count) == (1, 1)
    by_filter = official.documents.batch_delete(
        home.collection_name, request(BatchDeleteDocumentsRequest, filters={"metadata.topic": "weather"})
    )
    assert by_filter.deleted_count == 12
    assert official.documents.count_documents(home.collection_name).count == 23


@pytest.mark.parametrize(
    ("vectors", "named"),
    [({"text": [1.0, 2.0]}, "text"), ({"nowhere": _UNIT}, "nowhere"), ({"text": [1e39, *_UNIT[1:]]}, "text")],
)
def test_a_wrong_vector_is_refused_and_nothing_is_stored(
    official: Official, fill: Fill, vectors: dict[str, list[float]], named: str
) -> None:
    home = fill([])
    good = {"document_id": "good", "vectors": {"text": _UNIT}}
    with pytest.raises(UnprocessableEntityException) as refused:
        official.byo.upsert_documents_byo_namespaces(
            official.namespace,
            request(
                BYOUpsertRequest,
                collection_id=home.collection_id,
                documents=[good, {"document_id": "bad", "vectors": vectors}],
            ),
        )
    assert named in str(error_of(refused.value))
    assert official.documents.count_documents(home.collection_name).count == 0
