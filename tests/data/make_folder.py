"""Makes and packs a small data folder with the code as it is: one a release, so that later code can be tested on it.

    PYTHONPATH=tests python tests/data/make_folder.py 0.1.0

writes `folder-0.1.0.tar.xz` with the folder `data/` and, beside it, `told.json`: what the server of that code answered.
"""

import io
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson

from server_process import ServerProcess

HERE = Path(__file__).parent
ROWS, DIMENSION = 45, 8
ASKED = (
    ("GET", "/namespaces/default"),
    ("GET", "/collections/questions"),
    ("GET", "/collections/questions/documents/q-07?return_vectors=true"),
    ("GET", "/collections/questions/documents/q-44?return_vectors=true"),
    ("GET", "/collections/questions/documents/count"),
    ("GET", "/clusters/topics"),
    ("POST", "/clusters/topics/executions/list"),
    ("GET", "/clusters/topics/artifacts?include_members=true&limit=100"),
)
"""What is asked of the old code and, later, of the new; answers may gain fields, never lose or change them."""


def answers(client: httpx.Client) -> dict[str, Any]:
    """Each answer by method and path; None for what has no such route."""
    result = {}
    for method, path in ASKED:
        reply = client.request(method, path)
        result[f"{method} {path}"] = reply.json() if reply.status_code == 200 else None
    return result


def fill(client: httpx.Client) -> None:
    """Documents of three kinds with vectors, and a finished run over them."""
    rng = np.random.default_rng(11)
    vectors = np.repeat(np.eye(3, DIMENSION), ROWS // 3, axis=0) + rng.normal(0, 0.05, (ROWS, DIMENSION))
    words = ("rain tomorrow", "bake bread", "book a flight")
    documents = [
        {
            "document_id": f"q-{row:02d}",
            "vectors": {"text": vector},
            "payload": {
                "text": f"{words[row // 15]} {row}",
                "year": 2000 + row,
                "umlaut": "größer",
                "deep": {"a": [1]},
            },
        }
        for row, vector in enumerate(vectors.astype(np.float32).tolist())
    ]
    parameters = {"n_clusters": 3, "n_init": 1}
    config = {"feature_uris": ["text"], "clustering_method": "kmeans", "kmeans_parameters": parameters}
    for path, body in (
        ("/collections", {"collection_name": "questions", "source": {"type": "direct_upsert"}}),
        ("/namespaces/default/documents/upsert", {"collection_id": "questions", "documents": documents}),
        ("/clusters", {"collection_ids": ["questions"], "cluster_name": "topics", "vector_config": config}),
        ("/clusters/topics/execute", {}),
    ):
        client.post(path, json=body).raise_for_status()
    while client.get("/clusters/topics").json()["status"] not in ("COMPLETED", "FAILED"):
        pass


def main() -> None:
    name = HERE / f"folder-{sys.argv[1]}.tar.xz"
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        with ServerProcess(data) as server, server.client("default") as client:
            fill(client)
            content = orjson.dumps(answers(client), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        with tarfile.open(name, "w:xz") as packed:
            packed.add(data, "data", filter=_nobody)
            entry = tarfile.TarInfo("told.json")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
