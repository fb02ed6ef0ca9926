"""`shoal show FOLDER`: the results of an earlier run again, and the documents of one cluster."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.conftest import Command

pytestmark = pytest.mark.process

OPTIONS = ("--algorithm", "kmeans", "--clusters", 3, "--out", "found", "--keep", "topic")


@pytest.fixture
def folder(here: Command, parquet: Path, tmp_path: Path) -> Path:
    """Results of three clusters, by topic."""
    assert here("cluster", parquet, *OPTIONS).code == 0
    return tmp_path / "found"


def test_show_prints_the_table_again(here: Command, parquet: Path) -> None:
    printed = here("cluster", parquet, *OPTIONS).out
    shown = here("show", "found")

    assert shown.code == 0
    assert printed.startswith(shown.out.partition(", named from")[0])
    assert "60 documents, 3 clusters, 0.0% in none, named from text" in shown.out


def test_show_prints_the_tree_again(here: Command, parquet: Path) -> None:
    printed = here("cluster", parquet, *OPTIONS, "--tree").out
    shown = here("show", "found", "--tree").out

    assert shown.partition("\n\n")[0] == printed.partition("\n\n")[0]
    assert "20  " in shown and "share" not in shown


def test_json_is_the_summary(here: Command, folder: Path) -> None:
    assert json.loads(here("show", folder, "--json").out) == json.loads((folder / "summary.json").read_bytes())


@pytest.mark.parametrize("reference", ["cl_1", "1", "label", "LABEL", "part"])
def test_the_documents_of_one_cluster_are_shown(reference: str, here: Command, folder: Path) -> None:
    cluster = json.loads((folder / "summary.json").read_bytes())["clusters"][1]
    words = {"label": cluster["label"], "LABEL": cluster["label"].upper(), "part": cluster["label"][1:-1]}
    done = here("show", folder, "--cluster", words.get(reference, reference))

    assert done.code == 0, done.err
    assert done.out.startswith(f"{cluster['label']}  cl_1, 20 documents, 33.3% of all")
    assert all(f"“{example}”" in done.out for example in cluster["examples"])
    members = pq.read_table(folder / "members.parquet").filter(pa.compute.field("cluster_id") == "cl_1")
    assert [id for id in members["document_id"].to_pylist() if id not in done.out] == []
    assert members["topic"][0].as_py() in done.out


def test_members_are_sorted_by_strength_and_all_shown_on_demand(
    here: Command, documents: pa.Table, tmp_path: Path
) -> None:
    pq.write_table(documents, tmp_path / "one.parquet")
    here("cluster", "one.parquet", "--algorithm", "kmeans", "--clusters", 2, "--out", "found")
    short, whole, as_json = (
        here("show", "found", "--cluster", "cl_0", *more).out for more in ([], ["--all"], ["--json"])
    )
    content = json.loads(as_json)

    assert "… and 20 more: --all" in short and "more" not in whole
    assert content["size"] == len(content["members"]) == 40
    strengths = [row["membership_strength"] for row in content["members"]]
    assert strengths == sorted(strengths, reverse=True)
    assert [row["document_id"] in short for row in content["members"]] == [True] * 20 + [False] * 20
    assert all(row["document_id"] in whole for row in content["members"])


def test_documents_in_no_cluster_are_shown(here: Command, parquet: Path) -> None:
    here("cluster", parquet, "--algorithm", "hdbscan", "--param", "min_cluster_size=18", "--out", "found")
    noise = json.loads(here("show", "found", "--json").out)["noise"]

    for reference in ("noise", "cl_noise"):
        assert here("show", "found", "--cluster", reference).out.startswith(
            f"in no cluster  cl_noise, {noise} document"
        )


def test_a_missing_cluster_or_folder_is_an_error_with_a_remedy(here: Command, folder: Path) -> None:
    (folder.parent / "empty").mkdir()
    (folder / "members.parquet").write_bytes(b"PAR1")
    cases = {
        ("show", folder, "--cluster", "nowhere"): "is not one of the clusters",
        ("show", folder, "--cluster", "9"): "is not one of the clusters",
        ("show", folder, "--cluster", "a"): "Say which by its id: cl_",
        ("show", folder, "--cluster", "1"): "members.parquet: cannot be read",
        ("show", "nothing"): "there is no such folder",
        ("show", "empty"): "holds no results of Shoal",
        ("show", folder / "summary.json"): "is not a folder of results",
    }
    for command, words in cases.items():
        done = here(*command)
        assert done.code == 2
        assert words in done.complaint, command


def test_a_foreign_folder_cannot_control_the_terminal(here: Command, folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_bytes())
    for cluster in summary["clusters"]:
        cluster["cluster_id"] = f"\x1b]0;mine\x07[red]{cluster['cluster_id']}[/blue]"
    (folder / "summary.json").write_text(json.dumps(summary))

    for done in (here("show", str(folder)), here("show", str(folder), "--cluster", summary["clusters"][0]["label"])):
        assert done.code == 0
        assert "[red]cl_" in done.out
        assert not {"\x1b", "\x07"} & set(done.out)


EDITED: dict[str, dict[str, object]] = {
    "no clusters": {"clusters": ...},
    "null": {"clusters": None},
    "no objects": {"clusters": ["a", 3]},
    "a label of null": {"clusters": [{"cluster_id": "cl_0", "label": None, "keywords": [], "size": 1}]},
    "sizes as text": {"clusters": [{"cluster_id": "cl_0", "label": "a", "keywords": [], "size": "1"}]},
    "no noise": {"noise": ...},
    "warnings as text": {"warnings": "one"},
    "metrics as a list": {"metrics": []},
    "a layer that is not there": {"layers": {"named": [[]], "chosen": 1}},
    "layers without names": {"layers": {"chosen": 0}},
}


def test_a_summary_of_another_shape_is_refused_in_one_line(here: Command, folder: Path) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_bytes())
    for case, edits in EDITED.items():
        edited = {name: value for name, value in {**summary, **edits}.items() if value is not ...}
        path.write_text(json.dumps(edited))
        for options in ((), ("--tree",), ("--cluster", "0")):
            done = here("show", folder, *options)

            assert done.code == 2, case
            assert "summary.json" in done.err and next(iter(edits)) in done.err and "Cluster again" in done.err
            assert "Traceback" not in done.err


def test_a_summary_without_what_later_versions_added_is_shown(here: Command, folder: Path) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_bytes())
    for cluster in summary["clusters"]:
        del cluster["examples"], cluster["parent"], cluster["share"]
    path.write_text(json.dumps(summary))

    for options in ((), ("--tree",), ("--cluster", "0")):
        assert here("show", folder, *options).code == 0
