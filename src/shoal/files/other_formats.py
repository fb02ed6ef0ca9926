"""Files that people have and Shoal does not read: what they are, and how to make one of them that it reads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from shoal.errors import InvalidField

__all__ = ["refused_by_content", "refused_by_name"]


class _Other(NamedTuple):
    called: str
    remedy: str


_UNPACK: Final = "Unpack it, or pack the CSV, TSV or JSON in it with gzip."
_EXCEL: Final = _Other(
    "an Excel workbook",
    "Save the sheet as CSV UTF-8 in Excel, or in Python: pandas.read_excel(FILE).to_parquet('docs.parquet').",
)
_PICKLE: Final = _Other(
    "a pickle, which may run code when it is opened",
    "Write the data frame with to_parquet, or the array with numpy.save.",
)
_SQLITE: Final = _Other(
    "a SQLite database", "Write the table as Parquet or CSV, such as with DuckDB: COPY docs.TABLE TO 'docs.parquet'."
)
_HDF5: Final = _Other("an HDF5 file", "In Python: pandas.read_hdf(FILE).to_parquet('docs.parquet').")
_TENSORS: Final = _Other("a file of PyTorch", "In Python: numpy.save('docs.npy', torch.load(FILE).numpy()).")
_SAFE: Final = _Other(
    "a file of tensors", "In Python: numpy.save('docs.npy', safetensors.numpy.load_file(FILE)['embeddings'])."
)
_DUCKDB: Final = _Other("a DuckDB database", "Write the table as Parquet: COPY TABLE TO 'docs.parquet'.")
_ORC: Final = _Other(
    "an ORC file", "In Python: pyarrow.parquet.write_table(pyarrow.orc.read_table(FILE), 'docs.parquet')."
)
_AVRO: Final = _Other("an Avro file", "Write it as Parquet or JSON lines.")
_FEATHER: Final = _Other("a Feather V1 file", "In Python: pandas.read_feather(FILE).to_parquet('docs.parquet').")
_ZIP: Final = _Other("a ZIP archive", _UNPACK)
_GZIP: Final = _Other(
    "a gzip archive", "Of CSV, TSV or JSON: name it .csv.gz, .tsv.gz or .jsonl.gz. Anything else: unpack it."
)

_BY_NAME: Final[Mapping[str, _Other]] = MappingProxyType(
    dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), _EXCEL)
    | dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE)
    | dict.fromkeys((".db", ".sqlite", ".sqlite3"), _SQLITE)
    | dict.fromkeys((".h5", ".hdf5", ".hdf"), _HDF5)
    | dict.fromkeys((".pt", ".pth"), _TENSORS)
    | {".safetensors": _SAFE, ".duckdb": _DUCKDB, ".orc": _ORC, ".avro": _AVRO, ".zip": _ZIP}
    | {".bz2": _Other("a bzip2 archive", _UNPACK), ".zst": _Other("a Zstandard archive", _UNPACK)}
    | {".xz": _Other("an xz archive", _UNPACK), ".7z": _Other("a 7z archive", _UNPACK)}
    | {".tar": _Other("a tar archive", _UNPACK), ".tgz": _Other("a tar archive", _UNPACK)}
)
_BY_CONTENT: Final = (
    (b"\x1f\x8b", _GZIP),
    (b"PK\x03\x04", _ZIP),
    (b"\x28\xb5\x2f\xfd", _Other("a Zstandard archive", _UNPACK)),
    (b"BZh", _Other("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ", _Other("an xz archive", _UNPACK)),
    (b"SQLite format 3", _SQLITE),
    (b"\x89HDF", _HDF5),
    (b"FEA1", _FEATHER),
    (b"ORC", _ORC),
    (b"Obj\x01", _AVRO),
    (b"\xd0\xcf\x11\xe0", _EXCEL),
    (b"%PDF", _Other("a PDF document", "Write its text into a table first.")),
)
_IN_WORKBOOKS: Final = (b"[Content_Types].xml", b"xl/")


def refused_by_name(label: str, suffix: str) -> InvalidField | None:
    """The error about a file with an ending of a format that Shoal does not read; None for any other ending."""
    other = _BY_NAME.get(suffix.lower())
    return None if other is None else _refusal(label, other)


def refused_by_content(label: str, head: bytes, expected: str) -> InvalidField | None:
    """The error about a file that begins as one of a format that Shoal does not read; None for any other content.
    `expected` is what its name says that it is."""
    other = next((other for magic, other in _BY_CONTENT if head.startswith(magic)), None)
    if other is _ZIP and any(name in head for name in _IN_WORKBOOKS):
        other = _EXCEL
    return None if other is None else _refusal(label, other, f"is not {expected}: its content is {other.called}")


def _refusal(label: str, other: _Other, problem: str | None = None) -> InvalidField:
    return InvalidField(label, problem or f"is {other.called}, which Shoal does not read", remedy=other.remedy)
