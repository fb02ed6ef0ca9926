"""One file opened as pieces, and the table that lies beside an array."""

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField
from shoal.files.addresses import check_here
from shoal.files.columnar.array_file import ArrayPieces
from shoal.files.columnar.table_pieces import TablePieces
from shoal.files.columnar.tables import open_rows
from shoal.files.csv_text.plain_text import PlainText
from shoal.files.formats import Format, format_by_name, format_of
from shoal.files.json_text.lines import JsonPieces
from shoal.files.layout import Asked
from shoal.files.pieces import Pieces, naming_line
from shoal.files.reading import speaking_shoal

__all__ = ["find_sidecar", "no_sidecar", "open_array", "open_pieces"]

_SIDECARS: Final = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".arrow", ".feather")


def find_sidecar(path: Path, format: str | None, given: Path | str | None) -> Path | None:
    """The table beside an array: the one that is `given`, else a file of the same stem; None where there is none, and
    for other files. Raises InvalidField for one that is given to another file, or lies elsewhere."""
    if given is not None:
        check_here(given, "sidecar")
    if format_by_name(path, format) != "npy":
        if given is not None:
            raise no_sidecar(given)
        return None
    return Path(given) if given else next((p for s in _SIDECARS if (p := path.with_suffix(s)).exists()), None)


def no_sidecar(given: Path | str) -> InvalidField:
    """The error about a sidecar of what is no array."""
    return InvalidField("sidecar", "belongs to a .npy file only", value=str(given))


def open_pieces(path: Path, kind: Format, asked: Asked) -> Pieces:
    """The pieces of a file that is no array."""
    if kind in ("json", "jsonl"):
        return JsonPieces(path, asked)
    rows = open_rows(path, kind, asked)
    with naming_line(asked.label, rows.line_of):
        return TablePieces(rows, asked)


def open_array(path: Path, beside: Path | None, asked: Asked, temporary: Path | None) -> ArrayPieces:
    """The pieces of an array with those of the table beside it, whose text is of the encoding that was asked for."""
    names = list(asked.vectors or [])
    if len(names) > 1:
        raise InvalidField(asked.label, "holds one array, so it has one vector", remedy="Give one name at most.")
    if beside is None and asked.id_column is not None:
        raise InvalidField(
            "id_column", "needs a file beside the array", value=asked.id_column, remedy="Give a sidecar."
        )
    pieces = None if beside is None else _sidecar(beside, asked, temporary)
    return ArrayPieces(path, pieces, names[0] if names else None, asked)


def _sidecar(path: Path, asked: Asked, temporary: Path | None) -> Pieces:
    if format_by_name(path) == "npy":
        raise InvalidField("sidecar", "must be a table of ids and attributes", value=path.name)
    with speaking_shoal(path.name):
        text = PlainText(path, path.name, None, asked.encoding, asked.bounds, temporary)
        try:
            kind = format_of(text.path, path.name, text.format or format_by_name(path))
            pieces = open_pieces(text.path, kind, replace(asked, label=path.name, vectors=[], known={}, needed=False))
        except BaseException:
            text.close()
            raise
    weakref.finalize(pieces, text.close)
    return pieces
