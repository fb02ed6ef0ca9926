"""Every fault of a file is reported in one message that names its location and the remedy."""

import os
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.errors import InvalidField
from shoal.files import open_source

pytestmark = pytest.mark.process


def refusal(path: Path, **options: object) -> InvalidField:
    """The error of opening and reading a file."""
    with pytest.raises(InvalidField) as caught:
        for _ in open_source(path, **options).batches():  # type: ignore[arg-type]  # options differ by test
            pass
    assert "\n" not in caught.value.message
    return caught.value


def parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path / "docs.parquet")
    return path / "docs.parquet"


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.jsonl", "x.arrow", "x.npy"])
@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_called_empty(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    assert f"{name}: is empty" in refusal(tmp_path / name).message


def test_a_file_without_rows_is_distinguished_from_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,embedding\n")
    np.save(tmp_path / "x.npy", np.empty((0, 3), np.float32))

    assert "has no rows" in refusal(parquet(tmp_path, id=pa.array([], pa.string()))).message
    assert "has no rows" in refusal(tmp_path / "x.csv").message
    assert "has no rows" in refusal(tmp_path / "x.npy").message


def test_a_missing_file_a_folder_and_an_unknown_suffix_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "x.docx").write_bytes(b"hello")
    (tmp_path / "x.csv").mkdir()

    assert "no such file" in refusal(tmp_path / "absent.parquet").message
    assert "is a folder" in refusal(tmp_path / "x.csv").message
    assert "ending" in refusal(tmp_path / "x.docx").message
    assert ".parquet" in refusal(tmp_path / "x.docx").message


@pytest.mark.parametrize(
    ("name", "content", "actual"),
    [
        ("x.parquet", b"id,embedding\n1,2\n", "text"),
        ("x.parquet", b"\x93NUMPY\x01\x00", "a NumPy file"),
        ("x.csv", b"PAR1\x00\x00", "a Parquet file"),
        ("x.csv", b"a,b\n\x00\x01\x02", "binary data"),
        ("x.csv", b"\x1f\x8b\x08\x00", "a gzip archive"),
        ("x.jsonl", b"ARROW1\x00\x00", "an Arrow file"),
        ("x.jsonl", b"id,embedding\n", "other text"),
        ("x.npy", b"PK\x03\x04", "a ZIP archive"),
        ("x.arrow", b"{}\n", "text"),
    ],
)
def test_an_error_names_the_actual_format_of_a_file_with_a_wrong_suffix(
    name: str, content: bytes, actual: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    assert f"its content is {actual}" in refusal(tmp_path / name).message


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet", "x.npy", "pipe"])
@pytest.mark.parametrize("format", [None, "csv"])
def test_a_pipe_is_refused_at_once(name: str, format: str | None, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)

    message = refusal(tmp_path / name, format=format).message
    assert message == f"{name}: is a pipe, and Shoal reads files more than once. Save it to a file first."
    assert "is a device" in refusal(Path("/dev/null"), format=format).message


def test_a_pipe_beside_an_array_is_refused_at_once(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(2, dtype=np.float32))
    os.mkfifo(tmp_path / "about.csv")

    assert "about.csv: is a pipe" in refusal(tmp_path / "x.npy", sidecar=tmp_path / "about.csv").message


@pytest.mark.parametrize(
    ("text", "row", "problem"),
    [
        (b'[{"id": 1},\n 7,\n {"id": 2}]', 1, "is not a JSON object"),
        (b'[{"id": 1},\n {"id": 2}\n {"id": 3}]', 2, "is not a JSON object"),
        (b'[{"id": 1},\n {"id": }]', 1, "is not JSON"),
        (b'[{"id": 1},\n {"id": 2}, 9]', 2, "is not a JSON object"),
    ],
)
def test_a_fault_in_a_json_array_is_named_by_row(text: bytes, row: int, problem: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(text)

    error = refusal(tmp_path / "x.json", needs_vectors=False)
    assert error.field.startswith(f"x.json: row {row}")
    assert problem in error.message


@pytest.mark.parametrize(
    ("behind", "line"),
    [("garbage", 3), ('\n\n[{"id": 3}]', 5), ("\n]", 4), (",", 3)],
)
@pytest.mark.parametrize(
    "document", ['[{"id": 1},\n {"id": 2}\n]', "[[1, 2],\n [3, 4]\n]", '{"rows":\n [{"id": 1}]\n}']
)
def test_what_follows_the_end_of_a_json_document_is_refused_with_its_line(
    document: str, behind: str, line: int, tmp_path: Path
) -> None:
    (tmp_path / "x.json").write_text(document + behind)

    error = refusal(tmp_path / "x.json", needs_vectors=False)
    assert f"x.json: goes on behind the end of its JSON, in line {line}" in error.message


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_rejected(keep: float, tmp_path: Path) -> None:
    whole = parquet(tmp_path, id=["a", "b"] * 500, embedding=[[1.0, 2.0]] * 1000)
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * keep)])

    assert "cannot be read" in refusal(whole).message


