"""`shoal cluster FILE`: its input, output and results."""

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from cli.conftest import Command
from shared_data import load, vectors
from shoal.library.results import write_folder
from trees import clusters_by_tree

pytestmark = pytest.mark.process

SUMMARY_KEYS = {
    "format", "source", "documents", "num_clusters", "noise", "algorithm", "parameters", "seed", "metrics", "exact",
    "warnings", "versions", "clusters",
}  # fmt: skip


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_bytes())
    return content


def partition(folder: Path) -> dict[str, str]:
    """Document id to cluster id."""
    table = pq.read_table(folder / "members.parquet")
    return dict(zip(table["document_id"].to_pylist(), table["cluster_id"].to_pylist(), strict=True))


def test_a_file_becomes_a_table_of_named_clusters(shoal: Command, parquet: Path) -> None:
    done = shoal("cluster", parquet, "--clusters", 3)

    assert done.code == 0
    assert done.err == ""
    for word in ("rain", "bread", "flight"):
        assert word in done.out.lower()
    assert "60 documents, 3 clusters, 0.0% in none" in done.out
    assert "33.3%" in done.out
    assert "shoal-out/questions/" in done.out


def test_the_folder_holds_members_centroids_and_summary(here: Command, parquet: Path, tmp_path: Path) -> None:
    here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, "--out", "found")

    folder = tmp_path / "found"
    members, centroids = pq.read_table(folder / "members.parquet"), pq.read_table(folder / "centroids.parquet")
    content = summary(folder)
    assert {entry.name for entry in folder.iterdir()} == {
        "members.parquet", "centroids.parquet", "clustering.npz", "near_duplicates.parquet", "summary.json"
    }  # fmt: skip
    assert set(members.column_names) == {
        "document_id", "cluster_id", "cluster_label", "distance_to_centroid", "membership_strength", "x", "y"
    }  # fmt: skip
    assert members["document_id"].to_pylist() == [f"doc-{number:03d}" for number in range(60)]
    assert centroids["num_members"].to_pylist() == [20, 20, 20]
    assert len(centroids["vector"][0].as_py()) == 8
    assert set(content) >= SUMMARY_KEYS
    assert content["parameters"]["n_clusters"] == 3
    assert content["parameters"]["n_init"] == 10
    assert content["source"]["file"] == "questions.parquet"
    assert [entry["size"] for entry in content["clusters"]] == [20, 20, 20]


def test_no_name_contains_a_word_of_the_stop_words_file(here: Command, parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("rain  # the weather\n")

    done = here("cluster", parquet, "--clusters", 3, "--stop-words", tmp_path / "words.txt", "--out", "out")
    refused = here("cluster", parquet, "--stop-words", "nowhere.txt")

    assert done.code == 0
    words = [word for c in summary(tmp_path / "out")["clusters"] for word in (c["label"], *c["keywords"])]
    assert words and not any("rain" in word.casefold().split() for word in words)
    assert refused.code == 2 and "--stop-words: cannot be read" in refused.err


def test_hdbscan_separates_the_topics(here: Command, parquet: Path, documents: pa.Table, tmp_path: Path) -> None:
    here("cluster", parquet, "--out", "found", "--algorithm", "hdbscan", "--param", "min_cluster_size=5")

    clusters = partition(tmp_path / "found")
    pairs = set(zip(documents["topic"].to_pylist(), [clusters[id] for id in documents["id"].to_pylist()], strict=True))
    assert len({cluster for _, cluster in pairs}) == 3
    assert len(pairs) == 3


def test_the_number_of_clusters_is_chosen_and_noted_if_not_given(here: Command, parquet: Path, tmp_path: Path) -> None:
    done = here("cluster", parquet, "--algorithm", "kmeans", "--out", "found")

    content = summary(tmp_path / "found")
    assert done.code == 0
    assert content["num_clusters"] == 3
    assert any("3" in str(warning) for warning in content["warnings"])
    assert "Note: " in done.out


def test_every_kind_of_file_gives_the_same_clusters(here: Command, documents: pa.Table, tmp_path: Path) -> None:
    vectors = np.array(documents["embedding"].to_pylist(), np.float32)
    about = documents.drop_columns(["embedding"])
    pq.write_table(documents, tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents.to_pylist()))
    as_text = pa.array([json.dumps(vector) for vector in documents["embedding"].to_pylist()])
    pyarrow.csv.write_csv(about.append_column("embedding", as_text), tmp_path / "c.csv")
    np.save(tmp_path / "d.npy", vectors)
    pq.write_table(about, tmp_path / "about-d.parquet")
    with pa.ipc.new_file(tmp_path / "e.arrow", documents.schema) as writer:
        writer.write_table(documents)

    for name in ("a.parquet", "b.jsonl", "c.csv", "e.arrow"):
        assert here("cluster", name, "--clusters", 3, "--out", name[0]).code == 0
    assert here("cluster", "d.npy", "--sidecar", "about-d.parquet", "--clusters", 3, "--out", "d").code == 0

    expected = partition(tmp_path / "a")
    assert len(set(expected.values())) == 3
    for folder in "bcde":
        assert partition(tmp_path / folder) == expected
        assert summary(tmp_path / folder)["clusters"] == summary(tmp_path / "a")["clusters"]


