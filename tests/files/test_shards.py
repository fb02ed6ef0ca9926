"""A folder or a pattern of Parquet files is read as one table."""

import json
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.errors import InvalidField, TooLarge
from shoal.files import Source, open_source
from shoal.files.bounds import Bounds
from shoal.files.paths.own_results import FORMAT
from shoal.files.paths.shards import total_size

pytestmark = pytest.mark.process

FLOATS = pa.list_(pa.float32())


def write(path: Path, ids: list[str] | None, vectors: list[list[float] | None], **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {} if ids is None else {"id": ids}
    pq.write_table(pa.table({**named, "embedding": pa.array(vectors, FLOATS), **columns}), path)


def shards(folder: Path, count: int = 3, rows: int = 4, *, ids: bool = True) -> Path:
    """`count` files of `rows` rows; the vector of a row says where it is."""
    for shard in range(count):
        names = [f"s{shard}-{row}" for row in range(rows)] if ids else None
        vectors: list[list[float] | None] = [[shard + 1, row] for row in range(rows)]
        write(folder / f"part-{shard}.parquet", names, vectors, note=[f"{shard}.{row}" for row in range(rows)])
    return folder


def rows(source: Source, size: int = 8192) -> list[tuple[str, list[float], bytes]]:
    return [
        (id, values.tolist(), payload)
        for batch in source.batches(size)
        for id, values, payload in zip(batch.ids, batch.vectors["embedding"].values, batch.payloads, strict=True)
    ]


def refusal(path: Path, **options: object) -> str:
    """The one line that opening and reading ends with."""
    with pytest.raises(InvalidField) as caught:
        for _ in open_source(path, **options).batches():  # type: ignore[arg-type]  # options differ by test
            pass
    assert "\n" not in caught.value.message
    assert caught.value.message.startswith(f"{caught.value.field}: ")
    return caught.value.message


@pytest.mark.parametrize("size", [3, 8192])
def test_a_folder_is_read_as_its_files_joined_into_one(size: int, tmp_path: Path) -> None:
    folder = shards(tmp_path / "data")
    pq.write_table(pa.concat_tables(pq.read_table(path) for path in sorted(folder.iterdir())), tmp_path / "one.parquet")

    source = open_source(folder)

    assert rows(source, size) == rows(open_source(tmp_path / "one.parquet"))
    assert rows(source, size) == rows(open_source(tmp_path / "data" / "*.parquet"))
    assert source.info.rows == 12
    assert source.info.shards == [("data/part-0.parquet", 0), ("data/part-1.parquet", 4), ("data/part-2.parquet", 8)]
    assert len(source.read().ids) == 12


def test_files_come_in_the_order_of_the_numbers_in_their_names(tmp_path: Path) -> None:
    for number in (10, 9, 2, 1):
        write(tmp_path / f"part-{number}.parquet", [f"{number}"], [[1, 2]])
    write(tmp_path / "a" / "part-3.parquet", ["a3"], [[1, 2]])

    assert open_source(tmp_path).read().ids == ["a3", "1", "2", "9", "10"]


def test_rows_without_ids_are_numbered_over_all_files(tmp_path: Path) -> None:
    ids = open_source(shards(tmp_path, ids=False)).read().ids

    assert ids == [f"{row:010d}" for row in range(12)]
    assert ids == open_source(tmp_path).read().ids


def test_hidden_files_and_those_of_spark_are_left_out(tmp_path: Path) -> None:
    shards(tmp_path)
    for name in ("_SUCCESS", ".part-0.parquet.crc", "_metadata"):
        (tmp_path / name).write_bytes(b"x")
    write(tmp_path / "_temporary" / "part-9.parquet", ["no"], [[1, 2]])
    write(tmp_path / ".hidden" / "part-9.parquet", ["no"], [[1, 2]])

    assert open_source(tmp_path).info.rows == 12
    for pattern in ("*", "**", "**/*.parquet"):
        assert open_source(tmp_path / pattern).info.rows == 12


def test_partitions_in_the_names_of_folders_are_fields(tmp_path: Path) -> None:
    for lang, year in (("en", 2024), ("de", 2023), ("a b/c", 7)):
        write(tmp_path / f"lang={lang.replace('/', '%2F')}" / f"year={year}" / "x.parquet", [lang], [[1, year]])
    write(tmp_path / "lang=__HIVE_DEFAULT_PARTITION__" / "year=1" / "x.parquet", ["none"], [[1, 2]])

    source = {id: orjson.loads(payload) for id, _, payload in rows(open_source(tmp_path))}

    assert source["en"] == {"lang": "en", "year": 2024}
    assert source["a b/c"] == {"lang": "a b/c", "year": 7}
    assert source["none"].get("lang") is None


def test_a_partition_that_is_a_column_of_the_files_too_is_that_column(tmp_path: Path) -> None:
    write(tmp_path / "lang=1" / "x.parquet", ["a"], [[1, 2]], lang=["one"])

    assert orjson.loads(rows(open_source(tmp_path))[0][2]) == {"lang": "one"}


def test_files_in_folders_of_different_fields_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "lang=en" / "x.parquet", ["a"], [[1, 2]])
    write(tmp_path / "year=1" / "x.parquet", ["b"], [[1, 2]])

    assert "is in folders for 'year', and " in refusal(tmp_path)


