"""`--save-vectors`: the vectors of a clustering as a file of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.columns import Points
from shoal.durable import atomic_write
from shoal.errors import Conflict, InvalidField

__all__ = ["check_vectors_target", "save_vectors"]

_OPTION: Final = "--save-vectors"
_SUFFIXES: Final = (".npy", ".parquet")


def check_vectors_target(path: Path, *, overwrite: bool, results: Path) -> None:
    """Check before any computation that vectors may be written to `path`.

    Raises InvalidField for a suffix without a format, Conflict for a file that exists unless `overwrite`, and for one
    in the folder of `results`, which holds nothing else.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise InvalidField(_OPTION, "must end in .npy or .parquet", value=str(path))
    if path.resolve().is_relative_to(results.resolve()):
        raise Conflict(f"{_OPTION}: {path} lies in the folder of results, which is replaced whole. Choose another.")
    if not path.resolve().parent.is_dir():
        raise Conflict(f"{_OPTION}: there is no folder {path.resolve().parent}. Create it first, or choose another.")
    if path.is_dir() or (path.exists() and not (overwrite and path.is_file())):
        raise Conflict(f"{_OPTION}: {path} exists already. Choose another name, or say --overwrite.")


def save_vectors(path: Path, ids: Sequence[object], points: Points) -> None:
    """Write (n, d) vectors as an array, or as a table `document_id`, `vector`, whole or not at all."""
    with atomic_write(path) as file:
        if path.suffix.lower() == ".npy":
            np.save(file, points, allow_pickle=False)
            return
        flat = pa.array(points.ravel(), pa.float32())
        vectors = pa.FixedSizeListArray.from_arrays(flat, points.shape[1])
        pq.write_table(pa.table({"document_id": pa.array(ids), "vector": vectors}), file, write_page_checksum=True)
