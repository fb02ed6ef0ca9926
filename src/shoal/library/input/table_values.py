"""One value per row of what is passed as a column, also of a table that is passed as one."""

from collections.abc import Iterable

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.labeling import document_text
from shoal.library.input.frames import is_pandas, is_polars, read_frame

__all__ = ["flatten_ids", "flatten_texts"]


def flatten_texts(values: Iterable[object] | None) -> Iterable[object] | None:
    """Return one text per row, also from the columns of a table."""
    columns = _frame_columns(values)
    if columns is None or len(columns) == 1:
        return values if columns is None else columns[0]
    return [document_text(row) for row in zip(*columns, strict=True)]


def flatten_ids(values: Iterable[object] | None) -> Iterable[object] | None:
    """Return one id per row, also from a table of one column."""
    columns = _frame_columns(values)
    if columns is None or len(columns) == 1:
        return values if columns is None else columns[0]
    raise InvalidField("id", f"is a table of {len(columns)} columns", remedy="Ids are in a single column.")


def _frame_columns(values: Iterable[object] | None) -> list[list[object]] | None:
    """Return the columns of a data frame that is passed as values; None for anything else."""
    if not (is_pandas(values) or is_polars(values) or isinstance(values, pa.Table)):
        return None
    frame = read_frame(values)
    assert frame is not None, "a data frame has columns"
    names = [name for name in frame.columns if name not in frame.levels]
    return [frame.table[name].to_pylist() for name in names]
