"""Parsing and meaning of `--where field=value`."""

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.cli.where import parse_where
from shoal.errors import InvalidField
from shoal.records.queries.filters import parse_filter
from shoal.storage.filters.to_mask import matches

Documents = list[dict[str, Any]]
DOCUMENTS: Documents = [
    {"n": 0, "lang": "en", "name": "a,b", "created": "2024-04-30T23:59:00Z", "score": 1.5, "seen": True},
    {"n": 1, "lang": "de", "name": "Hello, world", "created": "2024-05-01", "score": None, "seen": False},
    {"n": 2, "lang": "fr", "name": 'say "no"', "created": "2024-05-01T15:00:00Z", "year": 2020, "seen": "true"},
    {"n": 3, "lang": ["en", "it"], "name": "", "created": "2024-05-02T00:00:00Z", "year": "2020", "score": -3},
    {"n": 4, "lang": "pt br", "name": "null", "my field": "x", "info": {"note": "refund asked"}},
]


def select(*conditions: str) -> list[int]:
    filter = parse_filter(parse_where(list(conditions)), "--where")
    return [document["n"] for document in DOCUMENTS if matches(filter, document)]


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("lang=en", [0, 3]),
        ("lang==en", [0, 3]),
        (" lang = EN ", [0, 3]),
        ("lang=en,de", [0, 1, 3]),
        ("lang = en , fr", [0, 2, 3]),
        ('lang=["de", "fr"]', [1, 2]),
        ("lang!=en,de", [2, 4]),
        ("lang=pt br", [4]),
        ('name="a,b"', [0]),
        ("name='a,b'", [0]),
        ("name=Hello, world", [1]),
        (r'name="say \"no\""', [2]),
        ("""name='say "no"'""", [2]),
        ('name=""', [3]),
        ("name=null", []),
        ('name="null"', [4]),
        ("score=null", [1, 2, 4]),
        ("score!=null", [0, 3]),
        ("score=null,1.5", [0, 1, 2, 4]),
        ("score!=null,1.5", [3]),
        ("score>0", [0]),
        ("score<=-3", [3]),
        ("year=2020", [2, 3]),
        ('year="2020"', [3]),
        ("seen=true", [0, 2]),
        ("seen!=False", [0, 2, 3, 4]),
        ("created=2024-05-01", [1, 2]),
        ("created!=2024-05-01", [0, 3, 4]),
        ("created>=2024-05-01", [1, 2, 3]),
        ("created>2024-05-01", [3]),
        ("created<=2024-05-01", [0, 1, 2]),
        ("created<2024-05-01", [0]),
        ("created>2024-05-01T12:00:00Z", [2, 3]),
        ("created=2024-05-01,2024-05-02", [1, 2, 3]),
        ("created=2024-05", [1, 2, 3]),
        ("created<2024-05", [0]),
        ("created<=2024-05", [0, 1, 2, 3]),
        ("created>2024-04", [1, 2, 3]),
        ("name='rain and wind=bad'", []),
        ("'my field'=x", [4]),
        ("my field=x", [4]),
        ("info.note~REFUND", [4]),
        ("name~hello,say", [1, 2]),
    ],
)
def test_a_condition_selects_the_matching_rows(condition: str, rows: list[int]) -> None:
    assert select(condition) == rows


def test_several_conditions_all_hold() -> None:
    assert select("lang=en,de,fr", "created>=2024-05-01", "score=null") == [1, 2]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("lang", "field=value"),
        ("=en", "field=value"),
        ("lang=", "field=null"),
        ("lang=en,,de", "field=null"),
        ('name="a,b', "quote without an end"),
        ("year>2020,2021", "one value"),
        ("score>=10,5", "Write the number with a point: 10.5"),
        ("lang=en,2 and year=2020", "a --where of its own"),
        ("lang=en OR lang=de", "a --where of its own"),
        ("seen>true", "a number, a date or a text"),
        ("score>null", "a number, a date or a text"),
        ("created>=01.05.2024", "Write dates as 2024-05-01"),
        ("created>=5/1/2024", "Write dates as 2024-05-01"),
        ("created>=2024-5-1", "Write dates as 2024-05-01"),
        ("created=2024-02-30", "Write dates as 2024-05-01"),
    ],
)
def test_an_ambiguous_condition_is_rejected_with_a_remedy(condition: str, message: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_where([condition])

    assert refused.value.field == "--where"
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("condition", "values"), [("True", [True, "True"]), ("FALSE", [False, "FALSE"]), ("7", [7, "7"])]
)
def test_a_python_boolean_matches_booleans_and_text(condition: str, values: list[object]) -> None:
    assert parse_where([f"seen={condition}"]) == {"field": "seen", "operator": "in", "value": values}