def test_the_order_of_the_rows_does_not_matter(here: Command, documents: pa.Table, tmp_path: Path) -> None:
    shuffled = documents.take(pa.array(np.random.default_rng(1).permutation(len(documents))))
    pq.write_table(documents, tmp_path / "sorted.parquet")
    pq.write_table(shuffled, tmp_path / "shuffled.parquet")

    here("cluster", "sorted.parquet", "--clusters", 4, "--out", "one")
    here("cluster", "shuffled.parquet", "--clusters", 4, "--out", "two")

    assert partition(tmp_path / "one") == partition(tmp_path / "two")
    assert summary(tmp_path / "one")["clusters"] == summary(tmp_path / "two")["clusters"]


def test_a_filter_shows_in_the_counts(here: Command, parquet: Path) -> None:
    command = ("cluster", parquet, "--algorithm", "kmeans", "--clusters", 2, "--write", "some.csv", "--where")
    done = here(*command, "topic!=weather")

    assert "40 of 60 documents (--where), 2 clusters" in done.out
    assert "Written: some.csv, all 60 rows, 40 of them with clusters" in done.out
    assert "40 of 60 documents (--where), 2 clusters" in here("show", "shoal-out/questions").out
    assert "60 documents, 2 clusters" in here(*command, "year>0").out


def test_vectors_are_left_out_of_a_spreadsheet_on_demand(here: Command, parquet: Path, tmp_path: Path) -> None:
    command = ("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, "--write")
    assert "--without embedding leaves them out" in " ".join(here(*command, "with.csv").out.split())
    assert "--without" not in here(*command, "with.parquet").out
    done = here(*command, "some.csv", "--without", "embedding")

    assert done.code == 0 and "--without" not in done.out
    assert "embedding" not in (tmp_path / "some.csv").read_text("utf-8-sig").splitlines()[0]


@pytest.mark.parametrize("method", ["auto", "kmeans", "agglomerative"])
def test_a_plan_counts_all_that_is_written(method: str, here: Command, parquet: Path, tmp_path: Path) -> None:
    command = ("cluster", parquet, "--algorithm", method)
    sizes = [json.loads(here(*command, *more, "--plan", "--json").out)["disk_bytes"] for more in ([], ["--no-model"])]
    both = json.loads(here(*command, "--write", "w.parquet", "--plan", "--json").out)["disk_bytes"]

    assert sizes[1] < sizes[0] and both - sizes[0] == parquet.stat().st_size
    here(*command, "--out", "found")
    assert sizes[0] - sizes[1] <= (tmp_path / "found" / "clustering.npz").stat().st_size


def test_a_run_prints_the_commands_that_show_its_results(here: Command, parquet: Path) -> None:
    few = here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, "--out", "my results").out
    many = here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 45, "--out", "many").out

    assert "show 'my results' --cluster 0    the documents in cl_0" in few and "--all" not in few
    assert "show many --all    every cluster" in many
    assert here("show", "my results", "--cluster", "0").code == 0


