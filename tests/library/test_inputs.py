"""What callers of the library hand over: arrays, lists, Arrow columns, data frames, with values missing or masked."""

import uuid
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import shoal
from shoal.client.documents import _prepare_upload
from shoal.engine.algorithms import ALGORITHMS
from shoal.errors import InvalidField
from shoal.library.input.conversion import to_column, to_ids, to_points, to_texts

BLOCK = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
TEXTS = ["refund", "password", "parcel"]


def refusal(call: Callable[[], object]) -> InvalidField:
    with pytest.raises(InvalidField) as refused:
        call()
    return refused.value


def objects(rows: list[Any]) -> NDArray[np.object_]:
    """A column of a data frame: an array of objects, each of them a vector."""
    column = np.empty(len(rows), object)
    column[:] = [None] * len(rows)
    for row, value in enumerate(rows):
        column[row] = value
    return column


FORMS: dict[str, Callable[[], object]] = {
    "array": lambda: BLOCK,
    "float64 in Fortran order": lambda: np.asfortranarray(BLOCK.astype(np.float64)),
    "big endian": lambda: BLOCK.astype(">f8"),
    "lists": lambda: BLOCK.tolist(),
    "list of arrays": lambda: list(BLOCK),
    "column of arrays": lambda: objects(list(BLOCK)),
    "column of lists": lambda: objects(BLOCK.tolist()),
    "numbers as objects": lambda: BLOCK.astype(object),
    "masked array without a mask": lambda: np.ma.array(BLOCK),
    "list": lambda: pa.array(BLOCK.tolist(), pa.list_(pa.float32())),
    "list_view": lambda: pa.array(BLOCK.tolist(), pa.list_view(pa.float64())),
    "fixed_size_list in chunks": lambda: pa.chunked_array(
        [
            pa.array(BLOCK[:2].tolist(), pa.list_(pa.float32(), 4)),
            pa.array(BLOCK[2:].tolist(), pa.list_(pa.float32(), 4)),
        ]
    ),
    "tensor": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(BLOCK),
}


@pytest.mark.parametrize("form", FORMS)
def test_vectors_in_any_form_are_the_same_points(form: str) -> None:
    points = to_points(FORMS[form]())

    assert points.dtype == np.float32
    assert points.flags.c_contiguous
    assert np.array_equal(points, BLOCK)


def replace_row(row: object) -> list[Any]:
    return [*BLOCK[:3].tolist(), row, *BLOCK[4:].tolist()]


def mask_row() -> Any:
    column = np.ma.array(BLOCK, mask=np.zeros_like(BLOCK, bool))
    column[3] = np.ma.masked
    column.data[3] = 1e9
    return column


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (lambda: replace_row([1.0] * 5), "has 5 numbers where the others have 4"),
        (lambda: replace_row([]), "has 0 numbers where the others have 4"),
        (lambda: replace_row(None), "is missing"),
        (lambda: replace_row(float("nan")), "is missing"),
        (lambda: replace_row("text"), "is not a vector of numbers"),
        (lambda: replace_row([1.0, None, 3.0, 4.0]), "is not a finite"),
        (lambda: replace_row([1.0, float("inf"), 3.0, 4.0]), "is not a finite"),
        (lambda: objects(replace_row(None)), "is missing"),
        (lambda: objects(replace_row(np.ma.array([1.0, 2, 3, 4], mask=[False, True, False, False]))), "masked"),
        (mask_row, "is not a finite number"),
        (lambda: pa.array(replace_row([1.0] * 5)), "has 5 numbers where the others have 4"),
        (lambda: pa.array(replace_row(None)), "is missing"),
        (lambda: pa.array(replace_row([1.0, None, 3.0, 4.0])), "is missing"),
    ],
)
def test_the_row_at_fault_is_named(vectors: Callable[[], object], says: str) -> None:
    error = refusal(lambda: to_points(vectors()))

    assert error.field.startswith("vectors[3]")
    assert says in error.problem


def test_the_first_row_can_be_the_one_at_fault() -> None:
    assert refusal(lambda: to_points([[1.0], *BLOCK.tolist()])).field == "vectors[0]"


@pytest.mark.parametrize(
    "missing",
    [None, float("nan"), np.nan, np.float32("nan"), np.datetime64("NaT"), np.ma.masked],
    ids=["None", "nan", "numpy", "float32", "NaT", "masked"],
)
def test_a_missing_text_is_empty_and_a_missing_id_is_refused(missing: object) -> None:
    assert to_texts(["a", missing, np.str_("c")], 3) == ["a", "", "c"]
    error = refusal(lambda: to_ids(["a", missing, "c"], 3))
    assert (error.field, error.problem) == ("id[1]", "has no id")


