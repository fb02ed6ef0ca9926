"""Requests that cost far more than they look: functions of a client, which return the status they were answered."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import httpx

__all__ = ["SHAPES", "Shape", "documents"]

MIB = 2**20
COLLECTION = "hostile"
DOCUMENTS = f"/collections/{COLLECTION}/documents"
UPSERT = "/namespaces/default/documents/upsert"
DIMENSIONS = 32
FIELDS = 64
REGEXES = [f"(q+z+){{1,5}}{n}$" for n in range(100)]

Shape = Callable[[httpx.Client, int], int]
"""(client, MiB of a large body) -> status."""


def documents(count: int) -> Iterator[dict[str, object]]:
    """Documents with a text, a number, 64 fields and a list each."""
    words = [f"{first}{second}" for first in ("red", "blue", "old", "new") for second in ("apple", "train", "city")]
    for n in range(count):
        text = " ".join(words[(n * step) % len(words)] for step in range(1, 13))
        fields = {f"f{field}": (n * field) % 1000 for field in range(FIELDS)}
        vector = [((n * (i + 3)) % 97) / 97 - 0.5 for i in range(DIMENSIONS)]
        payload = {"text": text, "n": n, "tags": words[: n % len(words)], **fields}
        yield {"document_id": f"d{n:07}", "vectors": {"v": vector}, "payload": payload}


def post(client: httpx.Client, path: str, content: bytes) -> int:
    return client.post(path, content=content, headers={"Content-Type": "application/json"}).status_code


def many_empty_lists(client: httpx.Client, mib: int) -> int:
    return post(client, "/clusters/list", b'{"a":[' + b"[]," * (mib * MIB // 3) + b"1]}")


def empty_lists_in_a_small_body(client: httpx.Client, mib: int) -> int:
    return post(client, "/clusters/list", b'{"filters":[' + b"[]," * (MIB // 4) + b"1]}")


def empty_lists_for_documents(client: httpx.Client, mib: int) -> int:
    return post(client, UPSERT, b'{"documents":[' + b"[]," * (mib * MIB // 3) + b"1]}")


def many_keys(client: httpx.Client, mib: int) -> int:
    keys = b",".join(b'"%x":1' % n for n in range(MIB // 11))
    return post(client, "/clusters", b"{" + keys + b"}")


def one_key_again_and_again(client: httpx.Client, mib: int) -> int:
    return post(client, "/clusters/list", b"{" + b'"limit":1,' * (MIB // 11) + b'"limit":2}')


def a_deep_nest(client: httpx.Client, mib: int) -> int:
    return post(client, "/clusters/list", b'{"filters":' + b'{"AND":' * 100_000 + b"1")


def many_digits(client: httpx.Client, mib: int) -> int:
    return post(client, "/clusters/list", b'{"filters":{"a":[' + b"1" * 400_000 + b"]}}")


def many_groups(client: httpx.Client, mib: int) -> int:
    return post(client, "/clusters/list", json.dumps({"filters": {"OR": [{"NOT": []}] * 4_000}}).encode())


def a_long_pattern(client: httpx.Client, mib: int) -> int:
    condition = {"field": "text", "operator": "regex", "value": "(a|b)" * 100_000}
    return client.post(f"{DOCUMENTS}/list", json={"filters": condition}).status_code


def a_pattern_that_grows(client: httpx.Client, mib: int) -> int:
    condition = {"field": "text", "operator": "regex", "value": "a[ab ]{999}b[ab ]{999}c[ab ]{999}"}
    return client.post(f"{DOCUMENTS}/list", json={"filters": condition}).status_code


def a_hundred_patterns(client: httpx.Client, mib: int) -> int:
    conditions = [{"field": "text", "operator": "regex", "value": pattern} for pattern in REGEXES[:99]]
    return client.post(f"{DOCUMENTS}/list", json={"filters": {"OR": conditions}, "include_total": True}).status_code


def words_in_a_list(client: httpx.Client, mib: int) -> int:
    conditions = [{"field": "text", "operator": "words", "value": f"zug{n} stadt"} for n in range(99)]
    return client.post(f"{DOCUMENTS}/list", json={"filters": {"OR": conditions}}).status_code


def everything_about_everything(client: httpx.Client, mib: int) -> int:
    functions = ("count_distinct", "sum", "push", "add_to_set")
    aggregations = [
        {"function": functions[n % len(functions)], "field": f"f{n}", "alias": f"a{n}"} for n in range(FIELDS)
    ]
    body = {"group_by": [{"field": "n"}], "aggregations": aggregations, "unwind": "tags", "limit": 10}
    return client.post(f"{DOCUMENTS}/aggregate", json=body).status_code


def distinct_texts(client: httpx.Client, mib: int) -> int:
    return client.post(f"{DOCUMENTS}/distinct", json={"field": "text"}).status_code


def the_last_page_sorted(client: httpx.Client, mib: int) -> int:
    body = {"sorts": [{"field": f"f{n}"} for n in range(16)], "page": 900_000, "limit": 1000}
    return client.post(f"{DOCUMENTS}/list", json=body).status_code


def vectors_of_a_page(client: httpx.Client, mib: int) -> int:
    return client.post(f"{DOCUMENTS}/list", json={"limit": 1000, "return_vectors": True}).status_code


def a_search_in_all_text(client: httpx.Client, mib: int) -> int:
    return client.post(f"{DOCUMENTS}/list", json={"search": "ﬁnd nothing", "include_total": True}).status_code


def a_change_of_all_that_match(client: httpx.Client, mib: int) -> int:
    conditions = [{"field": "text", "operator": "regex", "value": pattern} for pattern in REGEXES[:50]]
    body = {"filters": {"NOT": conditions}, "update_data": {"seen": True}}
    return client.patch(f"{DOCUMENTS}/bulk", json=body).status_code


def a_large_upsert(client: httpx.Client, mib: int) -> int:
    return post(client, UPSERT, b'{"documents":[' + _large(mib) + b"]}")


def a_large_upsert_that_is_broken(client: httpx.Client, mib: int) -> int:
    return post(client, UPSERT, b'{"documents":[' + _large(mib) + b'],"options"}')


def one_large_document(client: httpx.Client, mib: int) -> int:
    numbers = b"0.123456789," * (7 * MIB // 12)
    return post(client, DOCUMENTS, b'{"vectors":{"v":[' + numbers + b"1]}}")


def a_billion_starts(client: httpx.Client, mib: int) -> int:
    body = {
        "cluster_name": "forever",
        "collection_ids": [COLLECTION],
        "vector_config": {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": {"n_init": 10**9}},
    }
    return client.post("/clusters", json=body).status_code


def two_lengths(client: httpx.Client, mib: int) -> int:
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port or 80), timeout=60) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        return int(line.makefile("rb").readline().split()[1])


SHAPES: Mapping[Shape, frozenset[int]] = {
    many_empty_lists: frozenset({413}),
    empty_lists_in_a_small_body: frozenset({413}),
    empty_lists_for_documents: frozenset({413, 503}),
    many_keys: frozenset({413}),
    one_key_again_and_again: frozenset({413}),
    a_deep_nest: frozenset({400, 413}),
    many_digits: frozenset({200, 400, 422}),
    many_groups: frozenset({422}),
    a_long_pattern: frozenset({422}),
    a_pattern_that_grows: frozenset({422}),
    a_hundred_patterns: frozenset({200, 503}),
    words_in_a_list: frozenset({200, 503}),
    everything_about_everything: frozenset({200, 422, 503}),
    distinct_texts: frozenset({200, 503}),
    the_last_page_sorted: frozenset({200, 503}),
    vectors_of_a_page: frozenset({200, 503}),
    a_search_in_all_text: frozenset({200, 503}),
    a_change_of_all_that_match: frozenset({200, 503}),
    a_large_upsert: frozenset({200, 422, 503}),
    a_large_upsert_that_is_broken: frozenset({400, 503}),
    one_large_document: frozenset({413, 422, 503}),
    a_billion_starts: frozenset({422}),
    two_lengths: frozenset({400}),
}
"""Every shape, and what it may be answered. 503 says in words to ask for less, or to come again."""


def _large(mib: int) -> bytes:
    """Elements of so many MiB, some less: documents with vectors of 1,024 numbers."""
    vector = ",".join(f"{(n % 89) / 89 - 0.4:.9f}" for n in range(1024))
    document = '{"document_id":"large-%06d","vectors":{"w":[' + vector + ']},"payload":{"text":"},{"}}'
    count = min(1000, mib * MIB // (len(document) + 8))
    return ",".join(document % n for n in range(count)).encode()
