"""CSV files: nothing is guessed against its writing."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shoal.errors import InvalidField
from shoal.files import Source, open_source


def written(folder: Path, values: list[str], name: str = "x.csv") -> Path:
    path = folder / name
    path.write_text("id,value,embedding\n" + "".join(f'{n},{value},"[{n}, 1]"\n' for n, value in enumerate(values)))
    return path


def values(source: Source) -> list[Any]:
    return [orjson.loads(p)["value"] for batch in source.batches() for p in batch.payloads]


@pytest.mark.parametrize(
    "texts",
    [
        ["01234", "10115"],
        ["10115", "01234"],
        ["007", "7"],
        ["+49301234", "49"],
        ["1e5", "2"],
        ["1E5", "2.5"],
        ["1_000", "1000"],
        ["NaN", "1"],
        ["nan", "nan"],
        ["inf", "1.5"],
        ["9007199254740993", "1"],
        ["12345678901234567890", "1"],
        ["0.1234567890123456789", "0.5"],
        ["1.10", "1.9"],
        ["1.0", "1"],
        ["-0", "1"],
        [".5", "1.5"],
        ["5.", "1.5"],
        [" 5", "6"],
        ["0x10", "1"],
        ["2024-01-01", "2024-12-31"],
        ["12:30", "13:00"],
        ["true", "yes"],
        ["true", "True"],
        ["NA", "DE"],
        ["null", "x"],
        ["1", "two"],
    ],
)
def test_numbers_that_would_not_round_trip_stay_text(texts: list[str], tmp_path: Path) -> None:
    assert values(open_source(written(tmp_path, texts))) == texts


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "-20", "0"], [1, -20, 0]),
        (["9007199254740992", "1"], [2**53, 1]),
        (["1", "2.5", "-0.25"], [1.0, 2.5, -0.25]),
        (["1.0", "2.5"], [1.0, 2.5]),
        (["1e-07", "2.5"], [1e-7, 2.5]),
        (["1.50", "12.00", "-3.25"], [1.5, 12.0, -3.25]),
        (["0.1234567890123456", "0.5"], [0.1234567890123456, 0.5]),
        (["1", "", "3"], [1, None, 3]),
        (["true", "false", ""], [True, False, None]),
        (["True", "False"], [True, False]),
        (["", ""], ["", ""]),
    ],
)
def test_numbers_and_booleans_in_canonical_form_are_typed(
    texts: list[str], expected: list[Any], tmp_path: Path
) -> None:
    source = values(open_source(written(tmp_path, texts)))

    assert source == expected
    assert [type(value) for value in source] == [type(value) for value in expected]


def test_one_value_in_the_last_rows_decides_for_all(tmp_path: Path) -> None:
    texts = [str(n) for n in range(30_000)] + ["0030000"]
    long = [f"{text}" for text in texts]
    path = tmp_path / "x.csv"
    path.write_text("id,value,pad,embedding\n" + "".join(f'{n},{v},{"p" * 800},"[1, 2]"\n' for n, v in enumerate(long)))

    assert path.stat().st_size > 16 * 2**20  # more than one block
    assert values(open_source(path)) == texts


def test_a_marker_among_numbers_is_reported(tmp_path: Path) -> None:
    source = open_source(written(tmp_path, ["1.5", "NA", "2.5"]))

    assert values(source) == ["1.5", "NA", "2.5"]
    assert any("'value' holds numbers and 'NA'" in warning for warning in source.info.warnings)
    assert not any("'value'" in w for w in open_source(written(tmp_path, ["DE", "NA"])).info.warnings)


@pytest.mark.parametrize(("delimiter", "name"), [(";", "x.csv"), ("\t", "x.csv"), ("|", "x.csv"), (",", "x.tsv")])
def test_the_delimiter_is_detected(delimiter: str, name: str, tmp_path: Path) -> None:
    rows = [["id", "value", "embedding"], ["a", '"one; two,\tthree|"', '"[1, 2]"'], ["b", "x", '"[3, 4]"']]
    (tmp_path / name).write_text("".join(delimiter.join(row) + "\n" for row in rows))
    source = open_source(tmp_path / name)

    assert values(source) == ["one; two,\tthree|", "x"]
    assert source.read().ids == ["a", "b"]


def test_a_file_of_one_column_is_not_torn(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text\nhello; there\nyou\n")
    source = open_source(tmp_path / "x.csv", needs_vectors=False)

    assert source.info.columns == ["text"]


@pytest.mark.parametrize("row", [0, 2])
def test_invalid_utf8_is_reported(row: int, tmp_path: Path) -> None:
    lines = [f'{n},{"Zoë" if n == row else "x"},"[1, 2]"\n' for n in range(4)]
    (tmp_path / "x.csv").write_bytes(("id,name,embedding\n" + "".join(lines)).encode("latin-1"))
    with pytest.raises(InvalidField) as refused:
        open_source(tmp_path / "x.csv")

    assert refused.value.field == f"x.csv: row {row} (line {row + 2}), column 'name'"
    assert "is not UTF-8 text" in refused.value.message
    assert "--encoding cp1252" in refused.value.message


def test_a_column_for_each_dimension_is_read_however_it_is_written(tmp_path: Path) -> None:
    block = np.random.default_rng(0).normal(size=(5, 8))
    for form in ("%.18e", "%.2f", "%r"):
        lines = [",".join([f"d{n}", *(form % value for value in row.tolist())]) for n, row in enumerate(block)]
        (tmp_path / "x.csv").write_text(",".join(["id", *map(str, range(8))]) + "\n" + "\n".join(lines) + "\n")
        read = open_source(tmp_path / "x.csv").read()

        assert read.ids == [f"d{n}" for n in range(5)]
        assert np.allclose(read.vectors["vector"], block, atol=0.006)


def test_numbers_in_several_notations_are_reported(tmp_path: Path) -> None:
    source = open_source(written(tmp_path, ["1.50", "2", "3.25"]))

    assert values(source) == ["1.50", "2", "3.25"]
    assert any("'value' holds numbers in several notations, one of them '2'" in w for w in source.info.warnings)
    for texts in (["1.50", "2.25"], ["1", "2.5"], ["007", "8"], ["1.50", "two"], ["true", "2"], ["+1", "2"]):
        warnings = open_source(written(tmp_path, texts)).info.warnings
        assert not any("'value'" in warning for warning in warnings), texts


def test_a_column_that_is_a_dimension_of_a_vector_may_be_written_as_it_likes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,v_0,v_1\na,1.50,0.25\nb,2,0.5\n")

    source = open_source(path)

    assert dict(source.info.vectors) == {"v": 2}
    assert not any("several notations" in warning for warning in source.info.warnings)


def test_a_row_that_no_block_holds_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id,t,embedding\n1,a,"[1, 2]"\n2,"' + "x" * 17_000_000 * 2 + '\n3,c,"[1, 2]"\n')
    with pytest.raises(InvalidField, match=r"x.csv: line 3: has a row of more than 16.0 MiB. Close a quote"):
        open_source(tmp_path / "x.csv")


def test_a_header_that_is_no_header_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id," + "t" * 200_000 + ",embedding\n")
    with pytest.raises(InvalidField, match=r"x.csv: line 1: has a name of more than 131,072 characters"):
        open_source(tmp_path / "x.csv")


def test_json_that_is_not_utf8_is_named_as_that(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes('{"id": 1, "t": "Grün", "v": [1, 2]}\n'.encode("latin-1") * 2)
    with pytest.raises(InvalidField, match=r"x.jsonl: row 0 \(line 1\): is not UTF-8 text. Set its encoding"):
        open_source(tmp_path / "x.jsonl")
