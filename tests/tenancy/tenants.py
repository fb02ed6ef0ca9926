"""Tenants with one resource of every kind, created over HTTP on a real server.

Amber and birch are namespaces of one organisation, cedar is a namespace of another. No name or
id of one occurs in another, so any that appears in a response identifies its owner.
"""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import numpy as np

from tenancy.calls import Call, Kind

__all__ = ["DIMENSION", "Tenant", "furnish", "missing_like", "send"]

DIMENSION: Final = 4
_DOCUMENTS: Final = 12
_LETTERS: Final = {"amber": "fghj", "birch": "klmn", "cedar": "pqst", "dahlia": "vwxz"}


@dataclass
class Tenant:
    """A namespace of an organisation. `refs` holds ids first, then names, of the resources created by `furnish`.

    `keys` are secrets: `admin`, `reader` (read), `writer` (read and write), `revoked`, `expired`.
    """

    label: str
    organization_id: str
    http: httpx.Client
    keys: dict[str, str]
    email: str
    run_everything: Callable[[], object]
    refs: dict[Kind, tuple[str, ...]] = field(default_factory=dict)
    wear_out: bool = False
    """Whether `fresh` creates a new resource; otherwise the call is rejected before it could consume one."""

    def ref(self, kind: Kind) -> str:
        """The id of the permanent resource."""
        return self.refs[kind][0]

    def fresh(self, kind: Kind) -> str:
        """The id of a resource that a call may consume."""
        return _MAKERS[kind](self) if self.wear_out else self.ref(kind)

    def fresh_run(self) -> dict[str, str]:
        """Path parameters (cluster and run id) of a queued run that may be cancelled."""
        if not self.wear_out:
            return {"cluster_identifier": self.ref("cluster"), "run_id": self.ref("run")}
        cluster = _new_cluster(self)
        return {"cluster_identifier": cluster, "run_id": _execute(self, cluster)["additional_data"]["run_id"]}

    def name(self) -> str:
        """An unused name for a resource visible only in the namespace."""
        return f"{self.label}_own_{self._word()}"

    def open_name(self) -> str:
        """An unused name for a resource visible in the whole organisation."""
        return f"{self.label}_all_{self._word()}"

    def _word(self) -> str:
        """Letters used by this tenant only, because a response suggests names similar to the missing one."""
        return "".join(secrets.choice(_LETTERS[self.label]) for _ in range(16))

    def post(self, path: str, body: Any) -> dict[str, Any]:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, (path, answer.text)
        made: dict[str, Any] = answer.json()
        return made


def furnish(tenant: Tenant) -> None:
    """Create one resource of every kind, and wait for the run."""
    name, http = tenant.open_name(), tenant.http
    space = tenant.post("/namespaces", {"namespace_name": name})
    tenant.refs["namespace"] = (space["namespace_id"], name)
    http.headers["X-Namespace"] = space["namespace_id"]
    bucket = _new_bucket(tenant)
    tenant.refs["bucket"] = (bucket, http.get(f"/buckets/{bucket}").json()["bucket_name"])
    tenant.refs["object"] = (_new_object(tenant),)
    collection = _new_collection(tenant)
    tenant.refs["collection"] = (collection, http.get(f"/collections/{collection}").json()["collection_name"])
    tenant.refs["document"] = (_put_documents(tenant),)
    cluster = _new_cluster(tenant)
    tenant.refs["cluster"] = (cluster, http.get(f"/clusters/{cluster}").json()["cluster_name"])
    tenant.refs["run"] = (_execute(tenant, cluster)["additional_data"]["run_id"],)
    tenant.run_everything()
    run = http.get(f"/clusters/{cluster}/executions/{tenant.ref('run')}").json()
    assert run["status"] == "completed", run
    tenant.refs["task"] = (run["task_id"],)
    key = _new_key(tenant)
    tenant.refs["key"] = (key, http.get(f"{_keys_of(tenant)}/{key}").json()["name"])


