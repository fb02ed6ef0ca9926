"""The data plane: large, aligned arrays. Shapes and dtypes are told once, here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

Points = Annotated[NDArray[np.float32], "(n, d), C-order, finite"]
Labels = Annotated[NDArray[np.int32], "(n,), 0..k-1 by size descending, ties by smallest row; -1 is noise"]
Rows = Annotated[NDArray[np.int64], "(m,), row numbers"]

NOISE = -1
"""The label of a document that belongs to no cluster."""


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """The vectors of one name in a batch; a document may lack it.

    `rows` is (m,) int64, strictly ascending positions in the batch; `values` is (m, d) float32, C-order, finite. `rest`
    (m, d) is what rounding to float32 left of them, where that matters.
    """

    rows: Rows
    values: Points
    rest: Points | None = None

    @property
    def dimension(self) -> int:
        return int(self.values.shape[1])


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Documents on their way into a store: aligned ids, JSON payloads and vectors.

    `payloads[i]` is the UTF-8 JSON object of document `ids[i]`; ids are unique within the batch. Already checked.
    """

    ids: Sequence[str]
    payloads: Sequence[bytes]
    vectors: Mapping[str, VectorColumn] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Matrix:
    """What `load_matrix` hands to the engine: rows sorted by (id, collection), so that results do not depend on
    the order in which documents arrived.

    `ids` and `collections` are aligned with the rows of every block; `blocks[name]` is (n, d) float32, a memory map
    where the stored order allows it. `missing` counts documents that matched but lack one of the vectors. Two with the
    same `fingerprint` hold the same rows.
    """

    ids: Sequence[str]
    collections: Sequence[str]
    blocks: Mapping[str, Points]
    missing: int = 0
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.ids)
