"""Links of exports: they work without a key for an hour, for one table of one run, and reveal nothing else."""

import hashlib
import io
import logging
import stat
import urllib.request
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pyarrow.parquet as pq
import pytest

from api.conftest import Clock
from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services


@pytest.fixture
def run(client: httpx.Client, services: Services) -> dict[str, Any]:
    put_documents(client, grouped_documents(60))
    create(client)
    return execute(client, services)


def exported(client: httpx.Client, run: dict[str, Any], **query: str) -> dict[str, Any]:
    link: dict[str, Any] = client.get(f"/clusters/groups/executions/{run['run_id']}/export", params=query).json()
    return link


def changed(url: str, **parameters: str | None) -> str:
    """The link with changed parameters; None removes one."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    return parts._replace(query=urlencode({n: v for n, v in query.items() if v is not None})).geturl()


def test_the_link_of_an_export_works_without_a_key(client: httpx.Client, run: dict[str, Any]) -> None:
    link = exported(client, run)

    with urllib.request.urlopen(link["url"]) as answer:  # as pandas.read_parquet does
        content = answer.read()

    table = pq.read_table(io.BytesIO(content))
    assert table.num_rows == link["row_count"] == 60
    assert len(content) == link["size_bytes"]
    assert link["download_url"] == link["url"]


def test_a_link_supports_range_and_head_requests(client: httpx.Client, run: dict[str, Any]) -> None:
    link = exported(client, run)

    part = httpx.get(link["url"], headers={"Range": "bytes=0-3"})
    head = httpx.head(link["url"])

    assert (part.status_code, part.content) == (206, b"PAR1")
    assert part.headers["Content-Range"] == f"bytes 0-3/{link['size_bytes']}"
    last, behind, several, turned, endless = (
        httpx.get(link["url"], headers={"Range": f"bytes={byte_range}"})
        for byte_range in ("-4", "9999999-", "0-1,5-6", "7-3", "9" * 5000 + "-")
    )
    assert (last.status_code, last.content) == (206, b"PAR1")
    assert (behind.status_code, behind.headers["Content-Range"]) == (416, f"bytes */{link['size_bytes']}")
    assert [len(one.content) for one in (several, turned, endless)] == [link["size_bytes"]] * 3
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(link["size_bytes"]), b"")


def test_a_download_is_resumed_only_while_its_content_is_unchanged(client: httpx.Client, run: dict[str, Any]) -> None:
    link = exported(client, run)
    whole = httpx.get(link["url"])
    etag = whole.headers["ETag"]

    rest = httpx.get(link["url"], headers={"Range": "bytes=4-", "If-Range": etag})
    another = httpx.get(link["url"], headers={"Range": "bytes=4-", "If-Range": '"another"'})

    assert etag == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert (rest.status_code, rest.content) == (206, whole.content[4:])
    assert (another.status_code, another.content) == (200, whole.content)


def test_a_link_expires_after_an_hour(client: httpx.Client, run: dict[str, Any], clock: Clock) -> None:
    link = exported(client, run)

    clock.forward(minutes=59)
    before = httpx.get(link["url"])
    clock.forward(minutes=1)
    after = httpx.get(link["url"])

    assert before.status_code == 200
    assert after.status_code == 403
    assert after.json()["error"]["type"] == "ForbiddenError"
    assert link["expires_at"] in after.json()["error"]["message"]


@pytest.mark.parametrize(
    "edit",
    [
        {"expires": "4102444800"}, {"table": "centroids"}, {"table": None}, {"namespace": "other"},
        {"organization": "org_other"}, {"cluster_label": "x"}, {"signature": "A" * 43}, {"signature": ""},
        {"expires": None}, {"expires": "soon"}, {"signature": "\u00e9"},
    ],
)  # fmt: skip
def test_a_modified_link_opens_nothing(client: httpx.Client, run: dict[str, Any], edit: dict[str, str | None]) -> None:
    answer = httpx.get(changed(exported(client, run)["url"], **edit))

    assert answer.status_code == 403
    assert "link" in answer.json()["error"]["message"]


def test_a_link_opens_no_other_path_and_no_other_method(client: httpx.Client, run: dict[str, Any]) -> None:
    url = exported(client, run)["url"]
    parts = urlsplit(url)
    cluster = client.get("/clusters/groups").json()["cluster_id"]
    elsewhere = [
        parts.path.replace(run["run_id"], "run_other"),
        parts.path.replace("/download", "/export"),
        parts.path.replace("/download", "/data"),
        f"/v1/clusters/{cluster}",
        "/v1/clusters",
    ]

    statuses = {httpx.get(parts._replace(path=path).geturl()).status_code for path in elsewhere}

    assert statuses <= {401, 403}
    assert httpx.post(url).status_code == httpx.delete(url).status_code == 401


@pytest.mark.parametrize("gone", ["/clusters/groups", "/namespaces/default?force=true"])
def test_a_link_stops_working_when_its_resource_is_deleted(
    client: httpx.Client, run: dict[str, Any], gone: str
) -> None:
    url = exported(client, run)["url"]

    client.delete(gone).raise_for_status()

    assert httpx.get(url).status_code == 404


def test_a_link_can_contain_the_members_of_one_label(client: httpx.Client, run: dict[str, Any]) -> None:
    label = run["centroids"][0]["label"]

    link = exported(client, run, cluster_label=label)
    table = pq.read_table(io.BytesIO(httpx.get(link["url"]).content))

    assert set(table["cluster_label"].to_pylist()) == {label}
    assert table.num_rows == link["row_count"] == run["centroids"][0]["num_members"]


def test_user_labels_are_in_the_file(client: httpx.Client, run: dict[str, Any]) -> None:
    path = f"/clusters/groups/executions/{run['run_id']}"
    client.patch(f"{path}/labels", json={"labels": {"cl_0": "Mine"}}).raise_for_status()

    table = pq.read_table(io.BytesIO(httpx.get(exported(client, run)["url"]).content))

    assert "Mine" in set(table["cluster_label"].to_pylist())


def test_the_secret_is_private_and_the_signature_is_not_logged(
    client: httpx.Client, services: Services, run: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = exported(client, run)["url"]
    signature = dict(parse_qsl(urlsplit(url).query))["signature"]

    httpx.get(url)
    httpx.get(changed(url, table="none"))

    secret = services.settings.data / "links.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    own = [record.getMessage() + repr(vars(record)) for record in caplog.records if record.name.startswith("shoal")]
    assert own and not any(signature in line for line in own)


def test_links_ignore_a_foreign_host(client: httpx.Client, run: dict[str, Any]) -> None:
    path = f"/clusters/groups/executions/{run['run_id']}/export"

    link = client.get(path, headers={"Host": "evil.example"}).json()

    assert "evil" not in link["url"]
    assert httpx.get(link["url"]).status_code == 200
