"""Ids in the caller's type: inside Shoal an id is text, outside integers stay integers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.analysis.named_clusters import NamedCluster

__all__ = ["DocumentIds", "Id", "Ids"]

Id: TypeAlias = str | int
Ids: TypeAlias = NDArray[np.object_] | NDArray[np.int64] | NDArray[np.uint64]

_SINGLE: Final = ("document_id", "representative_id", "medoid_id")
_SEVERAL: Final = ("representative_ids", "exemplar_ids", "label_evidence")


@dataclass(frozen=True, slots=True)
class DocumentIds:
    """The ids of n documents as the caller wrote them.

    Parameters
    ----------
    values
        (n,) all text or all integers.
    type
        The Arrow type of a column of ids: string, int64, or uint64 where a number needs it.
    """

    values: Sequence[str] | Sequence[int]
    type: pa.DataType

    @classmethod
    def from_texts(cls, texts: Sequence[str], *, whole: bool) -> "DocumentIds":
        """Restore ids from text, `whole` where the caller passed integers. Numbers of more than 64 bits stay text."""
        if whole and len(texts):
            column = pa.array(texts, pa.string())
            for kind in (pa.int64(), pa.uint64()):
                try:
                    return cls(column.cast(kind).to_pylist(), kind)
                except pa.ArrowInvalid:
                    continue
        return cls(texts, pa.string())

    def to_array(self) -> Ids:
        """Return (n,) the ids as an array, which supports masks and positions: objects for text, else int64 or
        uint64."""
        if pa.types.is_string(self.type):
            return np.array(self.values, np.object_)
        if pa.types.is_uint64(self.type):
            return np.array(self.values, np.uint64)
        return np.array(self.values, np.int64)

    def restore(self, id: str) -> Id:
        """Return one id in the caller's type."""
        return id if pa.types.is_string(self.type) else int(id)

    def restore_cluster(self, cluster: NamedCluster) -> NamedCluster:
        """Return the cluster with its document ids in the caller's type."""
        if pa.types.is_string(self.type):
            return cluster
        chosen = tuple(self.restore(str(id)) for id in cluster.representatives)
        evidence = tuple(self.restore(str(id)) for id in cluster.evidence)
        provenance = replace(cluster.provenance, evidence=evidence)
        medoid = self.restore(str(cluster.medoid))
        return replace(cluster, medoid=medoid, representatives=chosen, provenance=provenance)

    def restore_table(self, table: pa.Table) -> pa.Table:
        """Return the table with every id column in the caller's type."""
        if pa.types.is_string(self.type):
            return table
        kinds = {name: self.type for name in _SINGLE} | {name: pa.list_(self.type) for name in _SEVERAL}
        for at, name in enumerate(table.schema.names):
            if name in kinds:
                table = table.set_column(at, name, table.column(at).cast(kinds[name]))
        return table