def test_a_duplicate_id_across_files_is_reported_with_both_rows(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", ["x", "y"], [[1, 2], [1, 3]])
    write(tmp_path / "data" / "b.parquet", ["z", "y"], [[1, 2], [1, 3]])

    message = refusal(tmp_path / "data")

    assert message.startswith("data/b.parquet: row 1, column 'id': repeats the id of data/a.parquet: row 1, got 'y'")


@pytest.mark.parametrize("size", [1, 8192])
def test_an_error_names_the_file_of_a_bad_row_and_its_row_number(size: int, tmp_path: Path) -> None:
    shards(tmp_path / "data")
    write(tmp_path / "data" / "part-3.parquet", ["v", "w"], [[1, 2], [1, 2, 3]], note=["", ""])

    with pytest.raises(InvalidField) as caught:
        rows(open_source(tmp_path / "data"), size)
    assert caught.value.field == "data/part-3.parquet: row 1, column 'embedding'"
    assert caught.value.details["field"] == caught.value.field
    assert caught.value.details["document_id"] == "w"
    assert str(caught.value) == caught.value.message
    with pytest.raises(InvalidField, match=r"^data/part-3\.parquet: row 1, column 'embedding'"):
        open_source(tmp_path / "data").read()


def test_a_bad_row_in_the_sample_is_reported_like_any_other(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", [], [])
    write(tmp_path / "data" / "b.parquet", ["v", "w"], [[1, float("nan")], [1, 2]])

    assert refusal(tmp_path / "data").startswith("data/b.parquet: row 0, column 'embedding'")


def test_files_of_different_columns_or_types_are_rejected(tmp_path: Path) -> None:
    shards(tmp_path / "data", 2)
    write(tmp_path / "data" / "part-2.parquet", ["v"], [[1, 2]], note=[7])

    message = refusal(tmp_path / "data")
    assert message.startswith("data/part-2.parquet: column 'note': is int64, and string in data/part-0.parquet.")

    write(tmp_path / "data" / "part-2.parquet", ["v"], [[1, 2]])
    assert refusal(tmp_path / "data").startswith("data/part-2.parquet: has no column 'note', and data/part-0.parquet")
    write(tmp_path / "data" / "part-2.parquet", ["v"], [[1, 2]], note=["a"], other=["b"])
    assert refusal(tmp_path / "data").startswith("data/part-0.parquet: has no column 'other', and data/part-2.parquet")


def test_a_null_column_and_other_text_types_fit_any_file(tmp_path: Path) -> None:
    text, coded = pa.array(["b"], pa.large_string()), pa.array(["c"]).dictionary_encode()
    for number, note in enumerate([pa.nulls(1), text, coded, pa.nulls(1)]):
        write(tmp_path / f"{number}.parquet", [str(number)], [[1, 2]], note=note)

    assert [orjson.loads(row[2]).get("note") for row in rows(open_source(tmp_path))] == [None, "b", "c", None]
    assert len(open_source(tmp_path).read().ids) == 4


def test_columns_may_come_in_another_order_in_each_file(tmp_path: Path) -> None:
    for number, turn in enumerate([1, -1]):
        columns = {"id": [f"{number}"], "a": ["x"], "b": ["y"], "embedding": pa.array([[1.0, 2.0]], FLOATS)}
        pq.write_table(pa.table(dict(list(columns.items())[::turn])), tmp_path / f"{number}.parquet")

    assert [row[2] for row in rows(open_source(tmp_path))] == [b'{"a":"x","b":"y"}'] * 2


def test_folders_and_patterns_that_hold_no_table_are_refused_in_a_line_each(tmp_path: Path) -> None:
    for name in ("empty", "texts", "mixed", "damaged"):
        (tmp_path / name).mkdir()
    (tmp_path / "empty" / "_SUCCESS").touch()
    np.save(tmp_path / "texts" / "a.npy", np.eye(2))
    shards(tmp_path / "mixed")
    (tmp_path / "mixed" / "README.md").write_text("x")
    shards(tmp_path / "damaged")
    whole = (tmp_path / "damaged" / "part-1.parquet").read_bytes()
    (tmp_path / "damaged" / "part-1.parquet").write_bytes(whole[: len(whole) // 2])

    assert refusal(tmp_path / "empty") == "empty: is a folder without files. Check the path."
    assert refusal(tmp_path / "texts").startswith("texts: holds no file of a format that can be combined, but 'a.npy'")
    assert refusal(tmp_path / "mixed").startswith("mixed: holds 'README.md' beside Parquet files")
    assert refusal(tmp_path / "no-*.parquet") == "no-*.parquet: matches no file. Check the pattern."
    assert refusal(tmp_path / "damaged").startswith("damaged/part-1.parquet: cannot be read")
    assert refusal(shards(tmp_path / "x"), sidecar="y.csv").startswith("sidecar: belongs to a .npy file only")
    (tmp_path / "x" / "part-1.parquet").write_bytes(b"")
    assert refusal(tmp_path / "x").startswith("x/part-1.parquet: is empty")


def test_files_whose_values_are_damaged_are_named_while_they_are_read(tmp_path: Path) -> None:
    shards(tmp_path / "data", rows=2000)
    path = tmp_path / "data" / "part-1.parquet"
    content = bytearray(path.read_bytes())
    content[40:400] = b"\xff" * 360
    path.write_bytes(content)

    assert refusal(tmp_path / "data").startswith("data/part-1.parquet")


def test_the_expanded_size_is_limited_over_all_files(tmp_path: Path) -> None:
    bounds = Bounds(free_bytes=600_000, most_bytes=600_000)
    for number in range(4):
        ids = [f"{number}-{row}" for row in range(300)]
        write(tmp_path / f"{number}.parquet", ids, [[1, 2]] * 300)

    open_source(tmp_path / "0.parquet", bounds=bounds).read()
    with pytest.raises(TooLarge, match="1,200 documents"):
        open_source(tmp_path, bounds=bounds)


def test_a_link_to_a_folder_around_it_does_not_lead_out_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "around" / "data"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"id": "a", "v": [1, 2]}\n')
    (tmp_path / "around" / "b.parquet").write_bytes(b"no part of it")
    (folder / "up").symlink_to("..")
    (folder / "all").symlink_to("/")

    assert open_source(folder).read().ids == ["a"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    shards(tmp_path / "data")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    (tmp_path / "linked.parquet").symlink_to(tmp_path / "data" / "part-0.parquet")

    assert open_source(tmp_path / "data").info.rows == 12
    assert open_source(tmp_path / "linked.parquet").info.rows == 4


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    write(tmp_path / "a[1].parquet", ["x"], [[1, 2]])
    write(tmp_path / "a1.parquet", ["y"], [[1, 2]])

    assert open_source(tmp_path / "a[1].parquet").read().ids == ["x"]


def test_vectors_come_from_each_file_in_its_own_rows(tmp_path: Path) -> None:
    table = open_source(shards(tmp_path, 5)).read()

    assert np.array_equal(table.vectors["embedding"], [[shard + 1, row] for shard in range(5) for row in range(4)])


@pytest.mark.parametrize("pattern", ["", "**/*.parquet", "*/*.parquet", "**"])
def test_results_of_earlier_runs_are_no_documents(pattern: str, tmp_path: Path) -> None:
    """Whatever their folder is called; one that is named itself is read."""
    folder = shards(tmp_path / "data" / "in").parent
    write(folder / "other" / "more.parquet", ["m"], [[9, 9]], note=["m"])
    for out in ("shoal-out/data", "topics", "in/deep/topics"):
        write(folder / out / "centroids.parquet", None, [[1, 2]], cluster_id=[0])
        (folder / out / "summary.json").write_text(json.dumps({"format": FORMAT}))
    write(folder / "in" / "mine" / "mine.parquet", ["own"], [[8, 8]], note=["own"])

    whole = folder / pattern if pattern else folder

    ids = sorted(id for id, _, _ in rows(open_source(whole)))
    deep = [] if pattern == "*/*.parquet" else ["own"]
    assert ids == sorted(["m", *deep, *(f"s{shard}-{row}" for shard in range(3) for row in range(4))])
    files = [path for path in folder.rglob("*.parquet") if path.stem != "centroids" and (deep or path.stem != "mine")]
    assert total_size(whole) == sum(path.stat().st_size for path in files)
    assert open_source(folder / "topics" / "*.parquet").info.rows == 1
    assert open_source(folder / "shoal-out" / "data" / "*.parquet").info.rows == 1
