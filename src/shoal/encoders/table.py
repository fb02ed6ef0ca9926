"""The bundled table: a vector for each piece of a word, as whole numbers."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.errors import Corrupt

__all__ = ["BUNDLED_SHA256", "BUNDLED_TABLE", "PieceTable", "load_bundled_table", "read_table"]

BUNDLED_TABLE: Final = Path(__file__).parent / "bundled" / "table.arrow"
BUNDLED_SHA256: Final = "7e9a808cfc56306651da8d9ee157fbe3d0857ec7eb7b71be8842642d09fbe65e"


@dataclass(frozen=True)
class PieceTable:
    """Vectors of pieces, (p, d) int32: sums of them are exact, in any order and on every processor."""

    name: str
    vocabulary: dict[str, int]
    vectors: NDArray[np.int32]


@cache
def load_bundled_table() -> PieceTable:
    """The table in the package; read once a process.

    Returns
    -------
    PieceTable

    Raises
    ------
    Corrupt
        If the file is not the one that was published.
    """
    content = BUNDLED_TABLE.read_bytes()
    if hashlib.sha256(content).hexdigest() != BUNDLED_SHA256:
        raise Corrupt(f"{BUNDLED_TABLE.name} of the static encoder was damaged; install Shoal again")
    return read_table(content)


def read_table(content: bytes) -> PieceTable:
    """Read an Arrow file with the columns `piece`, `factor` (uint16) and `vector` (d signed bytes, times the factor).

    Parameters
    ----------
    content : bytes

    Returns
    -------
    PieceTable
    """
    table = pa.ipc.open_file(pa.py_buffer(content)).read_all()
    pieces = table["piece"].to_pylist()
    vectors = np.frombuffer(b"".join(table["vector"].to_pylist()), np.int8).reshape(len(pieces), -1)
    factors = table["factor"].to_numpy().astype(np.int32)
    name = (table.schema.metadata or {})[b"name"].decode()
    return PieceTable(name, {piece: row for row, piece in enumerate(pieces)}, vectors * factors[:, None])
