"""`shoal.cluster` as people write it: tables, columns, records and paths, with columns named or handed over."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import shoal
from shoal.errors import InvalidField
from shoal.library.from_columns import ClusterOptions
from shoal.library.from_file import cluster_file
from shoal.library.input.frames import read_frame
from shoal.library.request import Request

ABOUT = ["refund for my card payment", "password reset does not work", "parcel arrived late"]
ROWS = 45


def made_vectors() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return (np.eye(6)[:3].repeat(ROWS // 3, axis=0) + rng.normal(0, 0.05, (ROWS, 6))).astype(np.float32)


VECTORS = made_vectors()
TITLES = [f"{ABOUT[row * 3 // ROWS]} {row}" for row in range(ROWS)]
BODIES = [f"please {ABOUT[row * 3 // ROWS]}, thank you very much" for row in range(ROWS)]
TICKETS = [f"T-{row * 7 % ROWS:03d}" for row in range(ROWS)]
NAMES = ["Refund for my card payment", "Password reset does not work", "Parcel arrived late"]
COLUMNS: dict[str, Any] = {
    "vec": VECTORS.tolist(), "title": TITLES, "body": BODIES, "ticket": TICKETS, "n": list(range(ROWS)),
}  # fmt: skip
OPTIONS: dict[str, Any] = {"algorithm": "kmeans", "n_clusters": 3}


def frame() -> pd.DataFrame:
    """As a filter leaves it: an index that does not count from 0."""
    return pd.DataFrame({**COLUMNS, "vec": list(VECTORS)}, index=np.arange(ROWS) * 2 + 7)


class Tensor:
    """What the arrays of other libraries have in common."""

    dtype = "torch.float32"

    def __init__(self, values: NDArray[np.float32], *, needs_gradient: bool = False) -> None:
        self._values, self._needs_gradient = values, needs_gradient

    def __array__(self, dtype: object = None, copy: object = None) -> NDArray[np.float32]:
        if self._needs_gradient:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self._values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return iter(self._values)

    def detach(self) -> "Tensor":
        return Tensor(self._values)

    def cpu(self) -> "Tensor":
        return self


TABLES: dict[str, Callable[[], object]] = {
    "pandas": frame,
    "pandas with lists": lambda: pd.DataFrame(COLUMNS),
    "pandas with printed arrays": lambda: frame().assign(vec=[str(row) for row in VECTORS]),
    "pandas with JSON": lambda: frame().assign(vec=[str(row.tolist()) for row in VECTORS]),
    "pandas with tensors": lambda: frame().assign(vec=objects([Tensor(row) for row in VECTORS])),
    "pandas with nullable types": lambda: frame().convert_dtypes(),
    "pandas with categories": lambda: frame().astype({"title": "category", "ticket": "category"}),
    "pandas on Arrow": lambda: pa.table(COLUMNS).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas with an index of ids": lambda: frame().set_index("ticket"),
    "pandas with objects that are no columns": lambda: frame().assign(other=objects([object()] * ROWS)),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars, lazy": lambda: pl.DataFrame(COLUMNS).lazy(),
    "polars with arrays": lambda: pl.DataFrame(COLUMNS).with_columns(pl.col("vec").cast(pl.Array(pl.Float32, 6))),
    "polars with objects": lambda: pl.DataFrame(COLUMNS).with_columns(
        pl.Series("other", [object() for _ in range(ROWS)], dtype=pl.Object)
    ),
    "Arrow": lambda: pa.table(COLUMNS),
    "Arrow in chunks": lambda: pa.concat_tables([pa.table(COLUMNS).slice(0, 11), pa.table(COLUMNS).slice(11)]),
    "an Arrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "an Arrow reader": lambda: pa.table(COLUMNS).to_reader(),
    "an Arrow data set": lambda: pads.dataset(pa.table(COLUMNS)),
    "columns by name": lambda: COLUMNS,
    "columns by name with an array": lambda: {**COLUMNS, "vec": VECTORS},
    "records": lambda: [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_any_library_is_clustered_by_its_named_columns(kind: str) -> None:
    clustering = shoal.cluster(TABLES[kind](), vector="vec", text=["title", "body"], id="ticket", **OPTIONS)

    assert [cluster.label for cluster in clustering.clusters] == NAMES
    assert list(clustering.ids) == TICKETS
    assert clustering.labels.tolist() == sorted(clustering.labels.tolist())
    assert not clustering.warnings


@pytest.mark.process
@pytest.mark.parametrize("kind", ["a.parquet", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("options", [{}, {"vector": "vec", "text": "body", "id": "ticket"}], ids=["found", "named"])
def test_a_path_is_read_as_the_command_reads_it(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    path = tmp_path / kind
    table = pa.table(COLUMNS)
    if kind == "a.parquet":
        pq.write_table(table, path)
    elif kind == "a.csv":
        pd.DataFrame(COLUMNS).to_csv(path, index=False)
    else:
        pd.DataFrame(COLUMNS).to_json(path, orient="records", lines=True)
    text = (options["text"],) if options else ()
    request = Request(
        path=path,
        vector=options.get("vector"),
        text=text,
        id=options.get("id"),
        cluster_options=ClusterOptions(**OPTIONS),
    )

    command = cluster_file(request).clustering
    first, two = (shoal.cluster(value, **options, **OPTIONS) for value in (path, str(path)))

    for clustering in (first, two):
        assert clustering.members().equals(command.members())
        assert clustering.clusters == command.clusters


@pytest.mark.process
def test_a_file_and_the_same_table_in_memory_give_the_same_result(tmp_path: Path) -> None:
    pq.write_table(pa.table(COLUMNS), tmp_path / "a.parquet")

    of_file = shoal.cluster(tmp_path / "a.parquet", id="ticket", **OPTIONS)

    for table in (frame(), pl.DataFrame(COLUMNS), pa.table(COLUMNS)):
        clustering = shoal.cluster(table, id="ticket", **OPTIONS)
        assert clustering.members().equals(of_file.members())
        assert clustering.clusters == of_file.clusters


def test_unnamed_columns_are_detected() -> None:
    clustering = shoal.cluster(frame()[["vec", "body"]], **OPTIONS)

    assert [cluster.label for cluster in clustering.clusters] == NAMES
    assert list(clustering.ids) == list(range(ROWS))


def test_one_column_of_a_data_frame_is_enough() -> None:
    df, polars = frame(), pl.DataFrame(COLUMNS)
    for clustering in (
        shoal.cluster(df[["vec"]], text=df["body"], id=df["ticket"], **OPTIONS),
        shoal.cluster(df["vec"], text=df["body"], id=df["ticket"], **OPTIONS),
        shoal.cluster(df["vec"].astype(str), text=df["body"], id=df["ticket"], **OPTIONS),
        shoal.cluster(polars["vec"], text=polars["body"], id=polars["ticket"], **OPTIONS),
        shoal.cluster(polars.select("vec"), text=polars["body"], id=polars["ticket"], **OPTIONS),
        shoal.cluster(VECTORS, text=df["body"], id=df["ticket"], **OPTIONS),
        shoal.cluster(Tensor(VECTORS, needs_gradient=True), text=BODIES, id=TICKETS, **OPTIONS),
    ):
        assert [cluster.label for cluster in clustering.clusters] == NAMES
        assert list(clustering.ids) == TICKETS


def test_a_column_for_each_dimension_is_a_vector() -> None:
    plain = shoal.cluster(VECTORS, **OPTIONS).labels.tolist()
    wide = pd.DataFrame(VECTORS)
    assert shoal.cluster(wide, **OPTIONS).labels.tolist() == plain
    wide.columns = pd.Index([f"emb_{number}" for number in range(6)])
    assert shoal.cluster(wide, **OPTIONS).labels.tolist() == plain
    named = wide.assign(body=BODIES, n=range(ROWS))
    for vector in ("emb", list(wide.columns)):
        clustering = shoal.cluster(named, vector=vector, text="body", id="n", **OPTIONS)
        assert [cluster.label for cluster in clustering.clusters] == NAMES
        assert list(clustering.ids) == list(range(ROWS))
    corner = pd.DataFrame(VECTORS[:, :3], columns=list("xyz")).assign(ticket=TICKETS)
    assert list(shoal.cluster(corner, id="ticket", **OPTIONS).ids) == TICKETS


def test_vectors_may_stand_beside_the_table(tmp_path: Path) -> None:
    pd.DataFrame(COLUMNS).drop(columns="vec").to_csv(tmp_path / "a.csv", index=False)

    for table in (frame(), frame().drop(columns="vec"), tmp_path / "a.csv"):
        clustering = shoal.cluster(table, vector=VECTORS, text="body", id="ticket", **OPTIONS)
        assert [cluster.label for cluster in clustering.clusters] == NAMES
        assert list(clustering.ids) == TICKETS
        assert not clustering.warnings


def test_texts_and_ids_may_stand_beside_the_table() -> None:
    clustering = shoal.cluster(frame(), vector="vec", text=BODIES, id=range(100, 100 + ROWS), **OPTIONS)

    assert [cluster.label for cluster in clustering.clusters] == NAMES
    assert list(clustering.ids) == list(range(100, 100 + ROWS))


def test_texts_and_ids_may_be_tables_of_columns() -> None:
    df, polars = frame(), pl.DataFrame(COLUMNS)
    for clustering in (
        shoal.cluster(df["vec"], text=df[["title", "body"]], id=df[["ticket"]], **OPTIONS),
        shoal.cluster(VECTORS, text=polars.select("title", "body"), id=polars.select("ticket"), **OPTIONS),
        shoal.cluster(df, vector=df[["vec"]], text=df[["body"]], id="ticket", **OPTIONS),
    ):
        assert [cluster.label for cluster in clustering.clusters] == NAMES
        assert list(clustering.ids) == TICKETS


def test_sparse_columns_of_numbers_are_read() -> None:
    sparse = pd.DataFrame(VECTORS).astype(pd.SparseDtype("float32", 0.0))

    assert np.array_equal(shoal.cluster(sparse, **OPTIONS).labels, shoal.cluster(VECTORS, **OPTIONS).labels)


def test_rows_can_be_numbered_whatever_the_column_of_ids_holds() -> None:
    twice = frame().assign(id="same")

    assert "repeats the id of row 0" in refusal(lambda: shoal.cluster(twice, vector="vec", **OPTIONS)).problem
    assert list(shoal.cluster(twice, vector="vec", id=range(ROWS), **OPTIONS).ids) == list(range(ROWS))


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def refusal(call: Callable[[], object]) -> InvalidField:
    with pytest.raises(InvalidField) as refused:
        call()
    return refused.value


def objects(values: Sequence[object]) -> NDArray[np.object_]:
    column = np.empty(len(values), object)
    for row, value in enumerate(values):
        column[row] = value
    return column


def with_row(row: int, value: object) -> pd.DataFrame:
    return frame().assign(vec=objects([value if number == row else list(v) for number, v in enumerate(VECTORS)]))


def levels() -> pd.DataFrame:
    df = frame()
    df.columns = pd.MultiIndex.from_product([["a"], df.columns])
    return df


NAMED: dict[str, Any] = {"vector": "vec", "text": "body", "id": "ticket"}

REFUSED: dict[str, tuple[Callable[[], object], dict[str, Any], str]] = {
    "a vector spelt wrong": (frame, {"vector": "vecs"}, "is not a column of the data, got 'vecs'. Did you mean 'vec'"),
    "a text spelt wrong": (frame, {"text": ["title", "Bdoy"]}, "got 'Bdoy'. Did you mean 'body'"),
    "an id spelt wrong": (
        frame,
        {"id": "tiket"},
        "id: is not a column of the data, got 'tiket'. Did you mean 'ticket'",
    ),
    "several vectors": (lambda: frame().assign(image=frame()["vec"]), {}, 'vec, image. Choose: vector="vec"'),
    "neither vectors nor text": (lambda: frame()[["n"]].assign(kind="a"), {}, "no column of vectors or of text"),
    "a vector that is text": (frame, {"vector": "body"}, "column 'body': holds no vectors"),
    "a text that is numbers": (frame, {"vector": "vec", "text": "n"}, "text: holds no text in any row, got 'n'"),
    "objects": (lambda: frame().assign(vec=objects([object()] * ROWS)), {"vector": "vec"}, "holds values of type obj"),
    "only objects": (lambda: pd.DataFrame({"a": objects([object()] * 3)}), {}, "no column that can be read: 'a' holds"),
    "single values": (lambda: {"vec": 1, "body": 2}, {}, "data['vec']: is a single value, not a column, got 1"),
    "an empty list": (list, {}, "data: has no rows"),
    "no columns": (pd.DataFrame, {}, "data: has no rows"),
    "a table of ids": (frame, {"vector": "vec", "id": frame()[["n", "ticket"]]}, "id: is a table of 2 columns"),
    "no rows": (lambda: frame().iloc[:0], NAMED, "data: has no rows"),
    "one row": (lambda: frame().iloc[:1], NAMED, "data: holds one document"),
    "a row without a vector": (lambda: with_row(4, None), NAMED, "row 4, column 'vec': has no vector; 1 row has none"),
    "a row without a number": (lambda: with_row(4, [1, 2, np.nan, 4, 5, 6]), NAMED, "row 4, column 'vec'[2]"),
    "a longer row": (lambda: with_row(4, [1.0] * 7), NAMED, "row 4, column 'vec': has 7 numbers where"),
    "a row of zeros": (lambda: with_row(4, [0.0] * 6), NAMED, "row 4, column 'vec': is all zero"),
    "an id twice": (lambda: frame().assign(ticket="a"), NAMED, "row 1, column 'ticket': repeats the id of row 0"),
    "no id": (lambda: frame().assign(ticket=objects([None, *TICKETS[1:]])), NAMED, "row 0, column 'ticket': has no id"),
    "too few texts": (frame, {"vector": "vec", "text": BODIES[:8]}, "as values there would be 45"),
    "a short column": (frame, {"vector": "vec", "text": pd.Series(BODIES[:3])}, "text: must have one value per"),
    "too few vectors": (frame, {"vector": VECTORS[:3], "text": "body"}, "vector: has 3 values. Give one for each of"),
    "names on levels": (levels, NAMED, "data: has column names on 2 levels"),
    "a name twice": (lambda: pd.concat([frame(), frame()], axis=1), NAMED, "two columns called 'vec'"),
    "uneven columns": (lambda: {"vec": VECTORS, "body": BODIES[:3]}, {}, "data: has columns of different lengths"),
    "a name beside an array": (lambda: VECTORS, {"text": "body"}, "text: belongs to a table"),
    "a vector beside an array": (lambda: VECTORS, {"vector": "vec"}, "vector: belongs to a table"),
    "texts after the vectors": (lambda: VECTORS, {"vector": BODIES}, "Texts go with their name: "),
    "nothing": (lambda: None, {}, "data: is missing. Give a table, vectors, a path, or texts"),
    "a row without text": (lambda: [*BODIES, None], {}, "row 45, column 'text': has no text; 1 row has none"),
    "a row of no words": (lambda: [*BODIES, "?!"], {}, "row 45, column 'text': has no word that static@"),
    "symbols alone": (lambda: ["?!", "\U0001f600"], {}, "No row has a letter or a digit"),
    "symbols by corpus": (lambda: ["?!", "\U0001f600"], {"encoder": "corpus"}, "No row has a letter or a digit"),
    "one text": (lambda: None, {"texts": "hello"}, "texts: is one text, without a table, got 'hello'"),
    "an encoder beside vectors": (frame, {"vector": "vec", "encoder": "static"}, "encoder: is given beside vector"),
    "an encoder beside an array": (lambda: VECTORS, {"encoder": "static"}, "encoder: is given beside vectors"),
    "an encoder that is none": (lambda: BODIES, {"encoder": "statik"}, "got 'statik'"),
    "texts under both names": (lambda: VECTORS, {"texts": BODIES, "text": BODIES}, "give one of them"),
    "several columns of ids": (frame, {"id": ["ticket", "n"]}, "id: names several columns"),
    "a file that is not there": (lambda: "nowhere.parquet", {}, "there is no such file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_invalid_input_is_refused_with_argument_value_and_remedy(kind: str) -> None:
    data, options, says = REFUSED[kind]

    assert says in str(refusal(lambda: shoal.cluster(data(), **options, **OPTIONS)))


def test_a_lone_surrogate_is_a_question_mark() -> None:
    texts = [*BODIES, "a fee \ud800 for a card"]

    for data in (texts, pd.DataFrame({"body": texts}, dtype=object)):
        assert len(shoal.cluster(data, text=None if data is texts else "body", **OPTIONS).labels) == len(texts)


def test_columns_beside_a_data_frame_go_by_its_index() -> None:
    df = frame()
    mixed = df.sample(frac=1, random_state=1)
    vectors = df[["vec"]]

    expected = shoal.cluster(df, vector="vec", text="title", id="ticket", **OPTIONS)
    clustering = shoal.cluster(vectors, text=mixed["title"], id=mixed["ticket"], **OPTIONS)
    beside = shoal.cluster(df[["title"]], vector=mixed["vec"], text="title", id=mixed["ticket"], **OPTIONS)
    frames = shoal.cluster(vectors, text=mixed[["title"]], id=mixed[["ticket"]], **OPTIONS)

    for clustering_ in (clustering, beside, frames):
        assert list(clustering_.ids) == TICKETS
        assert clustering_.labels.tolist() == expected.labels.tolist()
        assert [cluster.label for cluster in clustering_.clusters] == [cluster.label for cluster in expected.clusters]
    moved = df["ticket"].set_axis(df.index + 1)
    with pytest.raises(InvalidField, match=r"text: has a different index than the data.*to_numpy"):
        shoal.cluster(vectors, text=moved, **OPTIONS)
    with pytest.raises(InvalidField, match=r"id: has a different index than the data.*to_numpy"):
        shoal.cluster(vectors, id=moved, **OPTIONS)
    assert list(shoal.cluster(vectors, id=moved.to_numpy(), **OPTIONS).ids) == TICKETS
    lettered = vectors.set_axis([f"row {row}" for row in range(ROWS)])
    assert list(shoal.cluster(lettered, id=pd.Series(TICKETS), **OPTIONS).ids) == TICKETS  # numbered anew: in order


@pytest.mark.process
@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_a_list_of_texts_beside_a_file_is_texts_however_few_rows_it_has(ending: str, tmp_path: Path) -> None:
    """A list of names looks the same: the columns of the file decide."""
    path = tmp_path / f"few.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"vec": COLUMNS["vec"], "body": BODIES}), path)
    else:
        pd.DataFrame({"vec": COLUMNS["vec"], "body": BODIES}).to_json(path, orient="records", lines=True)

    clustering = shoal.cluster(path, text=TITLES, id=TICKETS, **OPTIONS)

    assert sorted(cluster.label for cluster in clustering.clusters) == sorted(NAMES)
    assert clustering.text_columns == []
    assert shoal.cluster(path, text=["body"], **OPTIONS).text_columns == ["body"]
    with pytest.raises(InvalidField, match="is not a field of the file"):
        shoal.cluster(path, text=TITLES[1:], **OPTIONS)


@pytest.mark.process
def test_a_name_that_a_file_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(COLUMNS), path)

    for option in ("vector", "text", "id"):
        wrong: dict[str, Any] = {option: "bodi"}
        assert "Did you mean 'body'" in str(refusal(lambda wrong=wrong: shoal.cluster(path, **wrong, **OPTIONS)))  # type: ignore[misc]
    pq.write_table(pa.table({**COLUMNS, "image": COLUMNS["vec"]}), path)
    assert 'Choose: vector="vec"' in str(refusal(lambda: shoal.cluster(path, **OPTIONS)))


def test_a_sparse_matrix_is_refused_with_the_way_to_make_it_dense() -> None:
    from scipy.sparse import csr_array

    assert "TruncatedSVD" in str(refusal(lambda: shoal.cluster(csr_array(VECTORS), **OPTIONS)))


@pytest.mark.process
def test_rows_without_a_vector_are_left_out_of_all_columns(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({**COLUMNS, "vec": [None, *COLUMNS["vec"][1:]]}), path)

    clustering = shoal.cluster(path, vector="vec", text=pd.Series(BODIES), id=TICKETS, **OPTIONS)

    assert list(clustering.ids) == TICKETS[1:]
    assert clustering.warnings == ["1 document has no vec; left out."]
    assert clustering.kept is not None and clustering.kept.texts == BODIES[1:]


@pytest.mark.parametrize("data", [VECTORS, VECTORS.tolist(), pa.array(VECTORS.tolist()), pd.Series(TITLES), 5, None])
def test_only_tables_have_columns(data: object) -> None:
    assert read_frame(data) is None


def test_a_batch_of_a_data_set_is_read_at_a_time(tmp_path: Path) -> None:
    for part in range(3):
        pq.write_table(pa.table(COLUMNS).slice(part * 15, 15), tmp_path / f"{part}.parquet")

    clustering = shoal.cluster(pads.dataset(tmp_path), vector="vec", text="body", id="ticket", **OPTIONS)

    assert list(clustering.ids) == TICKETS


def test_a_data_set_of_hugging_face_and_a_relation_of_duckdb_are_tables() -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    table = pa.table(COLUMNS)
    for data in (datasets.Dataset.from_dict(COLUMNS), duckdb.arrow(table)):
        clustering = shoal.cluster(data, vector="vec", text=["title", "body"], id="ticket", **OPTIONS)
        assert list(clustering.ids) == TICKETS


@pytest.mark.process
def test_several_paths_are_one_table(tmp_path: Path) -> None:
    paths = [tmp_path / f"{part}.parquet" for part in range(3)]
    for part, path in enumerate(paths):
        pq.write_table(pa.table(COLUMNS).slice(part * 15, 15), path)

    assert list(shoal.cluster(paths, vector="vec", text="body", id="ticket", **OPTIONS).ids) == TICKETS


def test_rows_are_numbered_if_id_is_none() -> None:
    assert list(shoal.cluster(frame(), vector="vec", text="body", id="none", **OPTIONS).ids) == list(range(ROWS))


def test_a_column_that_mixes_types_of_numbers_is_read() -> None:
    mixed = [row.astype(np.float64 if number % 2 else np.float16) for number, row in enumerate(VECTORS)]
    tables = [[row[None]] for row in VECTORS]
    for column in (objects(mixed), objects([row[0] for row in tables])):
        clustering = shoal.cluster(frame().assign(vec=column), vector="vec", text="body", id="ticket", **OPTIONS)
        assert [cluster.label for cluster in clustering.clusters] == NAMES


def test_texts_come_first_where_vectors_stand_beside_them() -> None:
    for clustering in (
        shoal.cluster(BODIES, VECTORS, id=TICKETS, **OPTIONS),
        shoal.cluster(BODIES, vector=VECTORS, **OPTIONS),
    ):
        assert [cluster.label for cluster in clustering.clusters] == NAMES


def test_progress_is_shown_and_erased(capsys: pytest.CaptureFixture[str]) -> None:
    shoal.cluster(frame(), progress=True, **OPTIONS)

    output = capsys.readouterr()
    assert "cluster" in output.err and output.err.endswith("\r") and not output.out
    shoal.cluster(frame(), **OPTIONS)
    assert capsys.readouterr().err == ""


def test_the_columns_that_named_the_clusters_are_shown() -> None:
    clustering = shoal.cluster(frame(), text=["title", "body"], **OPTIONS)

    assert "; vector vec; named from title, body; id ticket>" in repr(clustering)
    assert "named from title, body · id ticket" in clustering._repr_html_()


def test_assigned_documents_have_the_names_of_their_clusters() -> None:
    clustering = shoal.cluster(frame(), text="body", **OPTIONS).assign(np.vstack([VECTORS[:1], np.eye(6)[5:]]))

    assert clustering.labels.tolist() == [0, -1]
    assert clustering.cluster_labels == [NAMES[0], None]


TEXTS: dict[str, Callable[[], Any]] = {
    "list": lambda: BODIES,
    "with one missing": lambda: [None, *BODIES[1:]],
    "NumPy": lambda: np.array(BODIES),
    "objects": lambda: np.array(BODIES, object),
    "Arrow": lambda: pa.array(BODIES),
    "pandas": lambda: pd.Series(BODIES),
    "pandas' array": lambda: pd.Series(BODIES, dtype="string").array,
    "polars": lambda: pl.Series(BODIES),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_and_their_vectors_are_clustered_as_bertopic_takes_them(kind: str) -> None:
    texts = TEXTS[kind]()
    for clustering in (
        shoal.cluster(texts, VECTORS, **OPTIONS),
        shoal.cluster(texts, vector=VECTORS.tolist(), **OPTIONS),
    ):
        assert [cluster.label for cluster in clustering.clusters] == NAMES
        assert (
            clustering.text_columns == ["text"]
            and clustering.labels.tolist() == np.arange(3).repeat(ROWS // 3).tolist()
        )


@pytest.mark.process
def test_names_and_ids_can_be_switched_off(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "rows.parquet")
    for data in (frame(), str(tmp_path / "rows.parquet"), VECTORS):
        options: dict[str, Any] = {"id": "ticket"} if data is not VECTORS else {}
        for off in (False, "none"):
            clustering = shoal.cluster(data, text=off, **options, **OPTIONS)
            assert [cluster.label for cluster in clustering.clusters] == ["Cluster 0", "Cluster 1", "Cluster 2"]
            assert not clustering.text_columns and not [warning for warning in clustering.warnings if "text" in warning]
        assert shoal.cluster(data, id=False, **OPTIONS).ids.tolist() == list(range(ROWS))


def test_the_summary_and_a_loaded_clustering_name_the_columns_read(tmp_path: Path) -> None:
    clustering = shoal.cluster(frame().rename(columns={"ticket": "id"}), **OPTIONS)
    assert clustering.vector_column == "vec" and clustering.id_column == "id"
    summary = clustering.summary()
    assert (summary["vector"], summary["id"], summary["text"]) == ("vec", "id", list(clustering.text_columns))
    again = shoal.load(clustering.save(tmp_path / "found"))
    assert repr(again) == repr(clustering)
    assert "; vector" not in repr(shoal.cluster(VECTORS, **OPTIONS))


def test_texts_and_ids_beside_vectors_may_be_named_in_the_plural() -> None:
    plural = shoal.cluster(VECTORS, texts=BODIES, ids=[f"t{row}" for row in range(len(BODIES))])
    singular = shoal.cluster(VECTORS, text=BODIES, id=[f"t{row}" for row in range(len(BODIES))])

    assert list(plural.ids) == list(singular.ids)
    assert [cluster.label for cluster in plural.clusters] == [cluster.label for cluster in singular.clusters]


def test_columns_that_pandas_numbers_are_named_by_their_number() -> None:
    frame = pd.DataFrame(
        {0: ["rain today", "sun today"] * 6, 1: list(np.eye(2).tolist() * 6), 2: [f"d{n}" for n in range(12)]}
    )

    names: dict[str, Any] = {"vector": 1, "text": 0, "id": np.int64(2)}
    clustering = shoal.cluster(frame, algorithm="kmeans", n_clusters=2, **names)

    assert clustering.text_columns == ["0"]
    assert clustering.ids[:2].tolist() == ["d0", "d1"]


@pytest.mark.parametrize("arguments", [{"text": 5.0}, {"id": 5.0}, {"text": object()}])
def test_a_single_value_is_not_a_column(arguments: Any) -> None:
    with pytest.raises(InvalidField, match="is a single value, not one per row"):
        shoal.cluster(np.eye(2).repeat(6, axis=0), algorithm="kmeans", n_clusters=2, **arguments)


@pytest.mark.parametrize("name", ["n_clusters", "n_components", "approx_n_clusters"])
@pytest.mark.parametrize("algorithm", ["auto", "kmeans", "gaussian_mixture"])
def test_the_number_of_clusters_goes_by_every_name(algorithm: str, name: str) -> None:
    vectors = np.eye(8, dtype=np.float32)[np.repeat([0, 1, 2], 20)] + np.random.default_rng(0).normal(0, 0.03, (60, 8))

    params: Any = {name: 3}

    assert len(shoal.cluster(vectors, algorithm=algorithm, **params).clusters) == 3
