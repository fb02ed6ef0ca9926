"""Where new documents go: the answer beside the rows that were given, with their ids and their index."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import shoal
from shoal.errors import InvalidField

RNG = np.random.default_rng(3)
VECTORS = (np.eye(6)[:3].repeat(15, axis=0) + RNG.normal(0, 0.05, (45, 6))).astype(np.float32)
CLUSTERING = shoal.cluster(VECTORS, algorithm="kmeans", n_clusters=3)
NEW = np.vstack([VECTORS[[0, 20, 40]], np.eye(6)[5:]]).astype(np.float32)
"""Three that are like others, and one that is like none."""


def new_rows() -> pd.DataFrame:
    return pd.DataFrame({"id": [7, 8, 9, 10], "vec": list(NEW)}, index=pd.Index(list("dbca"), name="key"))


def test_the_answer_joins_the_data_frame_of_the_new_documents() -> None:
    df = new_rows()
    result = CLUSTERING.assign(df, vector="vec")

    joined = df.join(result.to_pandas())

    assert joined.index.tolist() == list("dbca") and joined["document_id"].tolist() == [7, 8, 9, 10]
    assert joined["cluster_id"].tolist()[-1] == "cl_noise" and joined["cluster_label"].isna().tolist() == [0, 0, 0, 1]
    assert joined["cluster_id"].tolist()[:3] == [CLUSTERING.clusters[n].cluster_id for n in result.labels[:3]]
    assert result.to_polars().equals(pl.DataFrame(result.to_arrow()))


def test_the_ids_of_the_new_documents_are_those_that_were_named_given_or_found() -> None:
    df = new_rows().assign(ticket=list("wxyz"))
    assert CLUSTERING.assign(df, vector="vec").ids.tolist() == [7, 8, 9, 10]
    assert CLUSTERING.assign(df, vector="vec", id="ticket").ids.tolist() == list("wxyz")
    assert CLUSTERING.assign(df, vector="vec", id="none").ids.tolist() == [0, 1, 2, 3]
    assert CLUSTERING.assign(pa.Table.from_pandas(df), vector="vec").ids.tolist() == [7, 8, 9, 10]
    assert CLUSTERING.assign(NEW, id=["a", "a", "b", "c"]).ids.tolist() == ["a", "a", "b", "c"]  # may repeat
    assert CLUSTERING.assign(NEW).ids.tolist() == [0, 1, 2, 3]


@pytest.mark.process
def test_a_file_of_new_documents_is_read_like_any_other(tmp_path: Path) -> None:
    new_rows().to_parquet(tmp_path / "new.parquet")
    result = CLUSTERING.assign(tmp_path / "new.parquet")
    assert result.ids.tolist() == [7, 8, 9, 10] and result.labels.tolist() == CLUSTERING.assign(NEW).labels.tolist()

    gap: list[Any] = [*NEW[:3].tolist(), None]
    new_rows().assign(vec=gap).to_parquet(tmp_path / "gap.parquet")
    with pytest.raises(InvalidField, match=r"gap.parquet: row 3, column 'vec': has no vector"):
        CLUSTERING.assign(str(tmp_path / "gap.parquet"))


@pytest.mark.parametrize(
    ("data", "id", "error"),
    [
        (NEW[0], None, r"is one row of 6 numbers.*One document is a table of one row: \[vector\]"),
        (np.zeros((0, 6)), None, "has no rows. Give one for each document"),
        (["a text"], None, r"Encode the texts: shoal.TextEncoder"),
        (NEW, "ticket", "id: names a column, and the data have none"),
        (new_rows(), "idd", "id: is not a column of the data, got 'idd'. Did you mean 'id'"),
        (NEW, [1, 2], "id: has 2 values for 4 documents"),
    ],
)
def test_vectors_that_cannot_be_assigned_are_rejected_with_the_remedy(data: object, id: Any, error: str) -> None:
    with pytest.raises(InvalidField, match=error):
        CLUSTERING.assign(data, id=id)


def test_an_earlier_clustering_on_disk_is_to_be_loaded_first() -> None:
    with pytest.raises(InvalidField, match=r"like=shoal.load\(FOLDER\)"):
        shoal.cluster(VECTORS, like="results")  # type: ignore[arg-type]
