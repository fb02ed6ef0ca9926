"""Ids come back in the type they were given in, in every table and at every cluster."""

import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import shoal
from library.test_from_file import IDS, TEXTS, VECTORS, Writer, as_arrow, as_csv, as_json_lines, as_parquet
from shoal.library.from_columns import ClusterOptions
from shoal.library.from_file import cluster_file
from shoal.library.input.document_ids import DocumentIds
from shoal.library.request import Request

pytestmark = pytest.mark.process

COUNT = len(IDS)
NUMBERS = [7 * n + 5 for n in range(COUNT)]
"""5, 12, …: text would sort them otherwise."""
LARGE = [2**63 + n for n in range(COUNT)]
UUIDS = [uuid.UUID(int=n) for n in range(COUNT)]

INPUT_IDS: dict[str, tuple[Any, list[Any], pa.DataType]] = {
    "none": (None, list(range(COUNT)), pa.int64()),
    "whole numbers": (NUMBERS, NUMBERS, pa.int64()),
    "an array": (np.array(NUMBERS, np.uint16), NUMBERS, pa.int64()),
    "an Arrow column": (pa.array(NUMBERS, pa.int32()), NUMBERS, pa.int64()),
    "whole floats": (np.array(NUMBERS, np.float64), NUMBERS, pa.int64()),
    "decimals": ([Decimal(n) for n in NUMBERS], NUMBERS, pa.int64()),
    "large numbers": (LARGE, LARGE, pa.uint64()),
    "numbers beyond 64 bits": ([2**70 + n for n in range(COUNT)], [str(2**70 + n) for n in range(COUNT)], pa.string()),
    "text": (IDS, IDS, pa.string()),
    "digits": ([str(n) for n in NUMBERS], [str(n) for n in NUMBERS], pa.string()),
    "leading zeros": ([f"{n:05}" for n in NUMBERS], [f"{n:05}" for n in NUMBERS], pa.string()),
    "UUIDs": (UUIDS, [str(item) for item in UUIDS], pa.string()),
    "numbers and text": ([*NUMBERS[1:], "x"], [*map(str, NUMBERS[1:]), "x"], pa.string()),
}


@pytest.mark.parametrize("kind", INPUT_IDS)
@pytest.mark.parametrize("algorithm", ["hdbscan", "auto"])
def test_ids_are_returned_in_their_input_type(kind: str, algorithm: str) -> None:
    ids_, expected, column = INPUT_IDS[kind]

    clustering = shoal.cluster(VECTORS, id=ids_, algorithm=algorithm)

    assert list(clustering.ids) == expected
    assert {type(id) for id in clustering.ids.tolist()} == {type(expected[0])}
    assert clustering.ids[clustering.labels == 0].tolist() == [
        id for id, label in zip(expected, clustering.labels, strict=True) if label == 0
    ]
    tables = clustering.tables()
    assert tables["members"]["document_id"].to_pylist() == expected
    singles = {("members", "document_id"), ("centroids", "medoid_id"), ("near_duplicates", "document_id")}
    singles |= {("near_duplicates", "representative_id")}
    lists = {("centroids", "representative_ids")}
    if algorithm == "auto":
        singles.add(("layers", "document_id"))
    else:
        lists.add(("centroids", "exemplar_ids"))
        assert clustering.exemplars is not None and all(id in expected for own in clustering.exemplars for id in own)
    assert {tables[table].schema.field(name).type for table, name in singles} == {column}
    assert {tables[table].schema.field(name).type for table, name in lists} == {pa.list_(column)}
    for number, cluster in enumerate(clustering.clusters):
        assert clustering.labels[expected.index(cluster.medoid)] == number
        assert {int(clustering.labels[expected.index(id)]) for id in cluster.representatives} == {number}
    summary: dict[str, Any] = clustering.summary()
    assert [cluster["medoid"] for cluster in summary["clusters"]] == [cluster.medoid for cluster in clustering.clusters]


def rows(ids: list[Any] | None) -> list[dict[str, Any]]:
    named = [{}] * COUNT if ids is None else [{"id": id} for id in ids]
    return [{**item, "text": TEXTS[n], "embedding": VECTORS[n].tolist()} for n, item in enumerate(named)]


