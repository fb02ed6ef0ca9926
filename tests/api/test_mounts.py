"""Routing: which paths are API routes, pages or unknown, for browsers, programs and unusual clients."""

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from urllib.parse import urlsplit

import httpx
import pytest

ClientMaker = Callable[..., httpx.Client]

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PROGRAM = {"Accept": "application/json, text/plain, */*"}
UNDECIDED: list[dict[str, str] | None] = [{"Accept": "*/*"}, {"Accept": ""}, None]


@pytest.fixture
def bare(server: str) -> Iterator[httpx.Client]:
    """A client without a key whose paths include their mount."""
    with httpx.Client(base_url=server, trust_env=False, timeout=30) as client:
        yield client


def sent_by_hand(server: str, method: str, path: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the response to exactly these bytes: clients normalise paths and add headers."""
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers])
    with socket.create_connection((urlsplit(server).hostname, urlsplit(server).port), timeout=30) as line:
        line.sendall(head.encode() + b"\r\n\r\n")
        with line.makefile("rb") as answer:
            start, _, body = answer.read().partition(b"\r\n\r\n")
    first, *lines = start.decode().split("\r\n")
    named = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    return int(first.split(" ")[1]), named, body


# ── the front page ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("headers", [BROWSER, *UNDECIDED])
def test_the_front_page_says_what_the_server_is_and_where_to_go(headers: dict[str, str] | None, server: str) -> None:
    lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
    status, named, body = sent_by_hand(server, "GET", "/", *lines)
    page = body.decode()

    assert status == 200 and named["content-type"] == "text/html; charset=utf-8"
    assert version("shoal") in page
    assert {"/docs", "/openapi.json", "/health"} <= set(re.findall(r'href="([^"]+)"', page))
    assert "shoal keys create" in page and "/v1/clusters" in page


def test_a_program_gets_the_front_page_as_json(bare: httpx.Client, server: str) -> None:
    answer = bare.get("/", headers=PROGRAM)

    assert answer.json() == {
        "name": "Shoal", "version": version("shoal"), "api": f"{server}/v1", "docs": f"{server}/docs",
        "openapi": f"{server}/openapi.json", "health": f"{server}/health",
    }  # fmt: skip


def test_every_link_on_the_pages_resolves_on_this_server(bare: httpx.Client) -> None:
    seen: set[str] = set()
    for page in ("/", "/docs", "/nowhere"):
        found = re.findall(r'(?:href|src)="([^"]+)"', bare.get(page, headers=BROWSER).text)
        assert found, page
        seen |= set(found)

    assert all(link.startswith("/") and not link.startswith("//") for link in seen)
    assert {link: bare.get(link).status_code for link in seen} == dict.fromkeys(seen, 200)


def test_the_pages_load_only_from_this_server_and_cannot_be_framed(bare: httpx.Client) -> None:
    for path in ("/", "/docs", "/nowhere", "/docs/page.css"):
        headers = bare.get(path, headers=BROWSER).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'", path
        assert not re.search(r"https?:|\*", headers["Content-Security-Policy"]), path
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Request-ID"]


def test_a_cache_distinguishes_the_page_and_the_json_response_at_the_same_address(bare: httpx.Client) -> None:
    page, answer = (bare.get("/", headers=headers) for headers in (BROWSER, PROGRAM))

    assert (page.headers["Vary"], answer.headers["Vary"]) == ("Accept", "Accept")
    assert (page.headers["Cache-Control"], answer.headers["Cache-Control"]) == ("no-cache", "no-cache")


def test_a_cache_does_not_serve_the_not_found_page_to_api_callers(bare: httpx.Client) -> None:
    for headers in (BROWSER, PROGRAM, None):
        missing = bare.get("/nowhere", headers=headers)
        assert missing.status_code == 404
        assert missing.headers["Vary"] == "Accept, Authorization" and missing.headers["Cache-Control"] == "no-cache"
    page = bare.get("/clusters", headers={"Accept": "text/html"})  # an API route if there is a key: see mounts.py
    assert (page.status_code, page.headers["Vary"]) == (404, "Accept, Authorization")


@pytest.mark.parametrize("path", ["/docs/page.css", "/docs/icon.svg", "/docs/swagger_ui/swagger-ui-bundle.js"])
def test_a_cached_file_is_sent_again_only_if_it_changed(path: str, bare: httpx.Client) -> None:
    first = bare.get(path)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        for method in ("GET", "HEAD"):
            again = bare.request(method, path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag), known
            assert again.headers["Cache-Control"] == "no-cache" and again.headers["X-Content-Type-Options"] == "nosniff"
    for unknown in ('"other"', etag.strip('"'), ""):
        assert bare.get(path, headers={"If-None-Match": unknown}).content == first.content, unknown


def test_two_files_have_different_entity_tags(bare: httpx.Client) -> None:
    tags = {bare.get(f"/docs/{name}").headers["ETag"] for name in ("page.css", "reference.css", "reference.js")}

    assert len(tags) == 3


def test_the_front_page_runs_no_script_and_the_reference_no_inline_script(bare: httpx.Client) -> None:
    front, reference = (bare.get(path, headers=BROWSER) for path in ("/", "/docs"))

    assert "<script" not in front.text and "script-src" not in front.headers["Content-Security-Policy"]
    assert "script-src 'self';" in reference.headers["Content-Security-Policy"]
    assert re.findall(r"<script[^>]*>(.*?)</script>", reference.text) == ["", ""]


def test_a_foreign_host_header_is_not_repeated_on_the_page(bare: httpx.Client, server: str) -> None:
    page = bare.get("/", headers={**BROWSER, "Host": "evil.example"}).text

    assert "evil" not in page and f"{server}/v1" in page


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/reference.js"])
def test_head_and_a_trailing_slash_act_like_get_and_other_methods_are_rejected(path: str, bare: httpx.Client) -> None:
    whole, head = bare.get(path), bare.head(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert path == "/" or bare.get(f"{path}/").content == whole.content
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        refused = bare.request(method, path)
        assert refused.status_code == 405 and refused.headers["Allow"] == "GET, HEAD", method


def test_pages_need_no_key_and_a_wrong_one_does_not_matter(bare: httpx.Client) -> None:
    wrong = {"Authorization": "Bearer sk_wrong"}
    assert [bare.get(path, headers=wrong).status_code for path in ("/", "/docs", "/livez")] == [200, 200, 200]


# ── the API ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_api_is_the_same_at_both_mounts(server: str, admin_key: str, bare: httpx.Client) -> None:
    bare.headers["Authorization"] = f"Bearer {admin_key}"
    for mount, name in (("/v1", "one"), ("/api/v1", "two")):
        body = {"bucket_name": name, "bucket_schema": {"properties": {}}}
        assert bare.post(f"{mount}/buckets", json=body).status_code == 200

    listed = [bare.get(f"{mount}/buckets").json() for mount in ("/v1", "/api/v1", "")]

    assert [bucket["bucket_name"] for bucket in listed[0]["results"]] == ["two", "one"]
    assert listed[0] == listed[1] == listed[2]


def test_an_idempotency_key_identifies_one_request_however_the_path_is_written(
    admin_key: str, bare: httpx.Client
) -> None:
    bare.headers.update({"Authorization": f"Bearer {admin_key}", "Idempotency-Key": "once"})
    body = {"bucket_name": "one", "bucket_schema": {"properties": {}}}

    answers = [bare.post(f"{mount}/buckets", json=body) for mount in ("/v1", "/api/v1", "", "/v1/buckets/..")]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["bucket_id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "path", ["/clusters", "/clusters/x", "/collections", "/tasks/x", "/organizations/audit", "/me"]
)
def test_a_program_that_omits_the_prefix_gets_the_same_response(path: str, bare: httpx.Client, admin_key: str) -> None:
    key = {"Authorization": f"Bearer {admin_key}"}
    for headers in ({"Accept": "*/*"}, {"Accept": ""}, BROWSER, PROGRAM):
        short, official = (bare.get(f"{mount}{path}", headers={**headers, **key}) for mount in ("", "/v1"))
        assert (short.status_code, short.json()) == (official.status_code, official.json())

    refused = bare.get(path, headers=PROGRAM)
    assert refused.status_code == 401 and refused.json()["error"]["code"] == "unauthorized"


def test_a_path_without_the_prefix_is_an_api_route_only_for_programs(bare: httpx.Client, server: str) -> None:
    page = bare.get("/clusters", headers=BROWSER)
    assert page.status_code == 404 and page.headers["Content-Type"].startswith("text/html")
    for lines in (["Accept: */*"], ["Accept: "], [], ["Authorization: Basic c2tfOg=="], ["Accept: application/jsonp"]):
        status, headers, _ = sent_by_hand(server, "GET", "/clusters", *lines)
        assert status == 404 and headers["content-type"] == "application/json", lines


@pytest.mark.parametrize(
    "path",
    ["/clustersx", "/cluster", "/Clusters", "//clusters", "/v1clusters", "/v2/clusters", "/api/clusters", "/api/v2/me",
     "/%2Fclusters", "/.clusters", "/clusters;x", "/health.json", "/v1.0/me"],
)  # fmt: skip
def test_only_the_exact_first_segment_of_a_resource_selects_the_api(path: str, server: str, admin_key: str) -> None:
    status, headers, body = sent_by_hand(server, "GET", path, f"Authorization: Bearer {admin_key}", "Accept: */*")

    assert status == 404 and b'"unknown_route"' in body
    assert headers["content-security-policy"]  # served by the site, which holds no data


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/clusters/", 200, None),
        ("/v1/clusters/", 200, None),
        ("/%63lusters", 200, None),
        ("/%76%31/clusters", 200, None),
        ("/clusters%2Fnone", 404, "not_found"),
        ("/v1/clusters%2Fnone", 404, "not_found"),
        ("/v1%2Fclusters", 200, None),
        ("/v1//clusters", 404, "unknown_route"),
        ("/v1/clusters//", 404, "unknown_route"),
        ("/v1", 404, "unknown_route"),
        ("/v1/", 404, "unknown_route"),
        ("/api/v1", 404, "unknown_route"),
        ("/v1/v1/clusters", 404, "unknown_route"),
        ("/v1/nothing", 404, "unknown_route"),
    ],
)
def test_unusual_api_paths_require_a_key_and_work_with_one(
    path: str, status: int, code: str | None, server: str, admin_key: str
) -> None:
    key = f"Authorization: Bearer {admin_key}"

    answered, _, body = sent_by_hand(server, "GET", path, key)

    assert answered == status and (code is None or f'"{code}"'.encode() in body), body
    assert sent_by_hand(server, "GET", path, "Accept: application/json")[0] == 401


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
def test_unusual_methods_are_rejected_everywhere(method: str, server: str, admin_key: str) -> None:
    for path, status in (("/v1/clusters", 401), ("/clusters", 404), ("/", 405), ("/nothing", 404), ("*", 404)):
        assert sent_by_hand(server, method, path)[0] == status, path
    assert sent_by_hand(server, method, "/clusters", f"Authorization: Bearer {admin_key}")[0] == 405


def test_the_probes_keep_their_paths(bare: httpx.Client) -> None:
    for path in ("/health", "/livez", "/readyz", "/health/beat", "/health/liveness", "/openapi.json"):
        for mount in ("", "/v1", "/api/v1"):
            assert bare.get(mount + path).status_code == 200
    assert bare.get("/health/deep").status_code == 404  # needs a key: not a probe
    assert bare.get("/health/deep", headers=PROGRAM).status_code == 401


# ── missing paths ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_path_is_a_page_for_browsers_and_a_standard_error_for_programs(bare: httpx.Client) -> None:
    page = bare.get("/some/where", headers=BROWSER)
    assert page.status_code == 404 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "no page at <code>/some/where</code>" in page.text

    for headers in (PROGRAM, {"Accept": "*/*"}, {"Accept": "application/vnd.apache.parquet"}):
        answer = bare.post("/some/where", headers=headers, json={})
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_route"
        assert answer.json()["error"]["message"] == "There is no route POST '/some/where'."
        assert "/v1" in answer.json()["error"]["details"]["hint"]


def test_planned_features_are_reported_as_such_without_the_prefix_too(bare: httpx.Client) -> None:
    error = bare.get("/taxonomies", headers=PROGRAM).json()["error"]

    assert error["message"] == "Taxonomies are planned for a later version of Shoal."


def test_a_path_is_escaped_and_truncated(bare: httpx.Client) -> None:
    page = bare.get("/<script>alert(1)</script>" + "x" * 5000, headers=BROWSER).text

    assert "&lt;script&gt;" in page and "<script" not in page
    assert len(page) < 2000


def _routes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["route"] for record in caplog.records if record.name == "shoal.access"]


def test_wrong_paths_never_become_names_in_logs_and_metrics(
    bare: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "shoal.access"):
        for path in ("/nowhere/1", "/nowhere/2", "/docs", "/api/v1/clusters/secret"):
            bare.get(path)
        end = time.monotonic() + 30  # the line is logged after the response
        while len(routes := _routes(caplog)) < 4 and time.monotonic() < end:
            time.sleep(0.01)

    assert routes == ["unmatched", "unmatched", "/docs", "unmatched"]
