"""A served installation that holds resources of every kind, so that generated calls can name existing ones.

One organisation: documents, a finished run of k-means and one by values, a bucket with an object, a task, a key; and
spares of each, which generated DELETEs may remove.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from app_server import serve_app
from cluster_steps import carry_out, grouped_documents, vector_body
from shoal.api.app import create_app
from shoal.assemble import Services, assemble
from shoal.settings import Settings

__all__ = ["Planted", "serve_planted"]

SPARE_USER: Final = "spare@example.org"
_PARTS: Final = ("docs", "spare")
_CHANGING: Final = frozenset({"DELETE", "PATCH", "PUT"})


class Planted:
    """The server, its admin, and the values that parameters of paths can have. `restore` plants what was removed."""

    def __init__(self, address: str, services: Services, key: str) -> None:
        self.address, self.services, self.key = address, services, key
        self.client = httpx.Client(
            base_url=f"{address}/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False
        )
        self.values: dict[str, list[str]] = {}
        self.spare: dict[str, list[str]] = {}

    def restore(self) -> None:
        """Plant what is not there, and note the ids. Calls are few while nothing is missing."""
        self._namespaces()
        self._documents()
        self._clusters()
        self._buckets()
        self._keys()

    def _namespaces(self) -> None:
        self._ensure("/namespaces/spare-space", "/namespaces", {"namespace_name": "spare-space"})
        self.client.headers["X-Namespace"] = "default"
        self.values["namespace"] = ["default", self._id("/namespaces/default", "namespace_id")]
        self.spare["namespace"] = ["spare-space"]

    def _documents(self) -> None:
        for name in _PARTS:
            self._ensure(
                f"/collections/{name}", "/collections", {"collection_name": name, "source": {"type": "direct_upsert"}}
            )
            if self.client.get(f"/collections/{name}/documents/count").json()["count"] < 12:
                body = {"collection_id": name, "documents": grouped_documents(24)}
                self.client.post("/namespaces/default/documents/upsert", json=body).raise_for_status()
        self.values["collection"] = ["docs", self._id("/collections/docs", "collection_id")]
        self.spare["collection"] = ["spare"]
        self.values["document_id"] = ["d0000", "d0001", "d0002"]
        self.spare["document_id"] = [f"d{row:04d}" for row in range(3, 24)]

    def _clusters(self) -> None:
        by_value = {"collection_ids": ["docs"], "cluster_type": "attribute"}
        for body in (
            vector_body(),
            {**by_value, "cluster_name": "by_kind", "attribute_config": {"attributes": ["kind"]}},
            vector_body(name="spare"),
        ):
            self._ensure(f"/clusters/{body['cluster_name']}", "/clusters", body)
        for name in ("groups", "by_kind"):
            if self.client.get(f"/clusters/{name}").json()["current_run_id"] is None:
                self.client.post(f"/clusters/{name}/execute").raise_for_status()
        carry_out(self.services)
        groups = self.client.get("/clusters/groups").json()
        assert groups["current_run_id"], groups
        self.values["cluster_identifier"] = ["groups", groups["cluster_id"], "by_kind"]
        self.spare["cluster_identifier"] = ["spare"]
        self.values["run_id"] = [groups["current_run_id"]]
        self.values["task_id"] = [groups["task_id"]]
        self.values["feature"] = ["v"]

    def _buckets(self) -> None:
        for name in ("things", "spare"):
            self._ensure(f"/buckets/{name}", "/buckets", {"bucket_name": name, "bucket_schema": {"properties": {}}})
            if self.client.get(f"/buckets/{name}").json()["object_count"] < 2:
                self.client.post(f"/buckets/{name}/objects", json={"title": "a thing"}).raise_for_status()
                self.client.post(f"/buckets/{name}/objects", json={"title": "another"}).raise_for_status()
        objects = self.client.get("/buckets/things/objects").json()["results"]
        self.values["bucket"] = ["things"]
        self.spare["bucket"] = ["spare"]
        self.values["object_id"] = [objects[-1]["object_id"]]
        spares = self.client.get("/buckets/spare/objects").json()["results"]
        self.spare["object_id"] = [spare["object_id"] for spare in spares]

    def _keys(self) -> None:
        keys = f"/organizations/users/{SPARE_USER}/api-keys"
        for name in ("kept", "spare"):
            self._ensure(f"{keys}/{name}", keys, {"name": name})
        self.values["user_email"] = self.spare["user_email"] = [SPARE_USER]
        self.values["key_name"], self.spare["key_name"] = ["kept"], ["spare"]

    def _ensure(self, path: str, home: str, body: Mapping[str, Any]) -> None:
        if self.client.get(path).status_code == 404:
            self.client.post(home, json=body).raise_for_status()

    def _id(self, path: str, field: str) -> str:
        value: str = self.client.get(path).json()[field]
        return value

    def good(self, parameter: str, method: str, path: str) -> str:
        """Return the parameter value for a call that must succeed."""
        if path.endswith("/cancel") and parameter in ("cluster_identifier", "run_id"):
            task = self.client.post("/clusters/spare/execute").raise_for_status().json()
            return "spare" if parameter == "cluster_identifier" else str(task["additional_data"]["run_id"])
        if path.endswith(("/labels", "/name", "/documents/bulk")) or (
            path.endswith("/{document_id}") and method != "DELETE"
        ):
            method = "GET"  # changes nothing that another call needs
        return self.choices(parameter, method)[0]

    def choices(self, parameter: str, method: str) -> Sequence[str]:
        """Return existing values of a path parameter; only spares for calls that may remove or rename."""
        if method in _CHANGING and parameter in self.spare:
            return self.spare[parameter]
        return self.values.get(parameter, ())


@contextmanager
def serve_planted(data: Path) -> Iterator[Planted]:
    """Start a server in this process on a loopback port, without workers: `restore` executes runs."""
    services = assemble(Settings(data=data, workers=0, max_body_mib=1, max_upload_mib=2))
    key = services.keys.bootstrap(data / "key")
    assert key is not None
    with serve_app(create_app(services)) as address:
        server = Planted(address, services, key)
        server.restore()
        yield server
        server.client.close()
    services.close()
