"""The caller's file again, row for row, with the clusters beside its own columns."""

import csv
import fcntl
import gzip
import json
import pickle
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from library.test_from_file import TEXTS, VECTORS, as_arrow, as_csv, as_json_lines, as_parquet
from shoal.errors import Conflict, InvalidField
from shoal.files.columnar.row_writers import open_writer
from shoal.library.from_columns import ClusterOptions
from shoal.library.from_file import FileClustering, cluster_file
from shoal.library.output.write_back import RESULT_COLUMNS
from shoal.library.output.write_targets import check_target
from shoal.library.request import Request
from shoal.records.queries.filters import parse_filter

pytestmark = pytest.mark.process

COUNT = len(TEXTS)
TICKETS = [9000 - 7 * n for n in range(COUNT)]
"""Whole numbers, and in no order."""
NO_VECTOR, ALL_ZERO = 4, 11

Json = dict[str, Any]


def rows() -> list[Json]:
    """Documents with typical columns beside texts and vectors."""
    result = [
        {
            "ticket": TICKETS[n],
            "body": TEXTS[n] if n % 3 else f'{TEXTS[n]}; "quoted", über\nzwei Zeilen 漢字',
            "zip": f"{n:05}",
            "price": n / 4,
            "note": None if n % 2 else "=1+1",
            "open": n % 5 == 0,
            "embedding": VECTORS[n].tolist(),
        }
        for n in range(COUNT)
    ]
    result[NO_VECTOR]["embedding"] = None
    result[ALL_ZERO]["embedding"] = [0.0] * VECTORS.shape[1]
    return result


def cluster(path: Path, **options: Any) -> FileClustering:
    request = {
        "path": path,
        "id": "ticket",
        "text": ["body"],
        "cluster_options": ClusterOptions(algorithm="kmeans", n_clusters=3),
        **options,
    }
    return cluster_file(Request(**request))


def read(path: Path) -> list[Json]:
    """Read a file without Shoal."""
    name = path.name.removesuffix(".gz")
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if name.endswith(".parquet"):
        return list(pq.read_table(path).to_pylist())
    if name.endswith(".arrow"):
        return list(pa.ipc.open_file(path).read_all().to_pylist())
    if name.endswith((".csv", ".tsv")):
        lines = content.decode("utf-8-sig").splitlines(keepends=True)
        return list(csv.DictReader(lines, delimiter="\t" if name.endswith(".tsv") else ","))
    if name.endswith(".json"):
        return list(json.loads(content))
    return [json.loads(line) for line in content.decode().split("\n") if line]


def expect_results(clustering: FileClustering) -> list[Json]:
    """Return the columns that Shoal adds to each row of the file, from the members table."""
    members = {row["document_id"]: row for row in clustering.clustering.members().to_pylist()}
    names = ("cluster_id", "cluster_label", "membership_strength", "x", "y")
    return [dict(zip(RESULT_COLUMNS, (members.get(id, {}).get(name) for name in names), strict=True)) for id in TICKETS]


INPUTS = {"parquet": as_parquet, "arrow": as_arrow, "jsonl": as_json_lines, "csv": as_csv}
OUTPUTS = ["parquet", "arrow", "jsonl", "json", "csv", "tsv", "jsonl.gz", "csv.gz"]


@pytest.mark.parametrize("format", INPUTS)
def test_every_row_and_column_of_a_file_is_written_with_its_cluster(format: str, tmp_path: Path) -> None:
    result = cluster(INPUTS[format](tmp_path, rows()))
    added = expect_results(result)

    assert [item["cluster_id"] is None for item in added] == [n in (NO_VECTOR, ALL_ZERO) for n in range(COUNT)]
    for ending in OUTPUTS:
        path = tmp_path / f"out.{ending}"
        assert result.write_back(path) == []
        back = read(path)

        assert [list(row) for row in back] == [[*rows()[0], *RESULT_COLUMNS]] * COUNT, ending
        as_text = ending.startswith(("csv", "tsv"))
        for row, own, entry in zip(back, rows(), added, strict=True):
            _check_own(row, own, as_text=as_text, from_text=format == "csv")
            if as_text:
                assert [row["cluster_id"], row["cluster_label"]] == [
                    entry["cluster_id"] or "",
                    entry["cluster_label"] or "",
                ]
                assert [row["x"], row["y"]] == ["" if entry[axis] is None else _digits(entry[axis]) for axis in "xy"]
            else:
                assert {name: row[name] for name in RESULT_COLUMNS[:2]} == {
                    name: entry[name] for name in RESULT_COLUMNS[:2]
                }
                assert [row[axis] for axis in "xy"] == [
                    None if entry[a] is None else pytest.approx(entry[a]) for a in "xy"
                ]