def test_a_damaged_page_is_noticed_wherever_it_lies(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((2000, 8)).tolist()
    path = parquet(tmp_path, id=[str(i) for i in range(2000)], text=["some words"] * 2000, embedding=values)
    content = bytearray(path.read_bytes())
    content[200:4000] = bytes(3800)
    path.write_bytes(content)

    assert "cannot be read" in refusal(path).message


def test_an_arrow_stream_cut_inside_a_batch_cannot_be_read(tmp_path: Path) -> None:
    table = pa.table({"id": [str(i) for i in range(1000)], "embedding": [[1.0, 2.0]] * 1000})
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content = (tmp_path / "x.arrow").read_bytes()
    (tmp_path / "x.arrow").write_bytes(content[: len(content) // 2])

    assert "cannot be read" in refusal(tmp_path / "x.arrow").message


@pytest.mark.parametrize(("row", "count"), [("2,3", 2), ("2,3,4,5", 4)])
def test_csv_with_an_odd_row_names_the_row_and_its_line(row: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f'id,a,embedding\n1,"2\n\n2","[1, 2]"\n\n{row}\n')

    error = refusal(tmp_path / "x.csv")
    assert error.field == "x.csv: row 1 (line 6)"
    assert error.problem == f"has {count} columns, and the header 3"
    assert "--delimiter" in error.message


def test_csv_that_is_not_utf8_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes('id,name,embedding\n1,Zoë,"[1, 2]"\n'.encode("latin-1"))

    assert "UTF-8" in refusal(tmp_path / "x.csv").message


def test_a_missing_column_error_lists_the_columns_and_the_nearest(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["a"], embedding=[[1.0, 2.0]], text=["t"])

    vector = refusal(path, vector_columns=["embeding"]).message
    id = refusal(path, id_column="key").message

    assert "has no column 'embeding'" in vector and "id, embedding, text" in vector
    assert "Did you mean 'embedding'?" in vector
    assert "has no column 'key'" in id and "Did you mean" not in id


def test_no_column_of_vectors_is_an_error_only_where_one_is_needed(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["a"], numbers=[[1, 2]], text=["t"])
    (tmp_path / "x.jsonl").write_bytes(b'{"id": 1, "text": "t"}')

    assert "no column of vectors" in refusal(path).message and "--vector" in refusal(path).message
    assert "no column of vectors" in refusal(tmp_path / "x.jsonl").message
    assert open_source(path, needs_vectors=False).info.vectors == {}


def test_several_candidates_are_named_instead_of_guessed(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["a"], left=[[1.0, 2.0]], right=[[1.0, 2.0]])

    assert "left, right" in refusal(path).message and "--vector left" in refusal(path).message


def test_a_column_that_holds_no_vectors_cannot_be_chosen(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["a"], text=["t"])

    assert "column 'text'" in refusal(path, vector_columns=["text"]).message


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e39])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_number_that_is_not_finite_is_named_by_row_and_position(bad: float, fixed: bool, tmp_path: Path) -> None:
    rows = [[1.0, 2.0]] * 10 + [[1.0, bad]]
    kind = pa.list_(pa.float64(), 2) if fixed else pa.list_(pa.float64())
    path = parquet(tmp_path, id=[str(i) for i in range(11)], embedding=pa.array(rows, kind))

    error = refusal(path)

    assert error.field == "docs.parquet: row 10, column 'embedding'[1]"
    assert "finite" in error.message


@pytest.mark.parametrize("size", [2, 100])
def test_ragged_vectors_are_named_by_row(size: int, tmp_path: Path) -> None:
    rows = [[1.0, 2.0]] * 2000 + [[1.0, 2.0, 3.0]]
    path = parquet(tmp_path, id=[str(i) for i in range(2001)], embedding=rows)

    with pytest.raises(InvalidField) as caught:
        list(open_source(path).batches(size))

    assert "row 2000, column 'embedding': has 3 numbers where the others have 2" in caught.value.message


def test_a_null_inside_a_vector_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["a", "b"], embedding=pa.array([[1.0, 2.0], [3.0, None]]))

    assert refusal(path).field == "docs.parquet: row 1, column 'embedding'[1]"


