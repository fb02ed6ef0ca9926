"""Records of other versions: what this one can make sense of is read, whatever keys stand beside it."""

from typing import Any

import pytest
from pydantic import ValidationError

from shoal.client.transport import parse_record
from shoal.records.base import READING
from shoal.records.bucket import Bucket
from shoal.records.clusters.cluster import Cluster
from shoal.records.collection import Collection
from shoal.records.namespace import CreateNamespace, Namespace

TIMES = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
EXTRACTOR = {"feature_extractor_name": "text", "version": "v1", "params": None, "feature_extractor_id": "text_v1"}
INDEX = {
    "field_name": "brand",
    "type": "keyword",
    "field_schema": {
        "type": "keyword", "tokenizer": None, "min_token_len": None, "max_token_len": None,
        "lowercase": None, "lookup": None, "range": None, "is_tenant": True,
    },
    "is_protected": False,
}  # fmt: skip
RECORDS: list[tuple[type[Any], dict[str, Any]]] = [
    (
        Namespace,
        {
            "namespace_id": "ns_1", "namespace_name": "shop", "organization_id": "org_1",
            "feature_extractors": [EXTRACTOR], "payload_indexes": [INDEX],
            "vector_configs": [{"name": "text", "dimension": 4, "metric": "cosine"}],
        },
    ),
    (
        Bucket,
        {
            "bucket_id": "bkt_1", "bucket_name": "b", "unique_key": {"fields": ["sku"], "default_policy": "upsert"},
        },
    ),
    (
        Collection,
        {
            "collection_id": "col_1", "collection_name": "c",
            "source": {"type": "bucket", "bucket_ids": ["bkt_1"]},
            "feature_extractor": EXTRACTOR,
        },
    ),
    (
        Cluster,
        {
            "cluster_id": "clust_1", "cluster_name": "k", "namespace_id": "ns_1", "organization_id": "org_1",
            "input_collections": ["col_1"], "cluster_type": "vector", "algorithm": "kmeans",
            "source_enrichment_config": {"field_mappings": [{"source_field": "cluster_id", "target_field": "topic"}]},
            "llm_labeling": {"enabled": True, "labeling_inputs": {"input_mappings": [{"input_key": "title"}]}},
        },
    ),
]  # fmt: skip
NAMES = [record.__name__ for record, _ in RECORDS]
OPEN = {"params"}


def with_more_keys(value: Any, name: str = "") -> Any:
    """The same with a key that no version knows in every object, at any depth."""
    if isinstance(value, list):
        return [with_more_keys(item) for item in value]
    if isinstance(value, dict) and name not in OPEN:
        return {key: with_more_keys(item, key) for key, item in value.items()} | {"enabled_by_the_future": True}
    return value


@pytest.mark.parametrize(("record", "stored"), RECORDS, ids=NAMES)
def test_keys_that_are_not_known_lose_nothing_of_what_was_stored(record: type[Any], stored: dict[str, Any]) -> None:
    plain = record.model_validate({**stored, **TIMES}, context=READING)

    read = record.model_validate(with_more_keys({**stored, **TIMES}), context=READING)

    assert read.model_dump() == plain.model_dump()
    for name, value in stored.items():
        if name != "source_enrichment_config":
            assert read.model_dump(exclude_unset=True)[name], name
        assert type(read.model_dump()[name]) is type(value)


@pytest.mark.parametrize(("record", "answer"), RECORDS, ids=NAMES)
def test_the_client_reads_an_answer_to_which_a_newer_server_added_nested_fields(
    record: type[Any], answer: dict[str, Any]
) -> None:
    assert parse_record(record, with_more_keys({**answer, **TIMES})) == parse_record(record, {**answer, **TIMES})


def test_an_item_that_cannot_be_read_at_all_is_left_out_alone() -> None:
    stored = {
        **RECORDS[0][1],
        **TIMES,
        "feature_extractors": [{"enabled": True}, "text", {**EXTRACTOR, "enabled": True}],
    }

    read = Namespace.model_validate(stored, context=READING)

    assert read.model_dump()["feature_extractors"] == [EXTRACTOR]


def test_a_request_with_an_unknown_nested_key_is_refused_as_before() -> None:
    with pytest.raises(ValidationError, match="is not known"):
        CreateNamespace.model_validate({"namespace_name": "shop", "payload_indexes": [{**INDEX, "enabled": True}]})
