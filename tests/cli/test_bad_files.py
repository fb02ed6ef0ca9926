"""Every fault of a file or a parameter: one line that names it and the remedy, exit code 2, nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.conftest import Command

pytestmark = pytest.mark.process

Make = Callable[[Path], object]


def write(vectors: object, **columns: object) -> Make:
    """A Parquet file with these vectors."""
    return lambda path: pq.write_table(pa.table({"embedding": vectors, **columns}), path)


GOOD = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]

FILES: dict[str, tuple[str, Make, tuple[str, ...], str]] = {
    "absent": ("a.parquet", lambda path: None, (), "there is no such file"),
    "a folder": ("a.parquet", lambda path: path.mkdir(), (), "is a folder"),
    "empty": ("a.parquet", lambda path: path.touch(), (), "is empty"),
    "not what its name says": ("a.parquet", lambda path: path.write_text("hello there\n"), (), "is not a Parquet file"),
    "a cut-off file": ("a.parquet", lambda path: path.write_bytes(b"PAR1" + b"\1" * 64), (), "cannot be read"),
    "an unknown ending": ("a.docx", lambda path: path.write_text("hello"), (), "ending that Shoal does not know"),
    "JSON that is broken": ("a.jsonl", lambda path: path.write_text('{"embedding": [1, 2\n'), (), "row 0"),
    "a JSON array of numbers": ("a.jsonl", lambda path: path.write_text("[1, 2]"), (), "array of objects"),
    "no vectors": ("a.parquet", lambda path: pq.write_table(pa.table({"text": ["a", "b"]}), path), (), "--vector"),
    "a missing vector column": ("a.parquet", write(GOOD), ("--vector", "embeddign"), "Did you mean 'embedding'?"),
    "a missing text column": ("a.parquet", write(GOOD, title=list("abcd")), ("--text", "titel"), "title"),
    "a missing id column": ("a.parquet", write(GOOD), ("--id", "key"), "has no column 'key'"),
    "NaN": ("a.parquet", write([[1.0, 0.0], [np.nan, 1.0]]), (), "row 1"),
    "infinity": ("a.parquet", write([[1.0, 0.0], [np.inf, 1.0]]), (), "finite"),
    "1e39": ("a.parquet", write([[1.0, 0.0], [1e39, 1.0]]), (), "finite"),
    "vectors of several lengths": ("a.parquet", write([[1.0, 0.0], [1.0]]), ("--vector", "embedding"), "embedding"),
    "ids that repeat": ("a.parquet", write(GOOD, id=["x", "y", "x", "z"]), (), "repeats the id of row 0"),
    "one document": ("a.parquet", write([[1.0, 0.0]]), (), "at least two"),
    "no rows": ("a.parquet", write(pa.array([], pa.list_(pa.float32(), 2))), (), "has no rows"),
    "only zero vectors": ("a.parquet", write([[0.0, 0.0]] * 3), (), "all zero"),
    "an unknown algorithm": ("a.parquet", write(GOOD), ("--algorithm", "magic"), "hdbscan or kmeans"),
    "an unknown parameter": ("a.parquet", write(GOOD), ("--param", "n_inits=3"), "n_inits"),
    "a parameter of another algorithm": (
        "a.parquet", write(GOOD), ("--algorithm", "hdbscan", "--clusters", "3"), "neither a parameter of hdbscan"
    ),
    "a parameter of the wrong kind": (
        "a.parquet", write(GOOD), ("--algorithm", "kmeans", "--param", "max_iter=lots"), "max_iter"
    ),
    "a parameter without a value": ("a.parquet", write(GOOD), ("--param", "n_init"), "name=value"),
    "no cluster": ("a.parquet", write(GOOD), ("--clusters", "0"), "at least 1"),
    "a filter that matches nothing": (
        "a.parquet", write(GOOD, lang=["en"] * 4), ("--where", "lang=de"), "matches none of 4 documents"
    ),
    "a filter that is no filter": ("a.parquet", write(GOOD), ("--where", "lang"), "field=value"),
    "a filter with an unknown operator": (
        "a.parquet", write(GOOD), ("--where", '{"field": "a", "operator": "like", "value": 1}'), "operator"
    ),
    "a filter that is broken JSON": ("a.parquet", write(GOOD), ("--where", '{"field": '), "no valid JSON"),
    "a sidecar for a table": ("a.parquet", write(GOOD), ("--sidecar", "b.csv"), "npy"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_fault_is_one_line_with_the_remedy_and_leaves_nothing(case: str, here: Command, tmp_path: Path) -> None:
    name, make, options, expected = FILES[case]
    make(tmp_path / name)
    before = sorted(tmp_path.iterdir())

    done = here("cluster", name, *options)

    assert done.code == 2, done
    assert expected in done.complaint
    assert done.complaint.startswith("shoal: ")
    assert done.out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_the_real_command_ends_with_2_and_one_line(shoal: Command) -> None:
    done = shoal("cluster", "absent.parquet")

    assert done.code == 2
    assert done.complaint == "shoal: absent.parquet: there is no such file. Check the path."


def test_more_clusters_than_documents_are_refused(here: Command, tmp_path: Path) -> None:
    write(GOOD)(tmp_path / "a.parquet")

    done = here("cluster", "a.parquet", "--clusters", 10)

    assert done.code == 2
    assert done.complaint == (
        "shoal: --clusters: is more than the 4 documents that can be clustered, got 10. Use at most 4."
    )
    assert not (tmp_path / "shoal-out").exists()


def test_documents_that_are_all_equal_are_one_cluster(here: Command, tmp_path: Path) -> None:
    write([[1.0, 2.0]] * 5)(tmp_path / "a.parquet")

    done = here("cluster", "a.parquet")

    assert done.code == 0, done.err
    assert "5 documents, 1 cluster" in done.out


def test_two_documents_can_be_clustered(here: Command, tmp_path: Path) -> None:
    write([[1.0, 0.0], [0.0, 1.0]])(tmp_path / "a.parquet")

    assert here("cluster", "a.parquet").code == 0