@pytest.mark.parametrize("bad", ['"[1, oops]"', '"[1, ""2""]"', '"[1, [2]]"', '"[1, 2, 3]"', '"[1, 1e39]"', "7"])
def test_bad_vectors_in_csv_are_named_by_row(bad: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f'id,embedding\na,"[1, 2]"\nb,{bad}\n')

    assert refusal(tmp_path / "x.csv").field.startswith("x.csv: row 1 (line 3), column 'embedding'")


@pytest.mark.parametrize("bad", [b'{"id": 2, "v": [1, NaN]}', b"[1]", b'{"id": 3}, {"id": 4}', b"{"])
def test_bad_json_lines_are_named_by_row(bad: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"id": 1, "v": [1, 2]}\n' * 1 + bad)

    assert refusal(tmp_path / "x.jsonl").field == "x.jsonl: row 1 (line 2)"


def test_json_lines_nested_too_deep_are_refused(tmp_path: Path) -> None:
    fine, deep = {"id": "a", "x": "[" * 200}, {"id": "b", "x": orjson.loads("[" * 100 + "]" * 100)}
    (tmp_path / "fine.jsonl").write_bytes(orjson.dumps(fine))
    (tmp_path / "deep.jsonl").write_bytes(orjson.dumps(fine) + b"\n" + orjson.dumps(deep))

    assert [len(batch) for batch in open_source(tmp_path / "fine.jsonl", needs_vectors=False).batches()] == [1]
    error = refusal(tmp_path / "deep.jsonl", needs_vectors=False)
    assert error.field == "deep.jsonl: row 1 (line 2)" and "64 deep" in error.message


@pytest.mark.parametrize("first", [0, 5])
def test_a_repeated_id_names_both_rows(first: int, tmp_path: Path) -> None:
    ids = [str(i) for i in range(20)]
    ids[17] = str(first)
    path = parquet(tmp_path, id=ids, embedding=[[1.0, 2.0]] * 20)

    for size in (3, 100):
        with pytest.raises(InvalidField) as caught:
            list(open_source(path).batches(size))
        assert "row 17, column 'id'" in caught.value.field
        assert f"repeats the id of row {first}" in caught.value.message


