"""`shoal cluster FILE` where the file has text and no vectors."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.conftest import PER_TOPIC, TOPICS, Command

pytestmark = pytest.mark.process

ROWS = [
    {"id": f"{topic}-{number}", "review": f"{texts[number % 4]}, {number}", "stars": number % 5, "topic": topic}
    for topic, texts in TOPICS.items()
    for number in range(PER_TOPIC)
]
KMEANS = ("--algorithm", "kmeans", "--clusters", 3)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    pd.DataFrame(ROWS).to_csv(tmp_path / "reviews.csv", index=False)
    return tmp_path / "reviews.csv"


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_bytes())
    return content


def topics_of(folder: Path) -> dict[str, set[str]]:
    """The topics of the documents in each cluster, by their ids."""
    members = pq.read_table(folder / "members.parquet").to_pylist()
    topics = dict[str, set[str]]()
    for row in members:
        topics.setdefault(row["cluster_id"], set()).add(str(row["document_id"]).partition("-")[0])
    return topics


def test_a_csv_of_texts_becomes_named_clusters(here: Command, reviews: Path, tmp_path: Path) -> None:
    done = here("cluster", reviews, "--text", "review", *KMEANS, "--out", "found")

    assert done.code == 0 and done.err == ""
    for word in ("rain", "bread", "flight"):
        assert word in done.out.lower()
    assert "encoded by static@" in done.out.replace("\n", " ")
    assert sorted(map(sorted, topics_of(tmp_path / "found").values())) == [["cooking"], ["travel"], ["weather"]]
    written = summary(tmp_path / "found")
    assert written["encoder"] == written["source"]["encoder"] and written["encoder"].startswith("static@")
    assert written["source"]["dimension"] == 256 and "vector" not in written
    assert "encoded by static@" in here("show", "found").out.replace("\n", " ")


def test_the_text_is_chosen_where_none_is_named(here: Command, reviews: Path, tmp_path: Path) -> None:
    assert here("cluster", reviews, *KMEANS, "--out", "found").code == 0

    assert summary(tmp_path / "found")["text"] == ["review"]
    assert all(len(topics) == 1 for topics in topics_of(tmp_path / "found").values())


@pytest.mark.parametrize("shape", ["pandas", "excel", "gzip", "json", "parquet", "folder"])
def test_files_as_people_have_them_are_read(shape: str, here: Command, tmp_path: Path) -> None:
    table = pd.DataFrame(ROWS)
    match shape:
        case "pandas":  # with its index as a nameless column
            table.to_csv(tmp_path / "a.csv")
        case "excel":
            table.to_csv(tmp_path / "a.csv", sep=";", encoding="utf-8-sig", index=False, quoting=csv.QUOTE_ALL)
        case "gzip":
            (tmp_path / "a.csv.gz").write_bytes(gzip.compress(table.to_csv(index=False).encode()))
        case "json":
            table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
        case "parquet":
            table.to_parquet(tmp_path / "a.parquet")
        case _:
            (tmp_path / "a").mkdir()
            table[:30].to_csv(tmp_path / "a" / "1.csv", index=False)
            table[30:].to_csv(tmp_path / "a" / "2.csv", index=False)
    (file,) = tmp_path.glob("a*")

    done = here("cluster", file, *KMEANS, "--out", "found")

    assert done.code == 0, done.err
    assert sorted(map(sorted, topics_of(tmp_path / "found").values())) == [["cooking"], ["travel"], ["weather"]]


def test_vectors_of_a_file_win_unless_an_encoder_is_named(here: Command, parquet: Path, tmp_path: Path) -> None:
    assert "encoder" not in json.loads(here("cluster", parquet, *KMEANS, "--json").out)

    encoded = json.loads(here("cluster", parquet, *KMEANS, "--encoder", "static", "--out", "found", "--json").out)

    assert encoded["encoder"].startswith("static@") and encoded["source"]["dimension"] == 256
    both = here("cluster", parquet, "--encoder", "static", "--vector", "embedding")
    assert both.code == 2 and "--encoder: is given beside --vector" in both.complaint


def test_documents_without_text_or_known_words_are_counted_and_left_out(here: Command, tmp_path: Path) -> None:
    extra = [{"id": "none-1", "review": ""}, {"id": "none-2", "review": "  "}, {"id": "odd-1", "review": "?! ..."}]
    pd.DataFrame([*ROWS, *extra]).to_csv(tmp_path / "reviews.csv", index=False)

    done = here(
        "cluster", "reviews.csv", "--text", "review", *KMEANS, "--out", "found", "--write", "w.csv", "--keep", "stars"
    )

    output = " ".join(done.out.split())
    assert "2 documents have no text in review; left out." in output
    assert "1 document has no word that static@1 knows; left out." in output
    assert "60 of 63 documents" in output
    written = pd.read_csv(tmp_path / "w.csv")
    assert len(written) == 63 and written["cluster_id"].isna().tolist() == [False] * 60 + [True] * 3


def test_a_filter_and_several_columns_are_honoured(here: Command, tmp_path: Path) -> None:
    rows = [{**row, "title": str(row["topic"])} for row in ROWS]
    pd.DataFrame(rows).to_csv(tmp_path / "r.csv", index=False)

    done = here(
        "cluster", "r.csv", "--text", "title", "--text", "review", "--where", "stars>=2", *KMEANS, "--out", "found"
    )

    assert done.code == 0 and "36 of 60 documents" in done.out
    assert summary(tmp_path / "found")["text"] == ["title", "review"]


@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
def test_the_vectors_can_be_saved_and_clustered_again(name: str, here: Command, reviews: Path, tmp_path: Path) -> None:
    assert here("cluster", reviews, *KMEANS, "--save-vectors", name, "--out", "found").code == 0

    if name.endswith("npy"):
        vectors = np.load(tmp_path / name)
    else:
        table = pq.read_table(tmp_path / name)
        assert table["document_id"].to_pylist() == [row["id"] for row in ROWS]
        vectors = np.array(table["vector"].to_pylist(), np.float32)
    assert vectors.shape == (60, 256)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    again = here("cluster", name, *KMEANS, "--out", "again")
    assert again.code == 0, again.err
    assert sorted(map(len, topics_of(tmp_path / "found").values())) == [1, 1, 1]
    refused = here("cluster", reviews, *KMEANS, "--save-vectors", name)
    assert refused.code == 2 and "--save-vectors" in refused.complaint and "--overwrite" in refused.complaint
    assert here("cluster", reviews, *KMEANS, "--save-vectors", name, "--overwrite").code == 0


def test_a_bad_place_for_vectors_is_refused_before_anything_is_read(here: Command, reviews: Path) -> None:
    assert "must end in .npy or .parquet" in here("cluster", reviews, "--save-vectors", "v.csv").complaint
    assert "there is no folder" in here("cluster", reviews, "--save-vectors", "nowhere/v.npy").complaint
    inside = here("cluster", reviews, "--out", "found", "--save-vectors", "found/v.npy")
    assert inside.code == 2 and "lies in the folder of results" in inside.complaint


def test_a_plan_counts_the_encoding_without_doing_it(here: Command, reviews: Path) -> None:
    plan = json.loads(here("cluster", reviews, "--text", "review", "--plan", "--json").out)

    assert (plan["rows"], plan["dimension"]) == (60, 256)
    assert plan["encoder"].startswith("static@")
    assert "by static@" in here("cluster", reviews, "--plan").out


@pytest.mark.parametrize(
    ("columns", "options", "error"),
    [
        ({"a": [1, 2], "b": ["red", "blue"]}, (), "no column of vectors or of text; its columns are a, b"),
        ({"a": [1, 2], "b": ["red", "blue"]}, (), "or of text with --text NAME"),
        ({"a": [1, 2], "t": ["some words", "other words"]}, ("--text", "tt"), "Did you mean 't'"),
        ({"a": [1, 2], "t": ["some words", "other words"]}, ("--text", "a"), "--text: holds no text in any row"),
        ({"t": ["some words", "other words"]}, ("--encoder", "no-such"), "--encoder: "),
        ({"t": ["?! ...", "!! ??"]}, ("--text", "t"), "has no word that static@1 knows, like every other row"),
    ],
)
def test_a_file_that_cannot_be_encoded_is_refused_with_the_remedy(
    columns: dict[str, Any], options: tuple[str, ...], error: str, here: Command, tmp_path: Path
) -> None:
    pd.DataFrame(columns).to_csv(tmp_path / "a.csv", index=False)

    done = here("cluster", "a.csv", *options)

    assert done.code == 2 and error in done.complaint


def test_words_of_one_column_are_encoded_where_it_is_named(here: Command, tmp_path: Path) -> None:
    words = ["rain", "snow", "bread", "soup", "flight", "train"] * 5
    pd.DataFrame({"key": words}).to_csv(tmp_path / "a.csv", index=False)

    done = here("cluster", "a.csv", "--text", "key", *KMEANS, "--out", "found")

    assert done.code == 0, done.err
    assert summary(tmp_path / "found")["documents"] == 30


def test_a_text_is_read_to_its_end(here: Command, tmp_path: Path) -> None:
    filler = "so and so on and on " * 3_000
    texts = [f"{filler} {text}" for texts in TOPICS.values() for text in texts]
    pq.write_table(pa.table({"id": [str(n) for n in range(12)], "body": texts}), tmp_path / "long.parquet")

    assert here("cluster", "long.parquet", *KMEANS, "--save-vectors", "v.npy", "--out", "found").code == 0

    assert len(np.unique(np.load(tmp_path / "v.npy"), axis=0)) == 12


def test_texts_inside_objects_and_lists_are_encoded(here: Command, tmp_path: Path) -> None:
    rows = [{"n": number, "info": {"note": [row["review"]]}} for number, row in enumerate(ROWS)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")

    for name in ("a.json", "a.parquet"):
        done = here("cluster", name, *KMEANS, "--out", "found")
        assert done.code == 0, done.err
        assert summary(tmp_path / "found")["text"] == ["info.note"]


def test_a_text_that_begins_with_a_bracket_is_no_vector(here: Command, tmp_path: Path) -> None:
    pd.DataFrame({"review": [f"[update] ... {row['review']}" for row in ROWS]}).to_csv(tmp_path / "a.csv", index=False)

    done = here("cluster", "a.csv", *KMEANS, "--out", "found")

    assert done.code == 0, done.err
