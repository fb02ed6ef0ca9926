"""The coordinates of documents on the visible map, so that the next map can resemble it."""

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
"""A separator that occurs in no id."""


def with_places(source: RunInput, artifacts: ArtifactStore, scope: Scope, run_id: str | None) -> RunInput:
    """Add the coordinates of the documents on the map of a run, if it has one."""
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
    """Return (n,) the row of each document in a table of members, -1 if it is missing."""
    members_keys = pc.binary_join_element_wise(
        members["collection_id"].cast(pa.string()), members["document_id"].cast(pa.string()), _BETWEEN
    )
    own = pc.binary_join_element_wise(pa.array(source.collection_ids, pa.string()), pa.array(source.ids), _BETWEEN)
    rows = pc.index_in(
        own, value_set=members_keys.combine_chunks() if isinstance(members_keys, pa.ChunkedArray) else members_keys
    )
    return np.asarray(pc.fill_null(rows, -1).to_numpy(zero_copy_only=False), np.int64)