def test_a_note_says_that_earlier_results_were_replaced(here: Command, parquet: Path) -> None:
    three = ("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3)
    assert "replaced" not in here(*three).out
    assert "replaced" not in here(*three).out
    for other in (["--where", "topic!=weather"], ["--clusters", 4], ["--seed", 1], ["--text", "topic"]):
        done = here(*three, *other, "--keep", "topic")
        output = " ".join(done.out.split())
        assert "Earlier results in shoal-out/questions/ with other options (kmeans: 60 documents, 3 clusters)" in output
        assert "replaced" in here(*three).out
    assert "replaced" not in here(*three, "--clusters", 4, "--out", "elsewhere").out


def test_where_chooses_documents(here: Command, parquet: Path, tmp_path: Path) -> None:
    cases = {
        ("--where", "topic=weather"): 20,
        ("--where", "topic!=weather"): 40,
        ("--where", "year>=2015"): 15,
        ("--where", "topic=weather", "--where", "year<2005"): 5,
        ("--where", "year=2003"): 3,
        ("--where", '{"OR": [{"field": "year", "operator": "eq", "value": 2001}, {"topic": "travel"}]}'): 22,
    }
    for options, expected in cases.items():
        done = here("cluster", parquet, "--clusters", 2, "--out", "found", *options)

        assert done.code == 0, done.err
        assert summary(tmp_path / "found")["documents"] == expected, options


def test_json_is_the_summary_and_nothing_else(here: Command, parquet: Path, tmp_path: Path) -> None:
    done = here("cluster", parquet, "--clusters", 3, "--json", "--out", "found")

    assert json.loads(done.out) == summary(tmp_path / "found")


def test_quiet_prints_the_folder_alone(here: Command, parquet: Path) -> None:
    assert here("cluster", parquet, "--clusters", 3, "--quiet").out == "shoal-out/questions\n"


def test_labels_come_from_the_selected_text_columns(here: Command, parquet: Path, tmp_path: Path) -> None:
    here("cluster", parquet, "--clusters", 3, "--text", "topic", "--out", "found")

    labels = {entry["label"].lower() for entry in summary(tmp_path / "found")["clusters"]}
    assert labels == {"weather", "cooking", "travel"}


def test_hdbscan_leaves_its_tree_outlier_scores_and_exemplars(here: Command, parquet: Path, tmp_path: Path) -> None:
    done = here("cluster", parquet, "--out", "found", "--algorithm", "hdbscan", "--sample", 50)

    folder = tmp_path / "found"
    members, tree = pq.read_table(folder / "members.parquet"), pq.read_table(folder / "condensed_tree.parquet")
    written = "centroids.parquet, clustering.npz, condensed_tree.parquet, near_duplicates.parquet, summary.json"
    assert written in " ".join(done.out.split())
    ids, scores = members["cluster_id"].to_pylist(), members["outlier_score"].to_pylist()
    by_tree = clusters_by_tree(tree)
    assert len(by_tree) == 50
    assert by_tree == {row: ids[row] for row, score in enumerate(scores) if score is not None}
    home = dict(zip(members["document_id"].to_pylist(), ids, strict=True))
    for centroid in pq.read_table(folder / "centroids.parquet").to_pylist():
        assert centroid["exemplar_ids"] and {home[id] for id in centroid["exemplar_ids"]} == {centroid["cluster_id"]}


def test_a_sample_is_learned_from_and_all_are_assigned(here: Command, parquet: Path, tmp_path: Path) -> None:
    here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, "--sample", 30, "--out", "found")

    content = summary(tmp_path / "found")
    assert (content["fitted"], content["documents"], content["noise"]) == (30, 60, 0)


