"""Whether ids are whole numbers or text, as the file has them."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.files import open_source

pytestmark = pytest.mark.process

VECTORS = np.eye(3).tolist()


def parquet(folder: Path, ids: Any) -> Path:
    path = folder / "docs.parquet"
    pq.write_table(pa.table({"id": ids, "embedding": VECTORS}), path)
    return path


def csv(folder: Path, ids: list[str]) -> Path:
    path = folder / "docs.csv"
    path.write_text("id,embedding\n" + "".join(f'{id},"{vector}"\n' for id, vector in zip(ids, VECTORS, strict=True)))
    return path


def json_lines(folder: Path, ids: list[object]) -> Path:
    path = folder / "docs.jsonl"
    lines = [orjson.dumps({"id": id, "embedding": vector}) for id, vector in zip(ids, VECTORS, strict=True)]
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.mark.parametrize(
    "ids",
    [pa.array([3, 1, 2], pa.int16()), pa.array([3.0, 1.0, 2.0]), pa.array(["3", "1", "2"]).cast(pa.decimal128(5))],
)
def test_whole_numbers_of_any_type_are_whole_ids(ids: pa.Array, tmp_path: Path) -> None:
    table = open_source(parquet(tmp_path, ids)).read()

    assert (table.ids, table.whole_ids) == (["3", "1", "2"], True)


def test_text_that_looks_like_numbers_stays_text_where_the_file_has_types(tmp_path: Path) -> None:
    assert not open_source(parquet(tmp_path, ["3", "1", "2"])).read().whole_ids
    assert not open_source(json_lines(tmp_path, ["3", "1", "2"])).read().whole_ids


@pytest.mark.parametrize(
    ("ids", "whole"),
    [(["3", "1", "2"], True), (["003", "001", "002"], False), (["3", "1", "b"], False), (["-3", "0", "12"], True)],
)
def test_ids_in_csv_are_whole_if_they_would_be_written_again_as_they_stand(
    ids: list[str], whole: bool, tmp_path: Path
) -> None:
    table = open_source(csv(tmp_path, ids)).read()

    assert (table.ids, table.whole_ids) == (ids, whole)


@pytest.mark.parametrize(("ids", "whole"), [([3, 1, 2.0], True), ([3, 1, "2"], False)])
def test_ids_in_json_are_whole_if_all_are(ids: list[object], whole: bool, tmp_path: Path) -> None:
    table = open_source(json_lines(tmp_path, ids)).read()

    assert (table.ids, table.whole_ids) == (["3", "1", "2"], whole)


def test_numbers_of_rows_are_whole_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "docs.npy", np.eye(3))

    assert open_source(tmp_path / "docs.npy").read().whole_ids
