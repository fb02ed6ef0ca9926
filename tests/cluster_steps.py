"""Steps that tests of clusters share: documents in three plain groups, and runs carried out at once in this process."""

from datetime import timedelta
from typing import Any

import httpx
import numpy as np

from shoal.assemble import Services
from shoal.engine.plan import Progress, ignore_progress
from shoal.runs.states import QUEUE

WORDS = ("lost my luggage at the airport", "improve my credit score", "play some jazz music")
DIMENSION = 8


def grouped_documents(rows: int = 60, offset: float = 0.0) -> list[dict[str, Any]]:
    """Make documents of three well-separated groups, in turn; `d0000` is of the first."""
    rng = np.random.default_rng(7)
    points = np.eye(3, DIMENSION)[np.arange(rows) % 3] + rng.normal(offset, 0.02, (rows, DIMENSION))
    return [
        {
            "document_id": f"d{row:04d}",
            "vectors": {"v": point},
            "payload": {"text": f"{WORDS[row % 3]} please", "kind": "abc"[row % 3], "even": row % 2 == 0, "row": row},
        }
        for row, point in enumerate(points.tolist())
    ]


def put_documents(client: httpx.Client, documents: list[dict[str, Any]], collection: str = "docs") -> None:
    if client.get(f"/collections/{collection}").status_code == 404:
        body = {"collection_name": collection, "source": {"type": "direct_upsert"}}
        client.post("/collections", json=body).raise_for_status()
    upsert = {"collection_id": collection, "documents": documents}
    client.post("/namespaces/default/documents/upsert", json=upsert).raise_for_status()


def vector_body(method: str = "kmeans", name: str = "groups", **more: Any) -> dict[str, Any]:
    """Build a create request; keywords beside `config` go to the top level, those in `config` to the vector_config."""
    config = {"feature_uris": ["v"], "clustering_method": method, **more.pop("config", {})}
    if method == "kmeans":
        config.setdefault("kmeans_parameters", {"n_clusters": 3, "n_init": 1})
    return {"collection_ids": ["docs"], "cluster_name": name, "vector_config": config, **more}


def create(client: httpx.Client, **more: Any) -> dict[str, Any]:
    reply = client.post("/clusters", json=vector_body(**more))
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


def carry_out(services: Services, progress: Progress = ignore_progress) -> int:
    """Claim and execute every queued run. Returns their number."""
    done = 0
    now = services.states._now  # the tests' clock
    while (job := services.metadata.claim(QUEUE, "test", now(), now() + timedelta(seconds=30))) is not None:
        services.runner.run(job, progress)
        services.metadata.finish(job.job_id, job.fence)
        done += 1
    return done


def execute(client: httpx.Client, services: Services, ref: str = "groups", **body: Any) -> dict[str, Any]:
    """Execute, carry out, and the run as the wire shows it afterwards."""
    task = client.post(f"/clusters/{ref}/execute", json=body)
    assert task.status_code == 200, task.text
    assert carry_out(services) == 1
    run_id = task.json()["additional_data"]["run_id"]
    run: dict[str, Any] = client.get(f"/clusters/{ref}/executions/{run_id}").json()
    return run
