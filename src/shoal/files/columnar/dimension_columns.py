"""Tables with one column per dimension of a vector: `emb_0`, `emb_1`, …, or `0`, `1`, …"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.files.columnar.vector_forms import is_number
from shoal.files.faults import find_first_invalid
from shoal.records.documents.vectors import Place
from shoal.tables import is_text

__all__ = ["find_groups", "gather_groups"]

_NUMBERED: Final = re.compile(r"(.*?)(?:[_.\- ]?(\d{1,6})|\[(\d{1,6})\])", re.DOTALL)
_UNNAMED: Final = "vector"


def find_groups(sample: pa.RecordBatch) -> dict[str, list[str]]:
    """Return the columns of each vector in the order of its dimensions, by their common prefix.

    Such columns hold numbers, at least some of them fractional, and are numbered without a gap from 0 or 1. Numbers
    written as text count, since a text file may hold them.
    """
    numbered: dict[str, dict[int, str]] = {}
    for name in sample.schema.names:
        match = _NUMBERED.fullmatch(name)
        if match is not None:
            numbered.setdefault(match[1] or _UNNAMED, {}).setdefault(int(match[2] or match[3]), name)
    groups = {}
    for prefix, columns in numbered.items():
        numbers = sorted(columns)
        consecutive = numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1
        if (
            consecutive
            and len(numbers) > 1
            and prefix not in sample.schema.names
            and _are_numbers(sample, columns.values())
        ):
            groups[prefix] = [columns[number] for number in numbers]
    return groups


def gather_groups(batch: pa.RecordBatch, groups: Mapping[str, Sequence[str]], place: Place) -> pa.RecordBatch:
    """Replace each group of columns by one column of lists.

    Raises InvalidField naming row and column for text that is not a number.
    """
    if not groups:
        return batch
    inside = {name for columns in groups.values() for name in columns}
    columns_by_name = {name: column for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    gathered = {name: column for name, column in columns_by_name.items() if name not in inside}
    for prefix, columns in groups.items():
        if all(name in columns_by_name for name in columns):
            gathered[prefix] = _stack_columns([(name, columns_by_name[name]) for name in columns], len(batch), place)
    return pa.RecordBatch.from_pydict(gathered)


def _are_numbers(sample: pa.RecordBatch, names: Iterable[str]) -> bool:
    columns = [sample.column(name) for name in names]
    if not all(is_number(column.type) or (is_text(column.type) and _is_numeric(column)) for column in columns):
        return False
    return any(not pa.types.is_integer(column.type) for column in columns)


def _is_numeric(column: pa.Array) -> bool:
    try:
        _to_floats(column)
    except pa.ArrowInvalid:
        return False
    return True


def _to_floats(column: pa.Array) -> pa.Array:
    if is_text(column.type):
        column = pa.array([text.strip() or None if text else None for text in column.to_pylist()], pa.large_string())
        if not pc.any(pc.match_substring(column, ".")).as_py():
            column = pc.replace_substring(column, ",", ".")  # a decimal comma
    return column.cast(pa.float64(), safe=False)


def _stack_columns(columns: Sequence[tuple[str, pa.Array]], count: int, place: Place) -> pa.Array:
    """Build one list per row; null where every number in the row is null."""
    numbers: NDArray[np.float64] = np.empty((count, len(columns)))
    gaps = np.empty((count, len(columns)), np.bool_)
    for number, (name, column) in enumerate(columns):
        if is_text(column.type) and not _is_numeric(column):
            row = find_first_invalid(column, _is_numeric)
            value = column[row].as_py()
            raise InvalidField(
                f"{place(row)}, column {name!r}", "is not a number", value=value, remedy="Write it as 0.5."
            )
        floats = _to_floats(column)
        numbers[:, number] = floats.fill_null(0).to_numpy(zero_copy_only=False)
        gaps[:, number] = floats.is_null().to_numpy(zero_copy_only=False)
    flat = pa.array(numbers.ravel(), mask=gaps.ravel())
    return pa.FixedSizeListArray.from_arrays(flat, len(columns), mask=pa.array(gaps.all(axis=1)))
