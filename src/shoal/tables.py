"""Arrow tables on their way out of Arrow."""

from typing import TypeVar

import pyarrow as pa

__all__ = ["decoded"]

_Table = TypeVar("_Table", pa.Table, pa.RecordBatch)


def decoded(table: _Table) -> _Table:
    """The same with plain columns for dictionary-encoded ones. Before rows become Python objects: Arrow would look each
    one up by itself, some thirty times slower."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