def test_results_of_an_earlier_run_are_replaced_whole(here: Command, parquet: Path, tmp_path: Path) -> None:
    here("cluster", parquet, "--clusters", 3, "--out", "found")
    first = (tmp_path / "found" / "summary.json").stat().st_ino

    assert here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 2, "--out", "found").code == 0

    assert (tmp_path / "found" / "summary.json").stat().st_ino != first
    assert summary(tmp_path / "found")["num_clusters"] == 2
    assert pq.read_table(tmp_path / "found" / "centroids.parquet").num_rows == 2
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize("moment", ["while it writes", "between the two renames"])
def test_leftovers_of_a_killed_run_are_removed_by_the_next(tmp_path: Path, moment: str) -> None:
    """The run is really killed: SIGKILL at a chosen call, so nothing can clean up."""
    table, folder = pa.table({"a": [1]}), tmp_path / "found"
    write_folder(folder, {"members": table}, {"run": "first"})
    where = "shoal.library.results.pq.write_table" if moment == "while it writes" else "pathlib.Path.rename"
    code = f"""
import os, pathlib, signal, sys
from unittest.mock import patch
import pyarrow as pa
from shoal.library.results import write_folder
rename = pathlib.Path.rename
def killed(first, second, **more):
    if isinstance(first, pathlib.Path) and first.name == "found":
        return rename(first, second)
    os.kill(os.getpid(), signal.SIGKILL)
with patch({where!r}, killed):
    write_folder(pathlib.Path(sys.argv[1]), {{"members": pa.table({{"a": [2]}})}}, {{}})
"""
    assert subprocess.run([sys.executable, "-c", code, folder], check=False).returncode == -signal.SIGKILL
    left = {entry.name for entry in tmp_path.iterdir()} - {"found"}
    (tmp_path / ".found.of-another-run.new").mkdir()

    with pytest.raises(ZeroDivisionError), patch("shoal.library.results.pq.write_table", side_effect=ZeroDivisionError):
        write_folder(folder, {"members": table}, {"run": "second"})

    assert left
    assert summary(folder)["run"] == "first"
    assert {entry.name for entry in tmp_path.iterdir()} == {"found", ".found.of-another-run.new"}


def test_a_run_leaves_what_another_one_is_writing(tmp_path: Path) -> None:
    folder, table, write = tmp_path / "found", pa.table({"a": [1]}), pq.write_table
    during: list[set[str]] = []

    def write_while_another_does(table: pa.Table, file: Any, **options: Any) -> None:
        with patch("shoal.library.results.pq.write_table", write):
            write_folder(folder, {"members": table}, {"run": "inner"})
        during.append({entry.name for entry in tmp_path.iterdir()})
        write(table, file, **options)

    with patch("shoal.library.results.pq.write_table", write_while_another_does):
        write_folder(folder, {"members": table}, {"run": "outer"})

    assert [len(names) for names in during] == [2]
    assert summary(folder)["run"] == "outer"
    assert [entry.name for entry in tmp_path.iterdir()] == ["found"]


def test_a_folder_with_foreign_files_is_refused_and_left_unchanged(
    here: Command, parquet: Path, tmp_path: Path
) -> None:
    here("cluster", parquet, "--clusters", 3, "--out", "found")
    (tmp_path / "found" / "notes.txt").write_text("mine")
    before = summary(tmp_path / "found")

    done = here("cluster", parquet, "--clusters", 2, "--out", "found")

    assert done.code == 2
    assert "not Shoal results" in done.complaint
    assert summary(tmp_path / "found") == before
    assert (tmp_path / "found" / "notes.txt").read_text() == "mine"