@pytest.mark.parametrize("write", [as_json_lines, as_parquet, as_arrow, as_csv])
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (NUMBERS, NUMBERS),
        ([-n for n in NUMBERS], [-n for n in NUMBERS]),
        ([float(n) for n in NUMBERS], None),
        ([f"{n:05}" for n in NUMBERS], [f"{n:05}" for n in NUMBERS]),
        (IDS, IDS),
        (None, list(range(COUNT))),
    ],
    ids=["whole numbers", "negative", "whole floats", "leading zeros", "text", "no ids"],
)  # fmt: skip
def test_ids_of_a_file_keep_their_type(
    write: Writer, ids: list[Any] | None, expected: list[Any] | None, tmp_path: Path
) -> None:
    result = cluster_file(
        Request(path=write(tmp_path, rows(ids)), cluster_options=ClusterOptions(n_clusters=3))
    ).clustering

    # CSV writes 5.0, which may be a version as well as a number: it stays as it is written.
    expected = expected or ([str(id) for id in ids or ()] if write is as_csv else NUMBERS)
    assert list(result.ids) == expected
    assert result.members()["document_id"].to_pylist() == expected


def test_digits_that_are_text_in_a_typed_file_stay_text(tmp_path: Path) -> None:
    digits = [str(n) for n in NUMBERS]
    for write in (as_json_lines, as_parquet, as_arrow):
        result = cluster_file(
            Request(path=write(tmp_path, rows(digits)), cluster_options=ClusterOptions(n_clusters=3))
        ).clustering
        assert list(result.ids) == digits


def test_row_numbers_are_the_same_from_a_file_and_in_python(tmp_path: Path) -> None:
    of_file = cluster_file(
        Request(path=as_parquet(tmp_path, rows(None)), cluster_options=ClusterOptions(n_clusters=3))
    ).clustering
    in_python = shoal.cluster(VECTORS, text=TEXTS, n_clusters=3)

    assert list(of_file.ids) == list(in_python.ids) == list(range(COUNT))
    assert of_file.members().equals(in_python.members())
    assert of_file.clusters == in_python.clusters


def test_row_numbers_are_those_of_the_file_where_rows_are_left_out(tmp_path: Path) -> None:
    source = rows(None)
    source[3]["embedding"] = [0.0] * VECTORS.shape[1]
    clustering = cluster_file(
        Request(path=as_parquet(tmp_path, source), cluster_options=ClusterOptions(n_clusters=3))
    ).clustering

    assert list(clustering.ids) == [n for n in range(COUNT) if n != 3]


def test_members_join_the_file_they_came_from(tmp_path: Path) -> None:
    """What people do next; columns of two types do not join."""
    for write, read in ((as_csv, pyarrow.csv.read_csv), (as_parquet, pq.read_table)):
        path = write(tmp_path, rows(NUMBERS))
        result = cluster_file(Request(path=path, cluster_options=ClusterOptions(n_clusters=3))).clustering
        result.save(tmp_path / "found")

        members = pq.read_table(tmp_path / "found" / "members.parquet")
        joined = (
            read(path)
            .select(["id", "text"])
            .join(members.cast(_decode_dictionaries(members)), "id", "document_id", "inner")
        )

        assert len(joined) == COUNT
        assert joined["cluster_label"].null_count == 0


def _decode_dictionaries(table: pa.Table) -> pa.Schema:
    kinds = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return pa.schema(kinds)


def test_a_map_is_kept_for_ids_of_any_type() -> None:
    earlier = shoal.cluster(VECTORS, id=NUMBERS, n_clusters=3)
    later = shoal.cluster(VECTORS, id=NUMBERS, n_clusters=3, like=earlier)

    assert earlier.coordinates is not None and later.coordinates is not None
    assert np.abs(earlier.coordinates - later.coordinates).max() < 0.1 * np.ptp(earlier.coordinates)


def test_a_column_of_no_documents_has_a_type() -> None:
    assert DocumentIds.from_texts([], whole=True).type == pa.string()


def test_clusters_have_example_texts() -> None:
    texts = [f"{text}\n\tand more {'of this ' * 60}" if n % 2 else text for n, text in enumerate(TEXTS)]
    clustering = shoal.cluster(VECTORS, text=texts, n_clusters=3)

    for item in clustering.clusters:
        assert len(item.examples) == len(item.representatives)
        for id, example in zip(item.representatives, item.examples, strict=True):
            assert isinstance(id, int)
            whole = " ".join(texts[id].split())
            assert example == whole or (len(example) <= 160 and whole.startswith(example.removesuffix("…")))
    summary: dict[str, Any] = clustering.summary()
    assert summary["clusters"][0]["examples"] == list(clustering.clusters[0].examples)
    assert all(cluster.examples == () for cluster in shoal.cluster(VECTORS, n_clusters=3).clusters)