def missing_like(ref: str) -> str:
    """An unused reference of the same form and length."""
    prefix, mark, rest = ref.partition("_")
    while True:
        drawn = "".join(secrets.choice(string.ascii_lowercase) if c.isalnum() else c for c in rest or prefix)
        made = f"{prefix}{mark}{drawn}" if rest else drawn
        if made != ref:
            return made


def send(
    http: httpx.Client, method: str, path: str, call: Call, key: str | None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """`path` includes its mount and `{parameters}`. Like all known API clients, it requests JSON."""
    for name, value in call.path.items():
        path = path.replace("{" + name + "}", httpx.URL("http://x").copy_with(path="/" + value).raw_path.decode()[1:])
    sent = {"Accept": "application/json"} | dict(headers or {}) | dict(call.headers)
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    body: dict[str, Any] = {"content": call.content} if call.content is not None else {"json": call.body}
    if call.content is None and call.body is None:
        body = {}
    return http.request(method, path, params=dict(call.query), headers=sent, **body)


def _keys_of(tenant: Tenant) -> str:
    return f"/organizations/users/{tenant.email}/api-keys"


def _new_namespace(tenant: Tenant) -> str:
    return str(tenant.post("/namespaces", {"namespace_name": tenant.open_name()})["namespace_id"])


def _new_bucket(tenant: Tenant) -> str:
    schema = {"properties": {"title": {"type": "string"}}}
    return str(tenant.post("/buckets", {"bucket_name": tenant.name(), "bucket_schema": schema})["bucket_id"])


def _new_object(tenant: Tenant) -> str:
    made = tenant.post(f"/buckets/{tenant.ref('bucket')}/objects", {"title": tenant.name()})
    return str(made["object_id"])


def _new_collection(tenant: Tenant) -> str:
    body = {"collection_name": tenant.name(), "source": {"type": "direct_upsert"}}
    return str(tenant.post("/collections", body)["collection_id"])


def _new_document(tenant: Tenant) -> str:
    body = {"document_id": tenant.name(), "vectors": {"v": [1.0] * DIMENSION}, "text": f"{tenant.label}_own_ words"}
    return str(tenant.post(f"/collections/{tenant.ref('collection')}/documents", body)["document_id"])


def _new_cluster(tenant: Tenant) -> str:
    config = {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 2}}
    body = {"cluster_name": tenant.name(), "collection_ids": [tenant.ref("collection")], "vector_config": config}
    return str(tenant.post("/clusters", body)["cluster_id"])


def _execute(tenant: Tenant, cluster: str) -> dict[str, Any]:
    """The task of a queued run: the server has no worker."""
    return tenant.post(f"/clusters/{cluster}/execute", {})


def _new_task(tenant: Tenant) -> str:
    return str(_execute(tenant, _new_cluster(tenant))["task_id"])


def _new_key(tenant: Tenant) -> str:
    return str(tenant.post(_keys_of(tenant), {"name": tenant.open_name()})["key_id"])


_MAKERS: Final[dict[Kind, Callable[[Tenant], str]]] = {
    "namespace": _new_namespace,
    "bucket": _new_bucket,
    "object": _new_object,
    "collection": _new_collection,
    "document": _new_document,
    "cluster": _new_cluster,
    "task": _new_task,
    "key": _new_key,
}


def _put_documents(tenant: Tenant) -> str:
    """Two plain groups; the id of the first document."""
    rng = np.random.default_rng(7)
    points = np.eye(2, DIMENSION)[np.arange(_DOCUMENTS) % 2] + rng.normal(0, 0.02, (_DOCUMENTS, DIMENSION))
    ids = [tenant.name() for _ in points]
    documents = [
        {
            "document_id": id,
            "vectors": {"v": point},
            "payload": {"text": f"{tenant.label}_own_{i % 2} words", "row": i, "code": id},
        }
        for i, (id, point) in enumerate(zip(ids, points.tolist(), strict=True))
    ]
    body = {"collection_id": tenant.ref("collection"), "documents": documents}
    tenant.post(f"/namespaces/{tenant.ref('namespace')}/documents/upsert", body)
    return ids[0]
