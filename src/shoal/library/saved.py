"""A clustering in one file: NumPy arrays and JSON, never pickled.

The file is an uncompressed ZIP of arrays as `numpy.savez` writes it; the array `about` is JSON that says which parts of
which classes they are. Only the classes named here are ever instantiated.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shoal.analysis.named_clusters import Analysis, Group, NamedCluster, NamedLayer, Provenance
from shoal.analysis.record_codec import RecordCodec
from shoal.engine.model_records import MODEL_FUNCTIONS, MODEL_RECORDS, OUTCOME_RECORDS
from shoal.engine.plan import Plan
from shoal.errors import InvalidField

__all__ = ["SAVED", "read_saved", "write_saved"]

SAVED: Final = "clustering.npz"
_FORMAT: Final = "shoal-clustering-1"
_ABOUT: Final = "about"
_CODEC: Final = RecordCodec(
    [*OUTCOME_RECORDS, *MODEL_RECORDS, Analysis, Group, NamedCluster, NamedLayer, Provenance, Plan], MODEL_FUNCTIONS
)
_DAMAGE: Final = (
    OSError, EOFError, MemoryError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError,
    RuntimeError, zipfile.BadZipFile, zlib.error, struct.error, pa.ArrowException,
)  # fmt: skip
"""What readers raise for corrupted bytes."""


def write_saved(file: BinaryIO, parts: Mapping[str, Any]) -> None:
    """Write the parts of a clustering: records, arrays, tables, JSON."""
    arrays, tree = _CODEC.encode(dict(parts))
    about = orjson.dumps({"format": _FORMAT, "parts": tree})
    stored: dict[str, NDArray[Any]] = {_ABOUT: np.frombuffer(about, np.uint8), **arrays}
    np.savez(file, **stored)  # type: ignore[arg-type]  # names of ours, never `allow_pickle`


def read_saved(path: Path) -> dict[str, Any]:
    """Read the parts. Raises InvalidField naming the file where it is damaged, or of another version."""
    label = f"{path.parent.name}/{path.name}"
    try:
        arrays = _read_arrays(path)
        about = orjson.loads(arrays[_ABOUT].tobytes())
        if about["format"] != _FORMAT:
            raise _version_error(label)
        parts: dict[str, Any] = _CODEC.decode(arrays, about["parts"])
        return parts
    except InvalidField:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        remedy = "Cluster again; the tables beside it can still be read."
        raise InvalidField(label, f"is damaged, or of another version ({reason})", remedy=remedy) from error


def _version_error(label: str) -> InvalidField:
    return InvalidField(label, "was written by another version of Shoal", remedy="Cluster again with this one.")


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an uncompressed file, which cannot expand."""
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("its arrays are packed")
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise ValueError("its arrays overlap")
        file.seek(0)
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
