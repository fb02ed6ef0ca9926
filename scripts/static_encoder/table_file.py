"""Writes the bundled table: small numbers, compressed, no pickle."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LARGEST_FACTOR = 4095


def write_table(path: Path, name: str, pieces: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write vectors as int8 with one factor a row.

    Parameters
    ----------
    path : Path
    name : str
        The encoder and its version.
    pieces : sequence of str, length p
    vectors : (p, d) float32
    """
    scales = np.abs(vectors).max(1) / 127
    factors = np.clip(np.rint(scales / scales.max() * LARGEST_FACTOR), 1, LARGEST_FACTOR)
    numbers = np.clip(np.rint(vectors / (factors * scales.max() / LARGEST_FACTOR)[:, None]), -127, 127).astype(np.int8)
    rows = pa.array([row.tobytes() for row in numbers], pa.binary(vectors.shape[1]))
    table = pa.table(
        {"piece": list(pieces), "factor": pa.array(factors.astype(np.uint16)), "vector": rows}
    ).replace_schema_metadata({"name": name})
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 19))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