def _digits(value: float) -> str:
    return str(np.float32(value))


def _check_own(row: Json, own: Json, *, as_text: bool, from_text: bool) -> None:
    if not as_text and not from_text:
        assert {name: row[name] for name in own} == own
        return
    assert str(row["ticket"]) == str(own["ticket"])
    assert row["body"] == own["body"]
    assert str(row["zip"]) == own["zip"]
    assert float(row["price"]) == own["price"]
    assert (row["note"] or None) == own["note"]
    assert str(row["open"]).lower() == str(own["open"]).lower()
    vector = row["embedding"]
    assert (json.loads(vector) if vector else None) == own["embedding"]


def test_types_of_columns_stay(tmp_path: Path) -> None:
    columns = {
        "id": pa.array(range(6), pa.int32()),
        "kind": pa.array(list("abcabc")).dictionary_encode(),
        "when": pa.array([datetime(2024, 5, 1, n, tzinfo=UTC) for n in range(6)], pa.timestamp("ms", "UTC")),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(np.eye(6, dtype=np.float16).ravel()), 6),
        "raw": pa.array([b"\xff\x00"] * 6),
        "deep": pa.array([{"a": [n]} for n in range(6)]),
    }
    table = pa.table(columns).replace_schema_metadata({"pandas": "{}"})
    pq.write_table(table, tmp_path / "in.parquet")
    result = cluster(
        tmp_path / "in.parquet", id=None, text=[], cluster_options=ClusterOptions(algorithm="kmeans", n_clusters=2)
    )
    result.write_back(tmp_path / "out.parquet")

    back = pq.read_table(tmp_path / "out.parquet")
    assert back.schema.metadata[b"pandas"] == b"{}"
    assert back.select(list(columns)).equals(table.cast(back.select(list(columns)).schema))
    for name, column in columns.items():
        assert back.schema.field(name).type == column.type
    kinds = [back.schema.field(name).type for name in RESULT_COLUMNS]
    assert kinds == [pa.string(), pa.string(), pa.float32(), pa.float32(), pa.float32()]

    result.write_back(tmp_path / "out.csv")
    first = read(tmp_path / "out.csv")[0]
    vector, moment = "[1.0,0.0,0.0,0.0,0.0,0.0]", "2024-05-01T00:00:00Z"
    assert [first[name] for name in columns] == ["0", "a", moment, vector, "/wA=", '{"a":[0]}']


def test_a_file_of_rows_that_differ_becomes_a_table_that_holds_them_all(tmp_path: Path) -> None:
    many = {f"key {n}": n for n in range(300)}
    rows_: list[Json] = [
        {"id": n, "embedding": row, "mixed": n if n % 2 else "s", "deep": {"a": n}}
        for n, row in enumerate(np.eye(6).tolist())
    ]
    rows_[2] |= {"late": 1.5, "empty": {}, "many": many, "deep": {"b": "x"}}
    rows_[3]["late"] = 2
    path = as_json_lines(tmp_path, rows_)
    clustering = cluster(path, id=None, text=[], cluster_options=ClusterOptions(algorithm="kmeans", n_clusters=2))
    clustering.write_back(tmp_path / "out.parquet")

    back = pq.read_table(tmp_path / "out.parquet")
    assert back["late"].to_pylist() == [None, None, 1.5, 2.0, None, None]
    assert back["mixed"].to_pylist() == ["s", "1", "s", "3", "s", "5"]
    assert back["deep"][2].as_py() == {"a": None, "b": "x"}
    assert json.loads(back["many"][2].as_py()) == many and back["empty"][2].as_py() == "{}"
    clustering.write_back(tmp_path / "out.jsonl")
    assert [
        {name: row[name] for name in own} for row, own in zip(read(tmp_path / "out.jsonl"), rows_, strict=True)
    ] == rows_