def test_a_foreign_summary_protects_its_folder(here: Command, parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "summary.json").write_text('{"format": "something else"}')

    assert here("cluster", parquet, "--out", "found").code == 2
    assert (tmp_path / "found" / "summary.json").read_text() == '{"format": "something else"}'


def test_documents_without_a_usable_vector_are_left_out_with_a_warning(here: Command, tmp_path: Path) -> None:
    vectors = [[1.0, 0.1], [1.0, 0.2], None, [0.0, 0.0], [0.1, 1.0], [0.2, 1.0]]
    pq.write_table(pa.table({"id": list("abcdef"), "embedding": vectors}), tmp_path / "some.parquet")

    done = here("cluster", "some.parquet", "--clusters", 2, "--out", "found")

    assert done.code == 0, done.err
    assert set(partition(tmp_path / "found")) == set("abef")
    assert "1 document has no embedding" in done.out
    assert "1 document has an all-zero vector" in done.out


def test_a_label_cannot_control_the_terminal(here: Command, documents: pa.Table, tmp_path: Path) -> None:
    evil = pa.array(["\x1b[2J\x1b]0;gotcha\x07 pwned \u202e [bold red]rain[/] <b>bread"] * len(documents))
    pq.write_table(documents.set_column(1, "text", evil), tmp_path / "evil.parquet")

    done = here("cluster", "evil.parquet", "--clusters", 3, "--text", "text")

    assert done.code == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(done.out)


def test_ctrl_c_exits_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "big.npy", rng.normal(size=(60_000, 64)).astype(np.float32))
    command = [
        sys.executable,
        "-m",
        "shoal.cli.main",
        "cluster",
        "big.npy",
        "--algorithm",
        "kmeans",
        "--clusters",
        "500",
        "--param",
        "n_init=50",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # By then it has started and read the file; the remaining work takes minutes.
    while psutil.Process(process.pid).cpu_times().user < 4:
        assert process.poll() is None
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert b"Traceback" not in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["big.npy"]


@pytest.mark.parametrize("option", ["--clusters=three", "--bogus", "--sample=1"])
def test_an_invalid_option_exits_with_2_and_is_named(here: Command, parquet: Path, option: str) -> None:
    done = here("cluster", parquet, option)

    assert done.code == 2
    assert option.partition("=")[0] in done.err
    assert "Traceback" not in done.err


def test_auto_reports_other_granularities_and_how_to_get_them(here: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "banking.npy", vectors(load("banking77"))[::4])

    done = here("cluster", tmp_path / "banking.npy", "--algorithm", "auto", "--out", "found")

    output = " ".join(done.out.split())
    layers = summary(tmp_path / "found")["layers"]
    assert (tmp_path / "found" / "layers.parquet").exists()
    assert len(layers["clusters"]) > 1
    assert "clusters are in layers.parquet" in output
    count = int(output.split("--clusters ")[1].split()[0])
    assert count in layers["clusters"]
    again = here(
        "cluster",
        tmp_path / "banking.npy",
        "--algorithm",
        "auto",
        "--out",
        "other",
        "--clusters",
        f"{count}",
    )
    assert again.code == 0
    assert abs(summary(tmp_path / "other")["num_clusters"] - count) <= 0.2 * count


def test_hints_select_the_same_documents(here: Command, tmp_path: Path) -> None:
    table = load("cora").slice(0, 400)
    pq.write_table(table, tmp_path / "some papers.parquet")
    chosen = ("--vector", "text_embedding", "--where", "degree>=2")

    done = here("cluster", tmp_path / "some papers.parquet", *chosen, "--algorithm", "kmeans", "--clusters", "3")

    output = " ".join(done.out.split())
    again = shlex.split(output.split("Try: ")[1].split(" finds")[0])
    assert again[1:] == ["cluster", str(tmp_path / "some papers.parquet"), *chosen]
    assert here(*again[1:], "--out", "other").code == 0


@pytest.mark.parametrize("algorithm", ["gaussian_mixture", "agglomerative", "spectral"])
def test_n_clusters_works_for_every_algorithm(here: Command, tmp_path: Path, algorithm: str) -> None:
    np.save(tmp_path / "some.npy", vectors(load("fashion900"), "pca64")[:300])

    done = here("cluster", tmp_path / "some.npy", "--algorithm", algorithm, "--clusters", "4", "--out", "found")

    assert done.code == 0
    assert summary(tmp_path / "found")["num_clusters"] == 4


def test_a_compressed_file_is_clustered_like_the_plain_file(here: Command, documents: pa.Table, tmp_path: Path) -> None:
    lines = "".join(f"{json.dumps(row)}\n" for row in documents.to_pylist()).encode()
    (tmp_path / "plain.jsonl").write_bytes(lines)
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(lines))

    for name in ("plain.jsonl", "packed.jsonl.gz"):
        done = here("cluster", name, "--clusters", 3)
        assert done.code == 0, done.err

    assert partition(tmp_path / "shoal-out" / "packed") == partition(tmp_path / "shoal-out" / "plain")


