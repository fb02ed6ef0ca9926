"""Where the documents of a run are on the map that people see, so that the next one can look like it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.errors import NotFound
from shoal.records.scope import Scope
from shoal.runs.input import RunInput
from shoal.storage.protocols.artifacts import ArtifactStore

__all__ = ["rows_in", "with_places"]

_BETWEEN = "\0"
"""Stands in no id."""


def with_places(source: RunInput, artifacts: ArtifactStore, scope: Scope, run_id: str | None) -> RunInput:
    """The input with the places its documents have on the map of that run; as it is where there is none."""
    if run_id is None:
        return source
    try:
        members = artifacts.read(scope, run_id, "members")
    except NotFound:
        return source
    parts = {feature: _with(part, _of(members, feature)) for feature, part in source.parts.items()}
    return replace(_with(source, members) if not parts else source, parts=parts)


def _of(members: pa.Table, feature: str) -> pa.Table:
    if "feature" not in members.column_names:
        return members
    return members.filter(pc.equal(members["feature"].cast(pa.string()), feature))


def _with(source: RunInput, members: pa.Table) -> RunInput:
    axes = [axis for axis in "xyz" if axis in members.column_names]
    if not axes:
        return source
    old = rows_in(members, source)
    places = np.stack([members[axis].to_numpy() for axis in axes], axis=1).astype(np.float32)
    places = np.vstack([places, np.full((1, len(axes)), np.nan, np.float32)])
    return replace(source, places_before=np.ascontiguousarray(places[old]))


def rows_in(members: pa.Table, source: RunInput) -> NDArray[np.int64]:
    """(n,) the row of each document in a table of members, -1 where it is not in it."""
    told = pc.binary_join_element_wise(
        members["collection_id"].cast(pa.string()), members["document_id"].cast(pa.string()), _BETWEEN
    )
    own = pc.binary_join_element_wise(pa.array(source.collection_ids, pa.string()), pa.array(source.ids), _BETWEEN)
    found = pc.index_in(own, value_set=told.combine_chunks() if isinstance(told, pa.ChunkedArray) else told)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)