def test_bad_ids_are_named(tmp_path: Path) -> None:
    vectors = [[1.0, 2.0], [3.0, 4.0]]

    assert "row 1" in refusal(parquet(tmp_path, id=["a", None], embedding=vectors)).field
    assert "row 1" in refusal(parquet(tmp_path, id=["a", ""], embedding=vectors)).field
    assert "row 1" in refusal(parquet(tmp_path, id=["a", "b\n"], embedding=vectors)).field
    assert "row 1" in refusal(parquet(tmp_path, id=["a", "ü" * 128], embedding=vectors)).field
    assert "Ids are text" in refusal(parquet(tmp_path, id=[1.5, 2.5], embedding=vectors)).message


def test_a_sidecar_of_another_length_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2), np.float32))

    for rows in (2, 4):
        (tmp_path / "x.jsonl").write_bytes(b"\n".join(orjson.dumps({"id": i}) for i in range(rows)))
        assert "has 3 rows" in refusal(tmp_path / "x.npy").message
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    assert "beside it 1" in refusal(tmp_path / "x.npy", sidecar=tmp_path / "other.parquet").message


def test_arrays_of_other_shapes_and_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones(3))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.array([[1.0, 2.0], [np.nan, 1.0]]))
    np.save(tmp_path / "wide.npy", np.ones((2, 9)))

    assert "two-dimensional" in refusal(tmp_path / "flat.npy").message
    assert "holds Python objects" in refusal(tmp_path / "objects.npy").message
    assert refusal(tmp_path / "nan.npy").field == "nan.npy: row 1[0]"
    assert "1 to 8 are allowed" in refusal(tmp_path / "wide.npy", max_dimension=8).message


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id,a,a,embedding\n1,2,3,"[1, 2]"\n')

    assert "two columns called 'a'" in refusal(tmp_path / "x.csv").message


def test_a_document_over_a_mebibyte_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["a", "b"], text=["x", "y" * 2**20], embedding=[[1.0, 2.0]] * 2)

    assert "row 1" in refusal(path).field and "1,048,576" in refusal(path).message


def test_a_parquet_whose_metadata_end_a_process_is_refused_in_this_one() -> None:
    """Its size statistics do not fit its schema, which Arrow says by a C++ exception that nothing catches."""
    path = Path(__file__).parents[1] / "data" / "contradicting-metadata.parquet"

    assert "contradict" in refusal(path).message


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (
            {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4], [5, 6]], "texts": ["x", "y", "z"]},
            "3 values in 'embeddings', 2 in 'ids'",
        ),
        ({"embeddings": [[1, 2], [3, 4]], "texts": ["x", "y", "z"]}, "2 values in 'embeddings', 3 in 'texts'"),
        (
            {"columns": ["vec", "text"], "data": [[[1, 2], "x"], [[3, 4]]]},
            "row 1: has 1 values, and 'columns' has 2 names",
        ),
        (
            {"columns": ["vec", "text"], "data": [[[1, 2], "x", 3], [[3, 4], "y"]]},
            "row 0: has 3 values, and 'columns' has 2 names",
        ),
        (
            {"columns": ["vec"], "index": ["a"], "data": [[[1, 2]], [[3, 4]]]},
            "has 1 labels in 'index' and 2 rows in 'data'",
        ),
    ],
)
def test_columns_and_rows_of_json_that_differ_in_length_are_refused_with_both_lengths(
    document: dict[str, object], says: str, tmp_path: Path
) -> None:
    (tmp_path / "x.json").write_bytes(orjson.dumps(document))

    assert says in refusal(tmp_path / "x.json").message


def test_a_list_of_what_a_json_document_includes_is_none_of_its_columns(tmp_path: Path) -> None:
    document = {
        "ids": ["a", "b", "c"],
        "embeddings": [[1, 2], [3, 4], [5, 6]],
        "documents": ["x", "y", "z"],
        "included": ["embeddings", "documents"],
        "errors": [],
    }
    (tmp_path / "x.json").write_bytes(orjson.dumps(document))

    read = open_source(tmp_path / "x.json").read()

    assert list(read.ids) == ["a", "b", "c"]
    assert read.vectors["embeddings"].tolist() == [[1, 2], [3, 4], [5, 6]]