def test_several_files_are_written_as_one_in_order_of_their_names(tmp_path: Path) -> None:
    for number, part in enumerate((rows()[:10], rows()[10:])):
        (tmp_path / "data" / f"lang={number}").mkdir(parents=True)
        as_parquet(tmp_path / "data" / f"lang={number}", part)
    result = cluster(tmp_path / "data")
    result.write_back(tmp_path / "out.csv")

    back = read(tmp_path / "out.csv")
    assert [row["ticket"] for row in back] == [str(ticket) for ticket in TICKETS]
    assert [row["lang"] for row in back] == ["0"] * 10 + ["1"] * 20
    assert [row["cluster_id"] or None for row in back] == [item["cluster_id"] for item in expect_results(result)]


@pytest.mark.parametrize("beside", [None, as_csv, as_json_lines, as_parquet])
def test_an_array_comes_back_with_its_sidecar(
    beside: Callable[[Path, Sequence[Json]], Path] | None, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    about = [{name: value for name, value in row.items() if name in ("ticket", "body")} for row in rows()]
    sidecar = None if beside is None else beside(tmp_path, about)
    result = cluster(tmp_path / "v.npy", sidecar=sidecar, id=sidecar and "ticket", text=["body"] if beside else [])
    result.write_back(tmp_path / "out.parquet")
    result.write_back(tmp_path / "out.jsonl")

    for back in (read(tmp_path / "out.parquet"), read(tmp_path / "out.jsonl")):
        assert [row["embedding"] for row in back] == VECTORS.tolist()
        assert [row["cluster_id"] for row in back] == result.clustering.members()["cluster_id"].to_pylist()
        assert [row.get("ticket") for row in back] == (TICKETS if beside else [None] * COUNT)


def test_rows_that_a_filter_left_out_are_there_without_a_cluster(tmp_path: Path) -> None:
    where = parse_filter({"field": "open", "operator": "eq", "value": False}, "where")
    result = cluster(as_parquet(tmp_path, rows()), where=where)
    result.write_back(tmp_path / "out.csv")

    back = read(tmp_path / "out.csv")
    assert len(back) == COUNT
    for row in back:
        inside = row["open"] == "false" and row["embedding"] and int(row["ticket"]) != TICKETS[ALL_ZERO]
        assert bool(row["cluster_id"]) == bool(row["strength"]) == bool(inside)


def test_a_file_that_was_clustered_before_gets_new_columns_for_the_old(tmp_path: Path) -> None:
    result = cluster(as_csv(tmp_path, rows()))
    result.write_back(tmp_path / "one.csv")
    again = cluster(tmp_path / "one.csv")
    notes = again.write_back(tmp_path / "two.csv")

    assert "earlier clustering" in notes[0] and "cluster_id" in notes[0]
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert again.source["text"] == ["body"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_columns_of_the_caller_are_never_replaced(ending: str, tmp_path: Path) -> None:
    own = [{**row, "x": f"mine {n}", "cluster_id": n} for n, row in enumerate(rows())]
    result = cluster(as_parquet(tmp_path, own))
    notes = result.write_back(tmp_path / f"one.{ending}")
    back = read(tmp_path / f"one.{ending}")

    assert "cluster_id, x" in notes[0] and "shoal_cluster_id, shoal_x" in notes[0]
    assert [row["x"] for row in back] == [f"mine {n}" for n in range(COUNT)]
    assert [str(row["cluster_id"]) for row in back] == [str(n) for n in range(COUNT)]
    assert {row["shoal_cluster_id"] for row in back} == {"cl_0", "cl_1", "cl_2", "" if ending == "csv" else None}

    cluster(tmp_path / f"one.{ending}").write_back(tmp_path / f"two.{ending}")
    assert read(tmp_path / f"two.{ending}") == back


def test_a_csv_file_keeps_how_it_is_written(tmp_path: Path) -> None:
    lines = ["ticket;price;when;embedding"]
    lines += [f"{t};{n:.2f};2024-01-{n + 1:02};{json.dumps(VECTORS[n].tolist())}" for n, t in enumerate(TICKETS)]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    result = cluster(tmp_path / "in.csv", text=[])
    result.write_back(tmp_path / "out.csv")

    back = (tmp_path / "out.csv").read_text("utf-8-sig").splitlines()
    assert back[0] == f"{lines[0]};cluster_id;cluster_label;strength;x;y"
    assert all(line.startswith(f"{own};cl_") for line, own in zip(back[1:], lines[1:], strict=True))


@pytest.mark.parametrize(
    ("prices", "mark"),
    [
        (["22,5", "7", "1,25", ""], ","),
        (["1.022,50", "7,00", "", "1,2"], ","),
        (["22.5", "7", "1.25", ""], "."),
        (["7", "8", "9", "10"], "."),
        (["1,2", "a", "3", "4"], "."),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_numbers_of_shoal_have_the_decimal_mark_of_the_file(
    prices: Sequence[str], mark: str, ending: str, tmp_path: Path
) -> None:
    lines = ["ticket;price;embedding"]
    lines += [f"{t};{prices[n % 4]};{json.dumps(VECTORS[n].tolist())}" for n, t in enumerate(TICKETS)]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    result = cluster(tmp_path / "in.csv", text=[])
    result.write_back(tmp_path / f"out.{ending}")

    text = (tmp_path / f"out.{ending}").read_text("utf-8-sig").splitlines()
    back = list(csv.DictReader(text, delimiter="\t" if ending == "tsv" else ";"))
    assert [row["price"] for row in back] == [prices[n % 4] for n in range(COUNT)]
    for row, place in zip(back, result.clustering.coordinates, strict=True):  # type: ignore[arg-type]
        assert [row["x"], row["y"]] == [_digits(item).replace(".", mark) for item in place]
    if ending == "csv":
        again = cluster(tmp_path / "out.csv", text=[])
        again.write_back(tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_a_spreadsheet_reads_it_as_unicode_and_runs_nothing(tmp_path: Path) -> None:
    """Excel takes a CSV file without the mark for another encoding; a label that looks like a formula is text."""
    from dataclasses import replace

    result = cluster(as_parquet(tmp_path, rows()))
    analysis = result.clustering.analysis
    named = [replace(cluster, label=f"=cmd|'/C calc'!A{n}") for n, cluster in enumerate(analysis.clusters)]
    evil = replace(result.clustering, analysis=replace(analysis, clusters=named))
    result = replace(result, clustering=evil)
    result.write_back(tmp_path / "out.csv")
    result.write_back(tmp_path / "out.jsonl")

    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    labels = {row["cluster_label"] for row in read(tmp_path / "out.csv")} - {""}
    assert labels == {f"'=cmd|'/C calc'!A{n}" for n in range(3)}
    assert {row["cluster_label"] for row in read(tmp_path / "out.jsonl")} == {None, *(item.label for item in named)}
    assert [row["note"] for row in read(tmp_path / "out.csv")] == [row["note"] or "" for row in rows()]


def test_a_file_that_changed_meanwhile_is_not_written(tmp_path: Path) -> None:
    result = cluster(as_csv(tmp_path, rows()))
    for changed in (rows()[:-1], [*rows(), {**rows()[0], "ticket": 1}]):
        as_csv(tmp_path, changed)
        with pytest.raises(InvalidField, match="modified after it was read"):
            result.write_back(tmp_path / "out.csv")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["docs.csv"]


@pytest.mark.parametrize("format", INPUTS)
def test_a_file_with_other_rows_of_the_same_number_is_not_written(format: str, tmp_path: Path) -> None:
    path = INPUTS[format](tmp_path, rows())
    result = cluster(path)
    time.sleep(0.02)  # longer than the clock of any file system takes for a tick
    INPUTS[format](tmp_path, rows()[::-1])

    with pytest.raises(InvalidField, match="was modified after it was read"):
        result.write_back(tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    result = cluster(as_csv(tmp_path, rows()))
    left, other, living = (
        tmp_path / name for name in (".o.csv.0123456789ab.part", ".p.csv.0123456789ab.part", ".o.csv.ba9876543210.part")
    )
    for path in (left, other, living):
        path.write_text("half")
    with living.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result.write_back(tmp_path / "o.csv")

    assert not left.exists() and other.exists() and living.exists()


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl"])
def test_columns_are_left_out_on_demand(format: str, ending: str, tmp_path: Path) -> None:
    result = cluster(INPUTS[format](tmp_path, rows()), without=["embedding, note"])
    result.write_back(tmp_path / f"out.{ending}")

    names = [name for name in rows()[0] if name not in ("embedding", "note")]
    assert {tuple(row) for row in read(tmp_path / f"out.{ending}")} == {(*names, *RESULT_COLUMNS)}
    with pytest.raises(InvalidField, match=r"--without: the file.*Did you mean 'embedding'"):
        cluster(INPUTS[format](tmp_path, rows()), without=["embeding"])


def test_python_writes_a_file_back_as_the_command_does(tmp_path: Path) -> None:
    source = as_csv(tmp_path, rows())
    how: Json = {"text": "body", "id": "ticket", "algorithm": "kmeans", "n_clusters": 3}
    clustering = shoal.cluster(source, **how)
    cluster(source, text=["body"]).write_back(tmp_path / "command.csv")

    assert clustering.write(tmp_path / "python.csv") == tmp_path / "python.csv"
    assert read(tmp_path / "python.csv") == read(tmp_path / "command.csv")
    clustering.write(str(tmp_path / "python.csv"), without=["embedding"])
    assert "embedding" not in read(tmp_path / "python.csv")[0]
    with pytest.raises(Conflict, match="your file stays as it is"):
        clustering.write(source, overwrite=True)
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Conflict, match=r"path: .*give overwrite=True"):
        clustering.write(tmp_path / "mine.csv")
    with pytest.raises(InvalidField, match=r"without: the file.*Did you mean 'note'"):
        clustering.write(tmp_path / "new.csv", without=["not"])
    loaded = shoal.load(clustering.save(tmp_path / "found"))
    for other in (
        loaded,
        pickle.loads(pickle.dumps(clustering)),
        shoal.cluster(VECTORS, algorithm="kmeans", n_clusters=3),
    ):
        with pytest.raises(InvalidField, match=r"holds no rows to write back.*to_pandas"):
            other.write(tmp_path / "new.csv")


def test_python_writes_a_table_in_memory_with_its_clusters(tmp_path: Path) -> None:
    own = [row for n, row in enumerate(rows()) if n not in (NO_VECTOR, ALL_ZERO)]
    clustering = shoal.cluster(pa.Table.from_pylist(own), id="ticket", algorithm="kmeans", n_clusters=3)
    clustering.write(tmp_path / "out.parquet")

    back = read(tmp_path / "out.parquet")
    assert [{name: row[name] for name in own[0]} for row in back] == own
    assert [row["cluster_id"] for row in back] == clustering.members()["cluster_id"].to_pylist()


def test_kept_columns_are_in_the_members_table(tmp_path: Path) -> None:
    for write in (as_parquet, as_csv, as_json_lines):
        rows_ = [{**row, "x": n, "a,b": n} for n, row in enumerate(rows())]
        clustering = cluster(write(tmp_path, rows_), member_columns=["zip,price", "x", "a,b"])
        members = clustering.clustering.members()

        assert members.column_names[-4:] == ["zip", "price", "file_x", "a,b"]
        inside = [row for n, row in enumerate(rows_) if n not in (NO_VECTOR, ALL_ZERO)]
        for name in ("zip", "price", "a,b"):
            assert members[name].to_pylist() == [row[name] for row in inside]
        assert members["file_x"].to_pylist() == [row["x"] for row in inside]
    with pytest.raises(InvalidField, match=r"has no column 'ziip'.*Did you mean 'zip'"):
        cluster(as_parquet(tmp_path, rows()), member_columns=["ziip"])


REFUSED: dict[str, tuple[str, list[str], str]] = {
    "the file itself": ("docs.csv", ["docs.csv"], "your file stays as it is"),
    "by another name": ("sub/../docs.csv", ["docs.csv"], "your file stays as it is"),
    "by a link": ("link.csv", ["docs.csv"], "your file stays as it is"),
    "in the folder that is read": ("sub/new.parquet", ["sub"], "your file stays as it is"),
    "where the pattern would find it": ("sub/new.parquet", ["sub/*.parquet"], "your file stays as it is"),
    "the sidecar": ("docs.csv", ["v.npy", "docs.csv"], "your file stays as it is"),
    "another file": ("other.csv", ["docs.csv"], "--overwrite"),
    "a folder": ("folder.csv", ["docs.csv"], "is a folder"),
    "no folder": ("nowhere/new.csv", ["docs.csv"], "there is no folder"),
    "no format": ("new.xlsx", ["docs.csv"], ".csv, .tsv, .jsonl"),
    "no ending": ("new", ["docs.csv"], ".csv, .tsv, .jsonl"),
    "a packed table": ("new.parquet.gz", ["docs.csv"], ".csv, .tsv, .jsonl"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_of_the_callers_is_overwritten(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, sources, remedy = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    for name in ("sub", "folder.csv"):
        Path(name).mkdir()
    for name in ("docs.csv", "other.csv", "sub/a.parquet", "v.npy"):
        Path(name).write_text("a,b\n1,2\n")
    Path("link.csv").symlink_to("docs.csv")

    with pytest.raises((Conflict, InvalidField)) as refused:
        check_target(Path(target), [Path(source) for source in sources], overwrite=False)

    assert remedy in refused.value.message
    if remedy == "your file stays as it is":
        with pytest.raises(Conflict):
            check_target(Path(target), [Path(source) for source in sources], overwrite=True)
    if case == "another file":
        check_target(Path(target), [Path(source) for source in sources], overwrite=True)


@pytest.mark.parametrize("ending", OUTPUTS)
def test_a_second_run_replaces_the_columns_of_the_first(ending: str, tmp_path: Path) -> None:
    source = as_csv(tmp_path, rows())
    result, path = cluster(source), tmp_path / f"out.{ending}"
    result.write_back(path)
    check_target(path, [source], overwrite=False)
    before = read(path)
    result.write_back(path)

    assert read(path) == before


FOREIGN = {
    "a header like ours": "cluster_id,cluster_label,strength\n1,my hand label,3\n",
    "a column behind ours": "cluster_id,cluster_label,strength,note\ncl_1,my hand label,3,precious\n",
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_file_with_our_header_is_not_replaced(case: str, tmp_path: Path) -> None:
    source, path = as_csv(tmp_path, rows()), tmp_path / "mine.csv"
    path.write_text(FOREIGN[case])

    with pytest.raises(Conflict, match=r"--overwrite"):
        check_target(path, [source], overwrite=False)


@pytest.mark.parametrize("ending", OUTPUTS)
def test_earlier_output_with_columns_added_since_is_not_replaced(ending: str, tmp_path: Path) -> None:
    """Neither behind the columns of results nor before them; in the second case reading the source shows it."""
    source, path = as_csv(tmp_path, rows()), tmp_path / f"out.{ending}"
    longer = [{"reviewed_by": "me", **row} for row in rows()]
    cluster(as_json_lines(tmp_path, longer)).write_back(path)
    before = path.read_bytes()

    with pytest.raises(Conflict, match=r"columns that the rows to be written do not have.*--overwrite"):
        cluster(source, replaces=path)
    clustering = shoal.cluster(source, text="body", id="ticket", algorithm="kmeans", n_clusters=3)
    with pytest.raises(Conflict, match=r"overwrite=True"):
        clustering.write(path)

    assert path.read_bytes() == before
    clustering.write(path, overwrite=True)
    cluster(source, replaces=path).write_back(path)
    clustering.write(path)
    assert "reviewed_by" not in read(path)[0]


def test_a_large_file_is_held_in_stretches(tmp_path: Path) -> None:
    """The writers keep no more than about 64 MiB: a Parquet file has several row groups, none of them tiny."""
    schema = pa.schema([("text", pa.string())])
    batch = pa.record_batch([pa.array(["x" * 1000] * 8192)], schema=schema)
    with (tmp_path / "out.parquet").open("wb") as file:
        writer = open_writer(file, tmp_path / "out.parquet", schema)
        before = pa.total_allocated_bytes()
        for _ in range(30):
            writer.write(batch.slice(0))
        writer.close()
        assert pa.total_allocated_bytes() - before < 2 * 64 * 2**20

    groups = pq.ParquetFile(tmp_path / "out.parquet").metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [8 * 8192 + 8192] * 3 + [3 * 8192]
