"""The mark of the fractions in a delimited file, from its own columns."""

from collections.abc import Sequence

import pyarrow as pa
import pytest

from shoal.files.decimal_mark import decimal_mark


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

    assert decimal_mark(rows) == mark
