"""The labels of clusters in the tables of a run."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.records.clusters.label_source import Representative
from shoal.records.runs.execution import PERSON_LABEL

__all__ = ["label_fields", "set_labels"]


def label_fields(
    row: Mapping[str, Any], collection_of: Callable[[str], str | None], *, by_person: bool = False
) -> dict[str, Any]:
    """Return the summary of a row of clusters, and where its label comes from.

    Tables of earlier versions have none of it. `collection_of` returns the collection of a document.
    """
    details = row.get("label_details")
    fields = {
        "summary": row.get("summary"),
        "label_source": row.get("label_source") or ("value" if row.get("attributes") else "words"),
        "label_model": row.get("label_model"),
        "label_score": row.get("label_score"),
        "label_coverage": row.get("label_coverage"),
        "label_evidence": [
            Representative(document_id=id, collection_id=collection_of(id)) for id in row.get("label_evidence") or ()
        ],
        "label_details": None if details is None else orjson.loads(details),
    }
    return {**fields, **PERSON_LABEL} if by_person else fields


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
