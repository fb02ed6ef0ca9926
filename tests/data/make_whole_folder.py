"""Makes and packs a small data folder that holds one of everything, with the code as it is.

    PYTHONPATH=tests python tests/data/make_whole_folder.py 2026-11

writes `whole-2026-11.tar.xz` with the folder `data/` and, beside it, `answers.json`: when it was made, and what the
server of that code answered. Later code has to open the folder and answer the same.
"""

import io
import sys
import tarfile
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import orjson

from server_process import ServerProcess

HERE: Final = Path(__file__).parent
ROWS, DIMENSION = 30, 6
READS: Final = (
    "/namespaces/default",
    "/namespaces/second",
    "/buckets/uploads",
    "/buckets/uploads/objects",
    "/collections/questions",
    "/collections/questions/documents?limit=100&return_vectors=true",
    "/collections/answers",
    "/collections/answers/documents?limit=100&return_vectors=true",
    "/clusters/topics",
    "/clusters/topics/executions/RUN",
    "/clusters/topics/executions",
    "/clusters/topics/artifacts?include_members=true&limit=100",
    "/clusters/topics/groups",
    "/clusters/enriching",
    "/clusters/enriching/artifacts?include_members=true&limit=100",
    "/clusters/waiting",
    "/clusters/waiting/executions",
    "/organizations/users/local@shoal/api-keys",
    "/organizations/audit?limit=100",
)
"""Asked of the old code and of the new: answers may gain fields, never lose or change them. RUN is the run of `topics`
whose clusters were given labels."""
KEYED: Final[tuple[tuple[str, str, Any], ...]] = (
    ("in-metadata", "/buckets", {"bucket_name": "made-once", "bucket_schema": {"properties": {}}}),
    (
        "in-documents",
        "/collections/questions/documents/batch",
        {"updates": [{"document_id": "q-03", "update_data": {"payload": {"once": 1}}}]},
    ),
)
"""Requests with an idempotency key: the reply to one is kept with the metadata, to the other with the documents."""


def read_all(client: httpx.Client, run_id: str) -> dict[str, Any]:
    """The answer to each of READS."""
    result = {}
    for path in READS:
        reply = client.get(path.replace("RUN", run_id))
        reply.raise_for_status()
        result[path] = reply.json()
    return result


def repeat_keyed(client: httpx.Client) -> dict[str, Any]:
    """The answer to each request of KEYED by its key, and whether it is one that was given before."""
    result = {}
    for key, path, body in KEYED:
        reply = client.post(path, json=body, headers={"Idempotency-Key": key})
        reply.raise_for_status()
        result[key] = {"answer": reply.json(), "replayed": "Idempotent-Replayed" in reply.headers}
    return result


def _documents(letter: str, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    vectors = np.repeat(np.eye(3, DIMENSION), ROWS // 3, axis=0) + rng.normal(0, 0.05, (ROWS, DIMENSION))
    words = ("rain tomorrow", "bake bread", "book a flight")
    return [
        {
            "document_id": f"{letter}-{row:02d}",
            "vectors": {"text": vector},
            "payload": {
                "text": f"{words[row // 10]} {row}",
                "year": 2000 + row,
                "umlaut": "größer",
                "deep": {"a": [1]},
            },
        }
        for row, vector in enumerate(vectors.astype(np.float32).tolist())
    ]


def _cluster(name: str, collection: str, **more: Any) -> dict[str, Any]:
    parameters = {"n_clusters": 3, "n_init": 1}
    config = {"feature_uris": ["text"], "clustering_method": "kmeans", "kmeans_parameters": parameters}
    return {"collection_ids": [collection], "cluster_name": name, "vector_config": config, **more}


def fill(client: httpx.Client) -> str:
    """One of everything except a waiting job; the id of a finished run with labels given by hand."""
    source = {"type": "direct_upsert"}
    objects = [{"key_prefix": f"/in/{i}", "title": f"object {i}"} for i in range(3)]
    for path, body in (
        ("/namespaces/standalone", {"namespace_name": "second"}),
        ("/buckets", {"bucket_name": "uploads", "bucket_schema": {"properties": {"title": {"type": "string"}}}}),
        ("/buckets/uploads/objects/batch", {"objects": objects}),
        ("/collections", {"collection_name": "questions", "source": source}),
        ("/collections", {"collection_name": "answers", "source": source}),
        ("/namespaces/default/documents/upsert", {"collection_id": "questions", "documents": _documents("q", 11)}),
        ("/namespaces/default/documents/upsert", {"collection_id": "answers", "documents": _documents("a", 12)}),
        ("/clusters", _cluster("topics", "questions")),
        ("/clusters", _cluster("enriching", "answers", enrich_source_collection=True)),
        ("/clusters", _cluster("waiting", "questions")),
    ):
        client.post(path, json=body).raise_for_status()
    repeat_keyed(client)
    for name in ("topics", "enriching"):
        client.post(f"/clusters/{name}/execute", json={}).raise_for_status()
        wait_for(client, name)
    run_id = str(client.get("/clusters/topics").json()["current_run_id"])
    groups = client.get("/clusters/topics/artifacts").json()["centroids"]
    labels = {"labels": {groups[0]["cluster_id"]: "A label by hand"}}
    client.patch(f"/clusters/topics/executions/{run_id}/labels", json=labels).raise_for_status()
    return run_id


def wait_for(client: httpx.Client, name: str) -> dict[str, Any]:
    """The cluster once its run is over."""
    while True:
        cluster: dict[str, Any] = client.get(f"/clusters/{name}").json()
        if cluster["status"] in ("COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED"):
            return cluster
        time.sleep(0.02)


def main() -> None:
    name = HERE / f"whole-{sys.argv[1]}.tar.xz"
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        with ServerProcess(data) as server, server.client("default") as client:
            run_id = fill(client)
        with ServerProcess(data, workers=0) as server, server.client("default") as client:
            client.post("/clusters/waiting/execute", json={}).raise_for_status()
            answers = {
                "made_at": datetime.now(UTC).isoformat(),
                "run_id": run_id,
                "reads": read_all(client, run_id),
                "keyed": repeat_keyed(client),
            }
        packed_answers = orjson.dumps(answers, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        with tarfile.open(name, "w:xz") as packed:
            packed.add(data, "data", filter=_of_nobody)
            entry = tarfile.TarInfo("answers.json")
            entry.size = len(packed_answers)
            packed.addfile(entry, io.BytesIO(packed_answers))


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if "ballast" in entry.name:
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
