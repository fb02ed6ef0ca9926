"""Formats that people have and Shoal does not read: their names, and how to convert them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from shoal.errors import InvalidField

__all__ = ["unsupported_content_error", "unsupported_name_error"]


class _UnsupportedFormat(NamedTuple):
    description: str
    remedy: str


_UNPACK: Final = "Unpack it, or pack the CSV, TSV or JSON in it with gzip."
_EXCEL: Final = _UnsupportedFormat(
    "an Excel workbook",
    "Save the sheet as CSV UTF-8 in Excel, or in Python: pandas.read_excel(FILE).to_parquet('docs.parquet').",
)
_PICKLE: Final = _UnsupportedFormat(
    "a pickle, which may run code when it is opened",
    "Write the data frame with to_parquet, or the array with numpy.save.",
)
_SQLITE: Final = _UnsupportedFormat(
    "a SQLite database", "Write the table as Parquet or CSV, such as with DuckDB: COPY docs.TABLE TO 'docs.parquet'."
)
_HDF5: Final = _UnsupportedFormat("an HDF5 file", "In Python: pandas.read_hdf(FILE).to_parquet('docs.parquet').")
_TENSORS: Final = _UnsupportedFormat(
    "a file of PyTorch", "In Python: numpy.save('docs.npy', torch.load(FILE).numpy())."
)
_SAFE: Final = _UnsupportedFormat(
    "a file of tensors", "In Python: numpy.save('docs.npy', safetensors.numpy.load_file(FILE)['embeddings'])."
)
_DUCKDB: Final = _UnsupportedFormat("a DuckDB database", "Write the table as Parquet: COPY TABLE TO 'docs.parquet'.")
_ORC: Final = _UnsupportedFormat(
    "an ORC file", "In Python: pyarrow.parquet.write_table(pyarrow.orc.read_table(FILE), 'docs.parquet')."
)
_AVRO: Final = _UnsupportedFormat("an Avro file", "Write it as Parquet or JSON lines.")
_FEATHER: Final = _UnsupportedFormat(
    "a Feather V1 file", "In Python: pandas.read_feather(FILE).to_parquet('docs.parquet')."
)
_ZIP: Final = _UnsupportedFormat("a ZIP archive", _UNPACK)
_GZIP: Final = _UnsupportedFormat(
    "a gzip archive", "Of CSV, TSV or JSON: name it .csv.gz, .tsv.gz or .jsonl.gz. Anything else: unpack it."
)

_BY_NAME: Final[Mapping[str, _UnsupportedFormat]] = MappingProxyType(
    dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), _EXCEL)
    | dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE)
    | dict.fromkeys((".db", ".sqlite", ".sqlite3"), _SQLITE)
    | dict.fromkeys((".h5", ".hdf5", ".hdf"), _HDF5)
    | dict.fromkeys((".pt", ".pth"), _TENSORS)
    | {".safetensors": _SAFE, ".duckdb": _DUCKDB, ".orc": _ORC, ".avro": _AVRO, ".zip": _ZIP}
    | {
        ".bz2": _UnsupportedFormat("a bzip2 archive", _UNPACK),
        ".zst": _UnsupportedFormat("a Zstandard archive", _UNPACK),
    }
    | {".xz": _UnsupportedFormat("an xz archive", _UNPACK), ".7z": _UnsupportedFormat("a 7z archive", _UNPACK)}
    | {".tar": _UnsupportedFormat("a tar archive", _UNPACK), ".tgz": _UnsupportedFormat("a tar archive", _UNPACK)}
)
_BY_CONTENT: Final = (
    (b"\x1f\x8b", _GZIP),
    (b"PK\x03\x04", _ZIP),
    (b"\x28\xb5\x2f\xfd", _UnsupportedFormat("a Zstandard archive", _UNPACK)),
    (b"BZh", _UnsupportedFormat("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ", _UnsupportedFormat("an xz archive", _UNPACK)),
    (b"SQLite format 3", _SQLITE),
    (b"\x89HDF", _HDF5),
    (b"FEA1", _FEATHER),
    (b"ORC", _ORC),
    (b"Obj\x01", _AVRO),
    (b"\xd0\xcf\x11\xe0", _EXCEL),
    (b"%PDF", _UnsupportedFormat("a PDF document", "Write its text into a table first.")),
)
_IN_WORKBOOKS: Final = (b"[Content_Types].xml", b"xl/")


def unsupported_name_error(label: str, suffix: str) -> InvalidField | None:
    """Build the error about a suffix of a format that Shoal does not read; None for any other suffix."""
    unsupported = _BY_NAME.get(suffix.lower())
    return None if unsupported is None else _build_error(label, unsupported)


def unsupported_content_error(label: str, head: bytes, expected: str) -> InvalidField | None:
    """Build the error about content in a format that Shoal does not read; None for any other content.

    `expected` is the format implied by the name.
    """
    unsupported = next((unsupported for magic, unsupported in _BY_CONTENT if head.startswith(magic)), None)
    if unsupported is _ZIP and any(name in head for name in _IN_WORKBOOKS):
        unsupported = _EXCEL
    return (
        None
        if unsupported is None
        else _build_error(label, unsupported, f"is not {expected}: its content is {unsupported.description}")
    )


def _build_error(label: str, unsupported: _UnsupportedFormat, problem: str | None = None) -> InvalidField:
    return InvalidField(
        label, problem or f"is {unsupported.description}, which Shoal does not read", remedy=unsupported.remedy
    )
