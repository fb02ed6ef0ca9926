"""`from_file`: which documents of a file are clustered, and which words name the clusters."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.engine.cost import machine_factor
from shoal.errors import InvalidField
from shoal.library.from_columns import ClusterOptions
from shoal.library.from_file import FileClustering, cluster_file, plan_file
from shoal.library.request import Request
from shoal.records.queries.filters import parse_filter

pytestmark = pytest.mark.process

TOPICS = ("refund request", "password reset", "parcel delivery")
TEXTS = [f"{topic} number {letter}" for topic in TOPICS for letter in "abcdefghij"]
VECTORS = np.repeat(np.eye(3, 4), 10, 0) + np.random.default_rng(0).normal(0, 0.02, (30, 4))
IDS = [f"d{number:02d}" for number in range(30)]

Rows = Sequence[dict[str, Any]]
Writer = Callable[[Path, Rows], Path]


def as_json_lines(folder: Path, rows: Rows) -> Path:
    path = folder / "docs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_parquet(folder: Path, rows: Rows) -> Path:
    path = folder / "docs.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def as_arrow(folder: Path, rows: Rows) -> Path:
    table, path = pa.Table.from_pylist(list(rows)), folder / "docs.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return path


def as_csv(folder: Path, rows: Rows) -> Path:
    path = folder / "docs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {key: json.dumps(value) if isinstance(value, list) else value for key, value in row.items()} for row in rows
        )
    return path


each_nested = pytest.mark.parametrize("write", [as_json_lines, as_parquet, as_arrow])
each_writer = pytest.mark.parametrize("write", [as_json_lines, as_parquet, as_arrow, as_csv])


def rows(document: Callable[[int], dict[str, Any]]) -> Rows:
    return [{"id": id, "embedding": VECTORS[n].tolist(), **document(n)} for n, id in enumerate(IDS)]


def cluster(path: Path, *, text: Sequence[str] = (), where: object = None) -> FileClustering:
    options = ClusterOptions(n_clusters=3)
    return cluster_file(Request(path=path, text=text, where=parse_filter(where, "where"), cluster_options=options))


def labels(clustering: FileClustering) -> set[str]:
    """Return the cluster labels, without the word that all texts share."""
    return {cluster.label.casefold().removesuffix(" number") for cluster in clustering.clustering.clusters}


@each_nested
def test_text_inside_objects_names_clusters(write: Writer, tmp_path: Path) -> None:
    result = cluster(write(tmp_path, rows(lambda n: {"info": {"deep": {"note": TEXTS[n]}, "page": n}})))

    assert result.source["text"] == ["info.deep.note"]
    assert labels(result) == set(TOPICS)


@each_writer
def test_a_column_with_dots_in_its_name_is_read_as_it_is_written(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path, rows(lambda n: {"info.note": TEXTS[n], "info.lang": "en" if n % 2 else "fr"}))
    result = cluster(path, where={"field": "info.lang", "operator": "eq", "value": "en"})

    assert result.source["text"] == ["info.note"]
    assert result.clustering.ids.tolist() == IDS[1::2]
    assert labels(result) == set(TOPICS)


@each_nested
def test_a_nested_field_can_be_named(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path, rows(lambda n: {"info": {"note": TEXTS[n]}, "other": f"same words in every row {n}"}))

    assert labels(cluster(path, text=["info.note"])) == set(TOPICS)
    with pytest.raises(InvalidField, match=r"info\.nope"):
        cluster(path, text=["info.nope"])


def byo(n: int) -> dict[str, Any]:
    return {
        "document_id": IDS[n],
        "vectors": {"v.1": VECTORS[n].tolist()},
        "payload": {"kind": "a" if n % 2 else "b"},
        "metadata": {"note": TEXTS[n]},
    }


@each_nested
def test_documents_with_metadata_read_as_a_server_would_hold_them(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path, [byo(n) for n in range(30)])
    result = cluster(path, where={"field": "kind", "operator": "eq", "value": "a"})

    assert result.source["vector"] == "v.1"
    assert result.source["text"] == ["metadata.note"]
    assert result.clustering.ids.tolist() == IDS[1::2]
    assert labels(result) == set(TOPICS)


@each_writer
def test_ids_come_from_a_column_with_dots_in_its_name(write: Writer, tmp_path: Path) -> None:
    plain = [{"doc.key": id, "my.vector": VECTORS[n].tolist(), "note": TEXTS[n]} for n, id in enumerate(IDS)]
    request = Request(
        path=write(tmp_path, plain), id="doc.key", vector="my.vector", cluster_options=ClusterOptions(n_clusters=3)
    )

    assert cluster_file(request).clustering.ids.tolist() == IDS


def test_a_field_that_is_text_here_and_an_object_there_is_read_where_it_is_text(tmp_path: Path) -> None:
    path = as_json_lines(tmp_path, rows(lambda n: {"info": TEXTS[n] if n % 3 else {"note": TEXTS[n]}}))

    assert labels(cluster(path)) == set(TOPICS)


def test_the_order_of_the_rows_chooses_no_fields(tmp_path: Path) -> None:
    def document(n: int) -> dict[str, Any]:
        return {"title": TEXTS[n % 30], "body": f"{TEXTS[n % 30]} with a much longer text" if n < 200 else None}

    many = [
        {"id": f"{n:04d}", "embedding": VECTORS[n % 30].tolist(), **document(n)} for n in range(600)
    ]  # the first 200 ids have a body
    forward, backward = tmp_path / "f", tmp_path / "b"
    forward.mkdir()
    backward.mkdir()
    first, other = cluster(as_json_lines(forward, many)), cluster(as_json_lines(backward, many[::-1]))

    assert first.source["text"] == other.source["text"] == ["title", "body"]
    assert labels(first) == labels(other)


PEAK = """
import sys
from pathlib import Path
from shoal.library.from_file import cluster_file
from shoal.library.request import Request
from shoal.library.from_columns import ClusterOptions
cluster_file(Request(path=Path(sys.argv[1]), cluster_options=ClusterOptions(n_clusters=3)))
# Not ru_maxrss, which counts the process that this one was forked from.
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.mark.parametrize(("count", "words"), [(300, 30_000), (6_000, 300)], ids=["long texts", "many texts"])
def test_the_planned_memory_covers_the_observed_peak(count: int, words: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vocabulary = np.array(["alpha", "beta", "gamma", "delta", "refund", "password", "parcel", "order", "login"])
    texts = [" ".join(random.choice(vocabulary, words)) for _ in range(count)]
    vectors = np.repeat(np.eye(3, 16), count // 3, 0) + random.normal(0, 0.05, (count, 16))
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"text": texts, "embedding": vectors.tolist()}), path, row_group_size=100)

    planned = plan_file(Request(path=path, cluster_options=ClusterOptions(n_clusters=3))).peak_memory_bytes
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    peak = int(done.stdout)

    assert peak <= planned <= 3 * peak


def test_a_plan_counts_the_start_and_the_choice_of_a_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({"embedding": rng.normal(size=(1_000, 64)).tolist()}), path)

    def seconds(**options: Any) -> float:
        return plan_file(Request(path=path, cluster_options=ClusterOptions(map=False, threads=1, **options))).seconds

    estimates, chosen = seconds(algorithm="kmeans", n_clusters=2), seconds(algorithm="kmeans")
    linked, cut = seconds(algorithm="agglomerative", n_clusters=2), seconds(algorithm="agglomerative")

    assert estimates > machine_factor()
    assert chosen > estimates + 0.1 * machine_factor() and cut > linked + 0.1 * machine_factor()


def test_a_long_text_names_clusters_by_its_head_its_middle_and_its_tail(tmp_path: Path) -> None:
    filler = " ".join(f"w{n}" for n in range(9_000))
    path = as_json_lines(tmp_path, rows(lambda n: {"note": f"{filler} {TEXTS[n]}."}))

    assert labels(cluster(path)) == set(TOPICS)