@pytest.mark.parametrize("source", ["parts", "parts/*.parquet"])
def test_a_folder_of_files_is_clustered_and_planned_as_one_file(
    source: str, here: Command, parquet: Path, documents: pa.Table, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    for number in range(3):
        pq.write_table(documents.slice(number * 20, 20), tmp_path / "parts" / f"part-{number}.parquet")

    done = here("cluster", source, "--clusters", 3)
    here("cluster", parquet, "--clusters", 3, "--out", "one")
    plan = json.loads(here("cluster", source, "--plan", "--json").out)

    assert done.code == 0, done.err
    assert "60 documents, 3 clusters" in done.out
    assert partition(tmp_path / "shoal-out" / "parts") == partition(tmp_path / "one")
    assert summary(tmp_path / "shoal-out" / "parts")["source"]["file"] == source.rpartition("/")[2]
    assert (plan["rows"], plan["dimension"]) == (60, 8)


def test_a_pipe_is_refused_at_once(here: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.parquet")

    done = here("cluster", "pipe.parquet")

    assert done.code == 2
    assert "pipe.parquet: is a pipe" in done.err


def test_a_file_is_written_back_with_its_clusters(
    here: Command, parquet: Path, documents: pa.Table, tmp_path: Path
) -> None:
    command = (
        "cluster",
        parquet,
        "--algorithm",
        "kmeans",
        "--clusters",
        3,
        "--write",
        "clustered.csv",
        "--keep",
        "year",
    )
    done = here(*command)

    assert done.code == 0
    assert "Written: clustered.csv, all 60 rows with their clusters" in done.out
    back = pyarrow.csv.read_csv(tmp_path / "clustered.csv")
    members = pq.read_table(tmp_path / "shoal-out" / "questions" / "members.parquet")
    added = ["cluster_id", "cluster_label", "strength", "x", "y"]
    assert back.column_names == [*documents.column_names, *added]
    assert back["id"].to_pylist() == documents["id"].to_pylist()
    assert back["cluster_id"].to_pylist() == members["cluster_id"].to_pylist()
    assert members["year"].to_pylist() == documents["year"].to_pylist()
    assert here(*command).code == 0  # again, over what the first wrote


def test_a_foreign_file_is_not_overwritten(here: Command, parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    for target, remedy in (("notes.csv", "--overwrite"), ("questions.parquet", "your file stays as it is")):
        before = (tmp_path / target).read_bytes()
        done = here("cluster", parquet, "--write", target)

        assert done.code == 2
        assert remedy in done.complaint
        assert (tmp_path / target).read_bytes() == before
        assert not (tmp_path / "shoal-out").exists()
    assert here("cluster", parquet, "--write", "notes.csv", "--overwrite", "-q").code == 0
    assert (tmp_path / "notes.csv").read_bytes().startswith(b"\xef\xbb\xbfid,")
