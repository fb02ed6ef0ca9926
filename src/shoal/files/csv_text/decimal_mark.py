"""Which mark the fractions of a delimited file have: a point, or a comma as in German or French."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.tables import is_text

__all__ = ["decimal_mark"]

_COMMA: Final = r"^[-+]?([0-9]+|[0-9]{1,3}([. ][0-9]{3})+)(,[0-9]+)?$"
_POINT: Final = r"^[-+]?([0-9]+|[0-9]{1,3}([, ][0-9]{3})+)(\.[0-9]+)?$"
_SURE: Final = r"{m}([0-9]{{1,2}}|[0-9]{{4,}})$|^[-+]?(0+|[0-9]{{4,}}){m}|[., ][0-9]{{3}}{m}[0-9]+$"
"""A mark that can only be that of a fraction: thousands come in threes, begin with no 0, and have one mark."""
_ANY: Final = r"{m}[0-9]+$"


def decimal_mark(rows: pa.RecordBatch) -> str:
    """The mark of the fractions in these rows, whose columns are text as it is written.

    It is a comma where a column holds numbers with a comma and nothing else, and no column such with a point. Three
    digits behind a mark may be thousands ("1.234"), so a column decides by them only where no other column does.
    """
    columns = [column for column in rows.columns if is_text(column.type)]
    for fraction in (_SURE, _ANY):
        if any(_are_fractions(column, _POINT, fraction.format(m=r"\.")) for column in columns):
            return "."
        if any(_are_fractions(column, _COMMA, fraction.format(m=",")) for column in columns):
            return ","
    return "."


def _are_fractions(column: pa.Array, pattern: str, mark: str) -> bool:
    filled = column.filter(pc.and_kleene(column.is_valid(), pc.not_equal(column, "")))
    every = pc.all(pc.match_substring_regex(filled, pattern), min_count=1).as_py()
    return bool(every) and bool(pc.any(pc.match_substring_regex(filled, mark)).as_py())
