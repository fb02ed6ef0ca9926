"""The mark of the fractions in a delimited file, from its own columns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shoal.errors import InvalidField
from shoal.files import open_source
from shoal.files.columnar.vector_forms import parse_vector
from shoal.files.csv_text.decimal_mark import detect_decimal_mark


@pytest.mark.parametrize(
    ("columns", "mark"),
    [
        ((["1.234", "22.500"], ["0,5", "1,25"]), ","),  # Umsatz, Anteil
        ((["1.234", "56"], ["1,5", ""]), ","),
        ((["0,5", "1,25"], ["1.234.567,5", "1.234"]), ","),
        ((["1,234", "22,500"], ["0.5", "1.25"]), "."),
        ((["1,234", "22,500"], ["0.1234", "7"]), "."),
        ((["1.234", "2.345"],), "."),
        ((["1,234", "2,345"],), ","),
        ((["1.234"], ["1,234"]), "."),
        ((["1.234"], ["0,125", "-0,250"]), ","),
        ((["1.234"], ["12345,678", "1"]), ","),
        ((["1.234"], ["1.234,567"]), ","),
        ((["1,234"], ["0.125"]), "."),
        ((["0.5"], ["0,5"]), "."),
        ((["a", "b"],), "."),
    ],
)
def test_groups_of_three_digits_decide_only_where_no_fraction_does(columns: Sequence[list[str]], mark: str) -> None:
    longest = max(map(len, columns))
    columns = [[*column, *[""] * (longest - len(column))] for column in columns]
    rows = pa.RecordBatch.from_pydict({f"c{n}": pa.array([*column]) for n, column in enumerate(columns)})

    assert detect_decimal_mark(rows) == mark


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[0,05570; -0,03445; 1]", [0.0557, -0.03445, 1]),
        ("0,5;-0,25;", [0.5, -0.25]),
        ("[0,5 -0,25\n 1,5e-3]", [0.5, -0.25, 0.0015]),
        ("[0,5, 0,05]", [0.5, 0.05]),
        ("[1, 2, 3]", [1, 2, 3]),
        ("[1,2]", [1, 2]),
        ("1;2;3", [1, 2, 3]),
        ("[0.1,0.2;0.3,0.4]", [0.1, 0.2, 0.3, 0.4]),
        ("[0,5,0,05]", None),
    ],
)
def test_a_comma_is_a_decimal_mark_where_something_else_separates_the_numbers(
    text: str, numbers: list[float] | None
) -> None:
    assert parse_vector(text) == numbers


@pytest.mark.parametrize("between", ["; ", ";", " ", ", "])
def test_vectors_with_decimal_commas_have_as_many_numbers_as_with_points(between: str, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(0, 0.05, (20, 16)).round(5)
    written = [between.join(f"{number:.5f}".replace(".", ",") for number in vector) for vector in vectors]
    lines = ["id;text;embedding", *(f'T{row};hello;"[{item}]"' for row, item in enumerate(written))]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    source = open_source(tmp_path / "x.csv")

    read = np.concatenate([batch.vectors["embedding"].values for batch in source.batches()])
    assert source.info.vectors == {"embedding": 16}
    assert np.allclose(read, vectors, atol=1e-7)


def test_vectors_whose_decimal_commas_also_separate_the_numbers_are_refused(tmp_path: Path) -> None:
    rows = "".join(f'T{row};"[0,5,0,05,0,07]"\n' for row in range(3))
    (tmp_path / "x.csv").write_text("id;embedding\n" + rows)
    with pytest.raises(InvalidField, match=r"embedding.*is not a vector, got '\[0,5,0,05,0,07\]'.*\[0,1; 0,2\]"):
        open_source(tmp_path / "x.csv", vector_columns=["embedding"])
