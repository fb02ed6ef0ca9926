"""Detects the decimal mark of a delimited file: a point, or a comma as in German or French."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.tables import is_text

__all__ = ["detect_decimal_mark"]

_COMMA: Final = r"^[-+]?([0-9]+|[0-9]{1,3}([. ][0-9]{3})+)(,[0-9]+)?$"
_POINT: Final = r"^[-+]?([0-9]+|[0-9]{1,3}([, ][0-9]{3})+)(\.[0-9]+)?$"
_SURE: Final = r"{m}([0-9]{{1,2}}|[0-9]{{4,}})$|^[-+]?(0+|[0-9]{{4,}}){m}|[., ][0-9]{{3}}{m}[0-9]+$"
"""A mark that can only be decimal: thousands come in groups of three, do not start with 0, and use one mark."""
_ANY: Final = r"{m}[0-9]+$"


def detect_decimal_mark(rows: pa.RecordBatch) -> str:
    """Return the decimal mark of these rows, whose columns hold the raw text.

    It is a comma where a column holds nothing but numbers with a comma, and no column such numbers with a point. Three
    digits after a mark may be thousands ("1.234"), so such a column decides only where no other does.
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
    all_match = pc.all(pc.match_substring_regex(filled, pattern), min_count=1).as_py()
    return bool(all_match) and bool(pc.any(pc.match_substring_regex(filled, mark)).as_py())
