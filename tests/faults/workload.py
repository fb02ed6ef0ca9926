"""The seeded operations of a client and their requests, all reproducible from their numbers.

Two collections in the namespace `default`: `docs`, 2,000 documents × 32 dimensions that are clustered, edited and
deleted, and `inbox`, into which batches are written and which nothing else touches. Two clusters of `docs`: `plain`,
with an output collection, and `rich`, which writes its groups back into the documents. A second namespace and a second
organisation hold one document each with a canary, a word that no answer to the first may hold.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray

from faults.ledger import Entry, Fate, Ledger
from shoal.assemble import assemble
from shoal.settings import Settings

__all__ = [
    "BATCH",
    "CLUSTERS",
    "DELETABLE",
    "DIMENSION",
    "EDITABLE",
    "SCRATCH",
    "Gone",
    "Operations",
    "Tenants",
    "batch_of",
    "documents_of",
    "make_tenants",
    "scratch_name",
]

Json = dict[str, Any]
DIMENSION: Final = 32
SHORT_DIMENSION: Final = 4
BATCH: Final = 50
SOURCE_BATCHES: Final = 2
SOURCE_BATCH: Final = int(os.environ.get("FAULTS_SOURCE_BATCH", "1000"))
"""Documents of `docs` in each of its batches; fewer if a thousand runs must be quick."""
DELETABLE: Final = 200
"""Number of documents at the end of `docs` that may be deleted, each once."""
EDITABLE: Final = 60
"""Number of documents at the start of `docs` that may be edited, in a field that nothing else writes."""
CLUSTERS: Final = ("plain", "rich")
CANARY: Final = "canarybird"
SCRATCH: Final = 30
"""Documents in each collection of a scratch namespace, which exists to be deleted."""


class Gone(Exception):
    """The server went away during a request."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """The keys of two organisations; the workload belongs to the first."""

    key: str
    foreign_key: str


def vectors_of(collection: str, batch: int) -> NDArray[np.float32]:
    """Generate three blobs, the same for the same batch."""
    count = SOURCE_BATCH if collection == "docs" else BATCH
    rng = np.random.default_rng([len(collection), batch])
    centers = np.eye(3, DIMENSION, dtype=np.float32)
    points = centers[rng.integers(0, 3, count)] + rng.normal(0, 0.05, (count, DIMENSION))
    return points.astype(np.float32)


def vectors_sent(collection: str, vector: list[float]) -> dict[str, list[float]]:
    """Return all vectors of a document: those of `docs` have a second, short one, so that runs fuse two."""
    return {"v": vector, "w": vector[:SHORT_DIMENSION]} if collection == "docs" else {"v": vector}


def documents_of(collection: str, batch: int) -> list[Json]:
    """Generate the documents of a batch as they are sent."""
    return [
        {
            "document_id": f"{collection}-{batch:05d}-{row:04d}",
            "vectors": vectors_sent(collection, vector),
            "payload": {"batch": batch, "row": row, "text": f"word{row % 7} of batch"},
        }
        for row, vector in enumerate(vectors_of(collection, batch).tolist())
    ]


def batch_of(document_id: str) -> tuple[str, int, int]:
    """(collection, batch, row) of a document."""
    collection, batch, row = document_id.rsplit("-", 2)
    return collection, int(batch), int(row)


def deletable(number: int) -> str:
    return f"docs-{SOURCE_BATCHES - 1:05d}-{SOURCE_BATCH - 1 - number:04d}"


def editable(number: int) -> str:
    return f"docs-00000-{number:04d}"


def scratch_name(number: int) -> str:
    """Name a namespace that is to be deleted: `things` stays in it, `spare` and the cluster `extra` go before it."""
    return f"scratch-{number}"


def make_tenants(data: Path) -> Tenants:
    """Create a data folder with two organisations; the first key is in the file `key`, as after a first start."""
    services = assemble(Settings(data=data))
    try:
        key = services.keys.bootstrap(data / "key")
        foreign = services.keys.create_organization("other").key
    finally:
        services.close()
    assert key is not None
    return Tenants(key, foreign)


class Operations:
    """Operations of a client. Every write goes through the ledger; a lost connection raises Gone."""

    def __init__(self, client: httpx.Client, ledger: Ledger) -> None:
        self._client, self._ledger = client, ledger

    # ── set-up ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Create the two collections, their documents and the two clusters."""
        for name in ("docs", "inbox"):
            self.create("collections", {"collection_name": name, "source": {"type": "direct_upsert"}})
        for batch in range(SOURCE_BATCHES):
            self.ingest(batch, collection="docs")
        kmeans = {"feature_uris": ["v"], "clustering_method": "kmeans"}
        config = {**kmeans, "kmeans_parameters": {"n_clusters": 3, "n_init": 1}}
        self.create("clusters", {"collection_ids": ["docs"], "cluster_name": "plain", "vector_config": config})
        mappings = {"field_mappings": [{"source_field": "cluster_id", "target_field": "group"}]}
        rich = {"cluster_name": "rich", "enrich_source_collection": True, "source_enrichment_config": mappings}
        self.create(
            "clusters", {"collection_ids": ["docs"], "vector_config": config | {"feature_uris": ["v", "w"]}, **rich}
        )

    def plant_canary(self) -> None:
        """Create a document with the canary for this caller, which is foreign to the first."""
        self.create("collections", {"collection_name": f"{CANARY}s", "source": {"type": "direct_upsert"}})
        document = {"document_id": f"{CANARY}-1", "vectors": {"v": [1.0] * DIMENSION}, "text": CANARY}
        self._write("canary", {}, "POST", "/collections/canarybirds/documents", document)

    # ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def ingest(self, batch: int, *, collection: str = "inbox") -> Entry:
        """Upsert one batch."""
        body = {"collection_id": collection, "documents": documents_of(collection, batch)}
        detail = {"collection": collection, "batch": batch}
        return self._write("ingest", detail, "POST", "/namespaces/default/documents/upsert", body)

    def repeat(self, entry: Entry) -> Entry:
        """Send a batch again under its key."""
        body = {
            "collection_id": entry.detail["collection"],
            "documents": documents_of(entry.detail["collection"], entry.detail["batch"]),
        }
        path = "/namespaces/default/documents/upsert"
        return self._write("ingest", entry.detail, "POST", path, body, key=f"operation-{entry.op}")

    def edit(self, number: int) -> Entry:
        """Give an editable document a new `note`, the number of this operation."""
        id = editable(number)
        return self._write(
            "edit", {"document": id}, "PATCH", f"/collections/docs/documents/{id}", lambda op: {"note": op}
        )

    def delete(self, number: int) -> Entry:
        """Delete a deletable document."""
        id = deletable(number)
        return self._write(
            "delete", {"document": id, "number": number}, "DELETE", f"/collections/docs/documents/{id}", None
        )

    def execute(self, cluster: str) -> Entry:
        """Ask for a run of `plain` or `rich`."""
        return self._write("execute", {"cluster": cluster}, "POST", f"/clusters/{cluster}/execute", None)

    def create(self, kind: str, body: Json) -> Entry:
        """Create a collection or a cluster."""
        return self._write("create", {"what": kind, "name": body.get("cluster_name")}, "POST", f"/{kind}", body)

    def scratch(self, number: int) -> Entry:
        """Create a scratch namespace with two collections, and two clusters of the first."""
        where = {"X-Namespace": scratch_name(number)}
        namespace: Json = {"namespace_name": scratch_name(number)}
        self._write("make", {"number": number, "what": "namespace"}, "POST", "/namespaces", namespace)
        for name in ("things", "spare"):
            detail, collection = (
                {"number": number, "what": name},
                {"collection_name": name, "source": {"type": "direct_upsert"}},
            )
            self._write("make", detail, "POST", "/collections", collection, headers=where)
            sent: Json = {"collection_id": name, "documents": documents_of("inbox", number)[:SCRATCH]}
            path = f"/namespaces/{scratch_name(number)}/documents/upsert"
            self._write("fill", detail, "POST", path, sent, headers=where)
        config = {"feature_uris": ["v"], "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 2}}
        for name in ("groups", "extra"):
            cluster: Json = {"collection_ids": ["things"], "cluster_name": name, "vector_config": config}
            entry = self._write("make", {"number": number, "what": name}, "POST", "/clusters", cluster, headers=where)
        return entry

    def scratch_run(self, number: int) -> Entry:
        """Ask for a run of both clusters of a scratch namespace."""
        where = {"X-Namespace": scratch_name(number)}
        for name in ("groups", "extra"):
            detail = {"number": number, "what": name}
            entry = self._write("fill", detail, "POST", f"/clusters/{name}/execute", None, headers=where)
        return entry

    def drop_cluster(self, number: int) -> Entry:
        """Delete the cluster `extra` with its output."""
        return self._drop(number, "extra", "/clusters/extra?remove_enrichment=true")

    def drop_collection(self, number: int) -> Entry:
        """Delete the collection `spare`."""
        return self._drop(number, "spare", "/collections/spare")

    def drop_namespace(self, number: int) -> Entry:
        """Delete the namespace with its remaining content."""
        return self._drop(number, "namespace", f"/namespaces/{scratch_name(number)}")

    def _drop(self, number: int, what: str, path: str) -> Entry:
        where = {} if what == "namespace" else {"X-Namespace": scratch_name(number)}
        return self._write("drop", {"number": number, "what": what}, "DELETE", path, None, headers=where)

    def again(self, number: int) -> Entry:
        """Send the acknowledged execution `number` before the last again under its key."""
        first = [entry for entry in self._ledger.of_kind("execute") if entry.fate == "ack"][-1 - number]
        path = f"/clusters/{first.detail['cluster']}/execute"
        return self._write("again", {"of": first.op}, "POST", path, None, key=f"operation-{first.op}")

    def _write(
        self,
        kind: str,
        detail: Json,
        method: str,
        path: str,
        body: Json | Callable[[int], Json] | None,
        key: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Entry:
        op = self._ledger.intend(kind, **detail)
        try:
            sent = body(op) if callable(body) else body
            keyed = {"Idempotency-Key": key or f"operation-{op}"} if method == "POST" else {}
            reply = self._client.request(method, path, json=sent, headers={**headers, **keyed})
        except httpx.TransportError as error:
            self._ledger.settle(op, "unknown", error=type(error).__name__)
            raise Gone from error
        self._ledger.settle(op, _fate(reply), status=reply.status_code, **_extract_result(reply))
        return self._ledger.entries[op]


def _fate(reply: httpx.Response) -> Fate:
    if reply.is_success:
        return "ack"
    return "refused" if reply.status_code < 500 else "unknown"


def _extract_result(reply: httpx.Response) -> Json:
    """Extract the fields of an answer that later checks need."""
    with contextlib.suppress(ValueError, AttributeError):
        answer = reply.json()
        if not reply.is_success:
            return {"message": answer["error"]["message"]}
        run_id = (answer.get("additional_data") or {}).get("run_id")
        return {} if run_id is None else {"run_id": run_id}
    return {}
