"""The array types shared by all packages, with their shapes and dtypes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

Points = Annotated[NDArray[np.float32], "(n, d), C-order, finite"]
Labels = Annotated[NDArray[np.int32], "(n,), 0..k-1 by size descending, ties by smallest row; -1 is noise"]
Rows = Annotated[NDArray[np.int64], "(m,), row numbers"]

NOISE = -1
"""The label of a document in no cluster."""


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """The vectors of one name in a batch; not every document has one.

    `rows` is (m,) int64, strictly ascending positions in the batch; `values` is (m, d) float32, C-order, finite. `rest`
    (m, d) is the rounding error of the conversion to float32, if it is significant.
    """

    rows: Rows
    values: Points
    rest: Points | None = None

    @property
    def dimension(self) -> int:
        return int(self.values.shape[1])


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Documents on their way into a store: aligned ids, JSON payloads and vectors, already validated.

    `payloads[i]` is the UTF-8 JSON object of document `ids[i]`; ids are unique within the batch.
    """

    ids: Sequence[str]
    payloads: Sequence[bytes]
    vectors: Mapping[str, VectorColumn] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The input of the engine as returned by `load_matrix`, sorted by (id, collection), so that results do not depend
    on the order in which documents arrived.

    `ids` and `collections` are aligned with the rows of every block; `blocks[name]` is (n, d) float32, a memory map if
    the stored order allows it. `missing` counts matching documents that lack one of the vectors. Equal `fingerprint`
    means equal rows.
    """

    ids: Sequence[str]
    collections: Sequence[str]
    blocks: Mapping[str, Points]
    missing: int = 0
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.ids)