@pytest.mark.parametrize("number", ["12345678901234567890", "-99999999999999999999"])
def test_a_whole_number_beyond_64_bits_is_sought_as_the_text_that_files_hold(number: str) -> None:
    filter = parse_where([f"account={number}"])

    assert filter == {"field": "account", "operator": "eq", "value": number}
    parse_filter(filter, "--where")


@pytest.mark.process
@pytest.mark.parametrize(
    "text",
    [
        "{blanks}x",
        "x{blanks}y",
        'lang=a,{blanks}"',
        'lang=x{blanks}"y"',
        "lang=x and {blanks}!",
        "lang='{blanks}",
        "'{blanks}",
    ],
)
def test_parsing_time_does_not_grow_with_the_square_of_blanks(text: str) -> None:
    """In a separate process, because a backtracking pattern cannot be interrupted from Python. 200,000 blanks take
    milliseconds, but hours if the time is quadratic."""
    condition = text.format(blanks=" " * 200_000)
    lines = (
        "import sys",
        "from shoal.cli.where import parse_where as parse",
        "from shoal.errors import InvalidField",
    )
    code = "\n".join((*lines, "try: parse([sys.stdin.read()])", "except InvalidField: pass"))

    subprocess.run([sys.executable, "-c", code], input=condition, text=True, check=True, timeout=20)


def file_of_documents(folder: Path) -> Path:
    columns = {
        "ticket": [1001 + n for n in range(12)],
        "lang": ["en", "de", "fr"] * 4,
        "price": ["12,50", "9,90", "n/a"] * 4,
        "day": [datetime.date(2024, 5, 1 + n) for n in range(12)],
        "seen": pa.array([datetime.datetime(2024, 5, 1 + n, 8) for n in range(12)], pa.timestamp("us", "UTC")),
        "sent": [f"0{1 + n % 9}/05/2024" for n in range(12)],
        "embedding": [[float(n % 3 == at) + n / 100 for at in range(3)] for n in range(12)],
    }
    pq.write_table(pa.table(columns), folder / "docs.parquet")
    return folder / "docs.parquet"


@pytest.mark.process
@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("langg=en", "names 'langg', which is not a column of the file"),
        ("Lang=en", "Did you mean 'lang'?"),
        ('{"field": "lagn", "operator": "eq", "value": "en"}', "'lagn'"),
        ("lang=sv", "lang has 'en', 'de', 'fr'"),
        ("price>10", "it holds '12,50', '9,90', 'n/a'"),
        ("day>10", "it holds '2024-05-01'"),
        ("sent>=2024-05-03", "it holds '01/05/2024'"),
        ("day>3 May 2024", "Write the date as 2024-05-01"),
        ("seen<May", "Write the date as 2024-05-01"),
    ],
)
def test_a_condition_that_does_not_fit_the_file_is_rejected_with_actual_values(
    condition: str, message: str, here: Any, tmp_path: Path
) -> None:
    done = here("cluster", file_of_documents(tmp_path), "--where", condition)

    assert done.code == 2
    assert done.complaint.startswith("shoal: --where: ")
    assert message in done.complaint


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("created=May", " created holds dates: write a day as 2024-05-01, and a month as 2024-05."),
        ("created=05.2026", " created holds dates: write a day as 2024-05-01, and a month as 2024-05."),
        ("created=2026-07", ""),
        ("priority=null", ' Empty cells are empty texts: priority="".'),
        ("priority=medium", ""),
    ],
)
def test_a_condition_that_matches_nothing_shows_how_values_are_written(
    condition: str, hint: str, here: Any, tmp_path: Path
) -> None:
    rows = ['a,2026-05-01T10:00:00Z,high,"[1, 2]"', 'b,2026-05-02T10:00:00Z,,"[2, 1]"']
    (tmp_path / "docs.csv").write_text("\n".join(["id,created,priority,embedding", *rows]))

    done = here("cluster", "docs.csv", "--where", condition)

    assert done.code == 2
    assert "matches none of 2 documents" in done.complaint
    assert done.complaint.rpartition("'.")[2].strip() == hint.strip()


