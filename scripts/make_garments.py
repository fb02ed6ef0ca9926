"""Make src/shoal/demo_data/garments.parquet from fashion900.parquet, whose place is the argument.

40 pieces of each kind, chosen with a fixed seed, with two vectors each: `picture`, 64 principal components of the
pixels, and `shape`, how much of each row and column of the picture the garment fills.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.demo_data import GARMENTS

EACH = 40
LIT = 32
SIDE = 28


def main() -> None:
    table = pq.read_table(Path(sys.argv[1]))
    kinds = np.array(table["label"].to_pylist())
    random = np.random.default_rng(17)
    chosen = [random.choice(np.flatnonzero(kinds == kind), EACH, replace=False) for kind in np.unique(kinds)]
    rows = np.sort(np.concatenate(chosen))
    taken = table.take(rows)
    lit = taken["pixels"].combine_chunks().flatten().to_numpy().reshape(-1, SIDE, SIDE) > LIT
    shape = np.concatenate([lit.mean(axis=2), lit.mean(axis=1)], axis=1).astype(np.float16)
    picture = taken["pca64"].combine_chunks().flatten().to_numpy().astype(np.float16)
    columns = {
        "sku": [f"GA-{row:04}" for row in rows],
        "kind": taken["label"],
        "picture": pa.FixedSizeListArray.from_arrays(pa.array(picture), 64),
        "shape": pa.FixedSizeListArray.from_arrays(pa.array(shape.reshape(-1)), 2 * SIDE),
    }
    pq.write_table(pa.table(columns), GARMENTS, compression="zstd")


if __name__ == "__main__":
    main()