def test_masked_texts_are_missing() -> None:
    assert to_texts(np.ma.array(["a", "under", "c"], mask=[False, True, False]), 3) == ["a", "", "c"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_texts_and_ids_in_any_layout_of_arrow(kind: pa.DataType) -> None:
    column = pa.chunked_array([pa.array(["a", None], kind), pa.array(["c"], kind)])

    assert to_texts(column, 3) == ["a", "", "c"]
    assert to_texts(pa.array(["a", None, "c"]).dictionary_encode(), 3) == ["a", "", "c"]
    assert to_ids(pa.array(["a", "b", "c"], kind), 3).texts == ["a", "b", "c"]


def test_ids_of_any_type_are_text() -> None:
    key = uuid.UUID(int=7)
    scalars = [1, np.uint8(2), 3.0, np.float32(4), Decimal(5), np.str_("six"), key, b"eight"]

    assert to_ids(scalars, 8).texts == ["1", "2", "3", "4", "5", "six", str(key), "eight"]
    assert to_ids(np.arange(3.0), 3).texts == ["0", "1", "2"]


@pytest.mark.parametrize("bad", [True, 1.5, 1e17, b"\xff", ["list"], np.bool_(False)])
def test_an_invalid_id_is_reported(bad: object) -> None:
    assert refusal(lambda: to_ids(["a", bad], 2)).field == "id[1]"


def test_columns_of_an_upload_hold_nothing_that_lies_under_a_mask() -> None:
    assert to_column("n", np.ma.array([1, 2], mask=[False, True])).to_pylist() == [1, None]
    assert refusal(lambda: to_column("v", mask_row())).field.startswith("v[3]")


# ── numbers of NumPy ─────────────────────────────────────────────────────────────────────────────────────────────────


def as_numpy(value: object) -> object:
    """The same value in a type of NumPy's that Python's numbers are no instances of."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.uint8(value) if value < 256 else np.int64(value)
    return np.float32(value) if isinstance(value, float) else value


VALUES: dict[str, object] = {
    "n_clusters": 3, "n_components": 3, "min_cluster_size": 4, "min_samples": 3, "eps": 0.5, "bandwidth": 0.5,
    "approx_n_clusters": 3, "n_neighbors": 5, "max_iter": 50, "n_init": 2, "tol": 0.5, "resolution": 0.5,
    "max_cluster_size": 20, "distance_threshold": 0.5, "max_eps": 2.0, "xi": 0.125, "gamma": 0.5, "knn": 5,
    "random_state": 3,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_numbers_of_numpy_are_taken_as_the_numbers_they_are(algorithm: str) -> None:
    vectors = np.repeat(np.eye(3), 10, 0) + np.random.default_rng(0).normal(0, 0.02, (30, 3))
    kind = ALGORITHMS[algorithm].params
    values = {field.name: VALUES.get(field.name, field.default) for field in fields(kind)}
    for name, value in values.items():
        if value is None or isinstance(value, str) or not isinstance(value, (bool, int, float)):
            continue
        if algorithm == "agglomerative" and name in ("n_clusters", "distance_threshold"):
            continue
        numpy = as_numpy(value)
        python: dict[str, Any] = {name: numpy.item() if isinstance(numpy, np.generic) else value}
        with_python = shoal.cluster(vectors, algorithm=algorithm, **python)
        with_numpy = shoal.cluster(vectors, algorithm=algorithm, **{**python, name: numpy})
        assert with_numpy.labels.tolist() == with_python.labels.tolist()
        assert with_numpy.summary()["parameters"] == with_python.summary()["parameters"]


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32, np.array])
def test_choices_that_are_no_parameters_may_be_numpys_too(kind: Callable[[int], Any]) -> None:
    vectors = np.repeat(np.eye(3), 10, 0)
    clustering = shoal.cluster(
        vectors,
        n_clusters=kind(3),
        seed=kind(7),
        threads=kind(1),
        sample_size=kind(20),
        normalize=np.bool_(True),  # type: ignore[arg-type]  # which is what is tried
    )
    summary = clustering.summary()

    assert (summary["seed"], summary["sample_size"], summary["num_clusters"]) == (7, 20, 3)
    assert type(summary["seed"]) is int


@pytest.mark.parametrize("how", [{"seed": 1.5}, {"seed": -1}, {"seed": True}, {"threads": "2"}, {"normalize": 1}])
def test_values_that_are_not_numbers_are_still_rejected(how: dict[str, Any]) -> None:
    assert refusal(lambda: shoal.cluster(BLOCK, n_clusters=2, **how)).field == next(iter(how))


def test_estimators_take_numbers_of_numpy() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 10, 0)
    whole: dict[str, Any] = {"n_clusters": np.int64(3), "n_init": np.uint8(2), "tol": np.float32(0.5)}
    kmeans = shoal.KMeans(**whole, random_state=np.int32(3), n_jobs=np.int8(1))  # type: ignore[arg-type]  # the point
    dense: dict[str, Any] = {
        "min_cluster_size": np.int64(4),
        "allow_single_cluster": np.bool_(False),
        "alpha": np.float32(1),
    }

    assert len(set(kmeans.fit(vectors).labels_.tolist())) == 3
    assert len(set(shoal.HDBSCAN(**dense).fit(vectors).labels_.tolist())) == 3
    assert len(set(shoal.AutoCluster(min_cluster_size=dense["min_cluster_size"]).fit(vectors).labels_.tolist())) >= 1


# ── pandas, where it is installed ────────────────────────────────────────────────────────────────────────────────────


def test_data_frames_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    texts = pandas.Series(["a", None, pandas.NA, float("nan"), "e", "f"], dtype=object)

    assert to_texts(texts, 6) == to_texts(texts.astype("string"), 6) == ["a", "", "", "", "e", "f"]
    assert to_texts(pandas.Series(["a", None]).astype("category"), 2) == ["a", ""]
    assert to_ids(pandas.Series([1, 2], dtype="Int64"), 2).texts == ["1", "2"]
    assert refusal(lambda: to_ids(pandas.Series([1, None], dtype="Int64"), 2)).problem == "has no id"
    assert refusal(lambda: to_ids(pandas.Series([1.0, None]), 2)).problem == "has no id"
    assert np.array_equal(to_points(pandas.DataFrame(BLOCK)), BLOCK)
    assert np.array_equal(to_points(pandas.DataFrame(BLOCK).astype("Float64")), BLOCK)
    assert np.array_equal(to_points(pandas.Series(BLOCK.tolist())), BLOCK)
    holed = pandas.DataFrame(BLOCK).astype("Float64")
    holed.iloc[3, 2] = pandas.NA
    assert refusal(lambda: to_points(holed)).field.startswith("vectors[3]")
    assert refusal(lambda: to_points(pandas.Series(replace_row(None)))).field == "vectors[3]"


@pytest.mark.parametrize("values", [{"b", "a"}, frozenset("ab"), {"a": "x", "b": "y"}])
def test_ids_and_texts_without_an_order_of_rows_are_refused(values: Any) -> None:
    assert "in the order of the vectors" in str(refusal(lambda: to_ids(values, 2)))
    assert "in the order of the vectors" in str(refusal(lambda: to_texts(values, 2)))


def test_a_mask_on_one_row_of_a_list_is_detected() -> None:
    rows = [np.ma.array([1.0, 2.0]), np.ma.array([3.0, 1e9], mask=[False, True])]
    assert "vectors[1][1]" in str(refusal(lambda: to_points(rows)))
    assert "vectors[1][1]" in str(refusal(lambda: to_points(tuple(rows))))


@pytest.mark.parametrize("row", [b"\0\0\x80?", bytearray(b"\0\0\x80?"), "[1.0, 2.0]"])
def test_bytes_and_texts_in_a_list_are_rejected_as_vectors(row: object) -> None:
    message = str(refusal(lambda: to_points([row, row])))
    assert "vectors[0]" in message
    assert "frombuffer" in message or "json.loads" in message


def test_a_table_of_one_column_of_vectors_is_that_column() -> None:
    table = pa.table({"embedding": [[1.0, 2.0], [3.0, 4.0]]})
    assert to_points(table).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("values", [None, "text", 5, (row for row in [[1.0]])])
def test_the_error_about_other_values_than_tables_names_their_type(values: object) -> None:
    assert type(values).__name__ in str(refusal(lambda: to_points(values)))


def test_like_must_be_a_clustering() -> None:
    assert refusal(lambda: shoal.cluster(np.eye(3), like=5)).field == "like"  # type: ignore[arg-type]


def test_an_upload_accepts_arrow_batches_and_rejects_values_without_columns() -> None:
    batch = pa.record_batch({"document_id": ["a"], "embedding": [[1.0, 2.0]]})
    sent = b"".join(_prepare_upload(batch, (), None, None, None).chunks())
    assert pa.ipc.open_stream(sent).read_all().to_pylist() == batch.to_pylist()
    for bad in (None, 5, [1, 2]):
        error = refusal(lambda bad=bad: _prepare_upload(bad, (), None, None, None))  # type: ignore[misc]
        assert error.field == "source"
        assert type(bad).__name__ in error.problem