@pytest.mark.process
@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("ticket>=1007", 6),
        ("ticket=1001,1002", 2),
        ("day<=2024-05-04", 4),
        ("seen<=2024-05-04", 4),
        ("seen=2024-05-02,2024-05-03", 2),
        ("lang=en,fr", 8),
    ],
)
def test_ids_dates_and_lists_select_rows_of_a_file(condition: str, count: int, here: Any, tmp_path: Path) -> None:
    path = file_of_documents(tmp_path)
    done = here("cluster", path, "--where", condition, "--algorithm", "kmeans", "--clusters", 2, "--out", "found")

    assert done.code == 0, done.err
    assert pq.read_table(tmp_path / "found" / "members.parquet").num_rows == count


def vector_rows(folder: Path, **columns: list[Any]) -> Path:
    """Write JSON lines of these values, each with a vector."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    lines = [json.dumps({**row, "embedding": [float(n % 3 == at) for at in range(3)]}) for n, row in enumerate(rows)]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder / "rows.jsonl"


@pytest.mark.parametrize(
    ("values", "condition"),
    [
        (["n/a"] * 3_000 + [float(n % 10) for n in range(1_000)], "v>5"),
        ([f"n/a {n}" for n in range(3_000)] + [float(n % 10) for n in range(1_000)], "v>5"),
        (["-"] * 3_000 + [f"2024-05-{1 + n % 10:02}" for n in range(1_000)], "v>2024-05-06"),
    ],
    ids=["one text", "many texts", "dates"],
)
def test_a_condition_is_checked_against_the_values_of_all_rows(
    values: list[Any], condition: str, here: Any, tmp_path: Path
) -> None:
    path = vector_rows(tmp_path, v=values)
    done = here("cluster", path, "--where", condition, "--algorithm", "kmeans", "--clusters", 2, "--out", "found")

    assert done.code == 0, done.err
    assert pq.read_table(tmp_path / "found" / "members.parquet").num_rows == 400


@pytest.mark.parametrize(
    ("condition", "months"),
    [
        ("month=2024-05", ["2024-05"]),
        ("month=2024-05,2024-06", ["2024-05", "2024-06"]),
        ("month!=2024-05", ["2023-12", "2024-04", "2024-06"]),
        ("month>=2024-05", ["2024-05", "2024-06"]),
        ("month>2024-05", ["2024-06"]),
        ("month<2024-05", ["2023-12", "2024-04"]),
        ("month<=2024-05", ["2023-12", "2024-04", "2024-05"]),
        ("month=2023-12", ["2023-12"]),
        ("month=2024-05-01", []),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_month_selects_from_a_column_of_months(
    condition: str, months: list[str], ending: str, here: Any, tmp_path: Path
) -> None:
    months_ = ["2023-12", "2024-04", "2024-05", "2024-06"] * 4
    path = vector_rows(tmp_path, month=months_, id=[f"{month} {n}" for n, month in enumerate(months_)])
    if ending == "csv":
        path = tmp_path / "rows.csv"
        lines = [f"{n},{month} {n},{month},[{n}.5 1]" for n, month in enumerate(months_)]
        path.write_text("n,id,month,embedding\n" + "\n".join(lines))
    done = here("cluster", path, "--where", condition, "--algorithm", "kmeans", "--clusters", 2, "--out", "found")

    if not months:
        assert done.code == 2
        return
    assert done.code == 0, done.err
    ids = pq.read_table(tmp_path / "found" / "members.parquet")["document_id"].to_pylist()
    assert sorted(ids) == sorted(f"{month} {n}" for n, month in enumerate(months_) if month in months)


@pytest.mark.process
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--clusters", "50"), "--clusters: "),
        (("--param", "n_inti=3"), "--param n_inti: "),
        (("--format", "exel"), "--format: "),
        (("--text", "titel"), "--text: "),
        (("--delimiter", "ab"), "--delimiter: "),
    ],
)
def test_an_error_names_the_option_as_typed(options: tuple[str, str], message: str, here: Any, tmp_path: Path) -> None:
    path = file_of_documents(tmp_path)
    if "--delimiter" in options:
        path = tmp_path / "docs.csv"
        path.write_text("id,embedding\n1,[0.5]\n")
    done = here("cluster", path, "--algorithm", "kmeans", *options)

    assert done.code == 2
    assert done.complaint.startswith(f"shoal: {message}")
