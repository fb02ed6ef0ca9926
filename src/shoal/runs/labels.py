"""The labels of clusters in the tables of a run."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["set_labels"]


def set_labels(table: pa.Table, labels: Mapping[str, str], column: str = "cluster_label") -> pa.Table:
    """Set labels of clusters, by id, in a column of a table; other clusters keep theirs."""
    if not labels:
        return table
    ids = table["cluster_id"].cast(pa.string()).combine_chunks()
    new = pc.take(pa.array(labels.values(), pa.string()), pc.index_in(ids, value_set=pa.array(labels.keys())))
    old = table[column]
    values = pc.coalesce(new, old.cast(pa.string()).combine_chunks())
    if pa.types.is_dictionary(old.type):
        values = values.dictionary_encode()
    return table.set_column(table.schema.get_field_index(column), column, values)
