"""Texts of any alphabet come back byte for byte, and what Shoal keeps for itself cannot be set from outside."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contract.long import LONG
from contract.planted import SPARE_USER, Planted
from shoal.records.documents.document import RESERVED

pytestmark = pytest.mark.slow

_EXAMPLES: Final = 1000 if LONG else 60
_PER_CALL: Final = 5

fuzzed = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=3, max_size=40).filter(
    lambda name: not any(character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for character in name)
)
UNSEEN: Final = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
ODD: Final = [
    "\x00", "a\x00b", "\ufeffa", "e\u0301", "\u00e9", "\u200d\u200b", "\u202eabc", "\U0001f468\u200d\U0001f469",
    "\U0010ffff", "\ufffe", "$where", "a.b", "", " ", "\\u0041", "\"'`", "\u2028\u2029", "../x", "health",
    "ı̇İß", "\ufdd0",
]  # fmt: skip


@fuzzed
@given(values=st.lists(texts, min_size=_PER_CALL, max_size=_PER_CALL), keys=st.lists(texts, unique=True, max_size=3))
@example(values=ODD, keys=[key for key in ODD if key not in RESERVED])
def test_values_and_keys_of_documents_are_returned_byte_for_byte(
    contract_server: Planted, values: list[str], keys: list[str]
) -> None:
    own = {key: key for key in keys if key not in RESERVED and key != "metadata"}
    payload = {
        **own,
        "listed": values,
        "nested": {key: {"text": text} for key, text in zip(keys, values, strict=False)},
    }
    body = {"collection_id": "docs", "documents": [{"document_id": "text", "vectors": {}, "payload": payload}]}

    contract_server.client.post("/namespaces/default/documents/upsert", json=body).raise_for_status()
    stored = contract_server.client.get("/collections/docs/documents/text").raise_for_status().json()

    assert {name: stored[name] for name in payload} == payload
    assert set(stored) - set(payload) == {"document_id", "collection_id", "_internal"}


@fuzzed
@given(name=names.filter(lambda name: UNSEEN.search(name) is None and name == name.strip()))
@example(name="../x".replace("/", "-"))
@example(name="health")
@example(name="$where")
@example(name="e\u0301\u0301")
@example(name="\U0001f468\u200d\U0001f469")
def test_names_are_returned_byte_for_byte_and_can_be_looked_up(contract_server: Planted, name: str) -> None:
    body = {"collection_name": name, "source": {"type": "direct_upsert"}, "description": name}
    created = contract_server.client.post("/collections", json=body)
    if created.status_code in (409, 422):
        assert name in ("docs", "spare", "list") or name.partition("_")[0] in ("col", "ns", "run", "doc"), created.text
        return

    reply = contract_server.client.get(f"/collections/{_quote(name)}")

    assert reply.status_code == 200, (name, reply.text)
    assert (reply.json()["collection_name"], reply.json()["description"]) == (name, name)
    contract_server.client.delete(f"/collections/{created.json()['collection_id']}").raise_for_status()


@pytest.mark.parametrize("name", ["a\u200bbc", "\ufeffabc", "ab\u2060c", "so\u00adft", "abc\U000e0041", "a\x9bbc"])
def test_a_name_with_an_invisible_character_is_refused(contract_server: Planted, name: str) -> None:
    body = {"collection_name": name, "source": {"type": "direct_upsert"}}
    created = contract_server.client.post("/collections", json=body)

    assert created.status_code == 422
    assert f"U+{next(ord(c) for c in name if ord(c) > 127):04X}" in created.json()["error"]["message"]


@pytest.mark.parametrize("name", ["00 ", " 00x", "\u3000abc", "abc\u00a0", " \u2003 ab "])
def test_a_name_with_blanks_around_it_is_refused_with_the_name_to_use(contract_server: Planted, name: str) -> None:
    """Such blanks are invisible, and a typed path would not match the name."""
    body = {"collection_name": name, "source": {"type": "direct_upsert"}}
    created = contract_server.client.post("/collections", json=body)

    assert created.status_code == 422
    details = created.json()["error"]["details"]
    assert (details["field"], details["remedy"]) == ("collection_name", f"Use {name.strip()!r}.")


@fuzzed
@given(id=names)
@example(id="a/b")
@example(id="..%2f")
@example(id="count ")
def test_ids_of_documents_are_returned_byte_for_byte(contract_server: Planted, id: str) -> None:
    created = contract_server.client.post("/collections/docs/documents", json={"document_id": id, "n": 1})
    assert created.status_code == 200 and created.json()["document_id"] == id, created.text

    reply = contract_server.client.get(f"/collections/docs/documents/{_quote(id)}")

    assert reply.status_code == 200 and reply.json()["document_id"] == id, reply.text
    body = {"document_ids": [id]}
    removed = contract_server.client.request("DELETE", "/collections/docs/documents/batch", json=body)
    assert removed.json()["deleted_count"] == 1


@pytest.mark.parametrize("text", ["\\ud800", "\\udfff", "\\ud83d", "\\ude00\\ud83d"])
@pytest.mark.parametrize("place", ['{"a": "%s"}', '{"%s": 1}', '{"document_id": "%s"}', '{"a": [{"b": "%s"}]}'])
def test_a_lone_surrogate_is_refused_anywhere(contract_server: Planted, text: str, place: str) -> None:
    answer = contract_server.client.post("/collections/docs/documents", content=(place % text).encode())

    assert answer.status_code == 400 and answer.json()["error"]["details"]["line"] == 1


def _quote(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


# ── fields that clients cannot set ───────────────────────────────────────────────────────────────────────────────────

FOREIGN: Final = "foreign"


def _foreign(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 7
    if isinstance(value, dict):
        return {**value, FOREIGN: 1}
    return [FOREIGN] if isinstance(value, list) else FOREIGN


RECORDS: Final[dict[str, tuple[str, str]]] = {
    "collection": (
        "/collections/docs",
        "collection_name description metadata enabled cluster_applications taxonomy_applications",
    ),
    "cluster": (
        "/clusters/groups",
        "cluster_name description metadata llm_labeling filters face_cluster_merge sample_size algorithm_params "
        "source_cluster_ids layout_stability",
    ),
    "bucket": ("/buckets/things", "bucket_name description metadata storage_class bucket_schema unique_key"),
    "namespace": (
        "/namespaces/default",
        "namespace_name description metadata feature_extractors payload_indexes vector_configs auto_create_indexes "
        "adaptive_indexing",
    ),
    "key": (
        f"/organizations/users/{SPARE_USER}/api-keys/kept",
        "name description permissions expires_at status scopes",
    ),
}
"""What is shown, and which of it may be changed by sending it back."""
_MOVES: Final = frozenset({"updated_at", "last_used_at"})


@pytest.mark.parametrize("kind", RECORDS)
def test_no_other_field_of_an_answer_can_be_set_by_sending_it_back(contract_server: Planted, kind: str) -> None:
    client, (path, own) = contract_server.client, RECORDS[kind]
    before = client.get(path).raise_for_status().json()
    sent = {name: _foreign(value) for name, value in before.items() if name not in own.split()}
    sent |= {"_shoal": {"a": 1}, "_internal": {"a": 1}, "organization_id": "org_other", "namespace_id": "ns_other"}

    for name, value in sent.items():
        refused = client.patch(path, json={name: value})
        assert refused.status_code == 422, name
        assert refused.json()["error"]["message"].startswith(f"{name}: "), name

    assert client.patch(path, json=sent).status_code == 422
    assert _still(client.get(path).raise_for_status().json()) == _still(before)


def _still(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _MOVES}


CREATED: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("/collections", {"collection_name": "assigned", "source": {"type": "direct_upsert"}}, "/collections/docs"),
    ("/buckets", {"bucket_name": "assigned", "bucket_schema": {"properties": {}}}, "/buckets/things"),
    ("/namespaces", {"namespace_name": "assigned"}, "/namespaces/default"),
    (
        "/clusters",
        {
            "cluster_name": "assigned",
            "collection_ids": ["docs"],
            "vector_config": {"feature_uris": ["v"], "clustering_method": "kmeans"},
        },
        "/clusters/groups",
    ),
]
_OWNED_BY_SHOAL: Final = frozenset(
    {
        "status", "created_at", "updated_at", "internal_id", "organization_id", "current_run_id", "last_run_id",
        "schema_version", "object_count", "document_count", "num_clusters", "generation", "is_locked",
        "namespace_ready", "warnings", "collection_id", "bucket_id", "cluster_id", "task_id",
    }
)  # fmt: skip
"""Fields that only Shoal sets."""


@pytest.mark.parametrize(("home", "body", "other"), CREATED, ids=[home for home, _, _ in CREATED])
def test_fields_owned_by_shoal_cannot_be_copied_to_another_resource(
    contract_server: Planted, home: str, body: dict[str, Any], other: str
) -> None:
    client = contract_server.client
    shown = client.get(other).raise_for_status().json()
    owned = {name: value for name, value in shown.items() if name in _OWNED_BY_SHOAL}

    for name, value in owned.items():
        refused = client.post(home, json={**body, name: value})
        assert refused.status_code == 422, name
        assert refused.json()["error"]["message"].startswith(f"{name}: "), name

    assert len(owned) > 5
    client.post(home, json=body).raise_for_status()  # nothing was created before
    client.delete(f"{home}/assigned").raise_for_status()


def test_reserved_fields_of_a_document_are_left_out(contract_server: Planted) -> None:
    client = contract_server.client
    reserved: dict[str, Any] = {"_shoal": {"run_id": "run_x"}, "_internal": {"namespace_id": "ns_x"}}
    reserved |= {"collection_id": "col_x", "document_id": "mine"}

    created = client.post("/collections/docs/documents", json={**reserved, "n": 1}).raise_for_status().json()
    patched = client.patch("/collections/docs/documents/mine", json={**reserved, "n": 2}).raise_for_status().json()
    body = {"collection_id": "docs", "documents": [{"document_id": "mine", "vectors": {}, "payload": reserved}]}
    upserted = client.post("/namespaces/default/documents/upsert", json=body).raise_for_status().json()
    stored = client.get("/collections/docs/documents/mine").raise_for_status().json()

    for document in (created, patched, stored):
        assert document["document_id"] == "mine" and document["collection_id"] != "col_x"
        assert "_shoal" not in document
        assert document["_internal"]["namespace_id"] == created["_internal"]["namespace_id"] != "ns_x"
    assert upserted["dropped_payload_fields"] == {"mine": sorted(reserved)}
    client.delete("/collections/docs/documents/mine").raise_for_status()


def test_numbers_are_returned_as_sent(contract_server: Planted) -> None:
    numbers = "[0, -0.0, 1.5, 1e308, 5e-324, 0.1, 9007199254740993, 9223372036854775807, -9223372036854775808]"
    sent = f'{{"document_id": "numbers", "n": {numbers}}}'.encode()

    contract_server.client.post("/collections/docs/documents", content=sent).raise_for_status()
    answer: httpx.Response = contract_server.client.get("/collections/docs/documents/numbers")

    stored = answer.json()["n"]
    assert [(type(number), str(number)) for number in stored] == [
        (type(number), str(number)) for number in json.loads(numbers)
    ]
    contract_server.client.delete("/collections/docs/documents/numbers").raise_for_status()
