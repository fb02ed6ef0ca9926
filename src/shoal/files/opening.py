"""Opens the reader of one file, and of the table beside an array."""

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField
from shoal.files.columnar.array_reader import ArrayReader
from shoal.files.columnar.table_reader import TableReader
from shoal.files.columnar.tables import open_rows
from shoal.files.formats import Format, detect_format, format_from_name
from shoal.files.json_text.reader import JsonReader
from shoal.files.layout import ReadRequest
from shoal.files.paths.addresses import check_is_local
from shoal.files.reader import Reader, name_line_in_errors
from shoal.files.reader_errors import translate_errors
from shoal.files.text.plain_text import PlainText

__all__ = ["find_sidecar", "open_array_reader", "open_reader", "sidecar_error"]

_SIDECARS: Final = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".arrow", ".feather")


def find_sidecar(path: Path, format: str | None, requested: Path | str | None) -> Path | None:
    """Return the table that belongs to a .npy array, or None.

    That is `requested`, else a file of the same stem beside the array. Raises InvalidField where a sidecar is requested
    for another format, or is an address rather than a local file.
    """
    if requested is not None:
        check_is_local(requested, "sidecar")
    if format_from_name(path, format) != "npy":
        if requested is not None:
            raise sidecar_error(requested)
        return None
    return Path(requested) if requested else next((p for s in _SIDECARS if (p := path.with_suffix(s)).exists()), None)


def sidecar_error(sidecar: Path | str) -> InvalidField:
    """Build the error about a sidecar for a format that takes none."""
    return InvalidField("sidecar", "belongs to a .npy file only", value=str(sidecar))


def open_reader(path: Path, kind: Format, request: ReadRequest) -> Reader:
    """Open the reader of a file of any format but .npy."""
    if kind in ("json", "jsonl"):
        return JsonReader(path, request)
    rows = open_rows(path, kind, request)
    with name_line_in_errors(request.label, rows.line_of):
        return TableReader(rows, request)


def open_array_reader(path: Path, beside: Path | None, request: ReadRequest, temporary: Path | None) -> ArrayReader:
    """Open the reader of an array and of the table beside it, whose text has the requested encoding."""
    names = list(request.vectors or [])
    if len(names) > 1:
        raise InvalidField(request.label, "holds one array, so it has one vector", remedy="Give one name at most.")
    if beside is None and request.id_column is not None:
        raise InvalidField(
            "id_column", "needs a file beside the array", value=request.id_column, remedy="Give a sidecar."
        )
    sidecar = None if beside is None else _open_sidecar(beside, request, temporary)
    return ArrayReader(path, sidecar, names[0] if names else None, request)


def _open_sidecar(path: Path, request: ReadRequest, temporary: Path | None) -> Reader:
    if format_from_name(path) == "npy":
        raise InvalidField("sidecar", "must be a table of ids and attributes", value=path.name)
    with translate_errors(path.name):
        text = PlainText(path, path.name, None, request.encoding, request.bounds, temporary)
        try:
            kind = detect_format(text.path, path.name, text.format or format_from_name(path))
            reader = open_reader(
                text.path, kind, replace(request, label=path.name, vectors=[], known_vectors={}, needs_vectors=False)
            )
        except BaseException:
            text.close()
            raise
    weakref.finalize(reader, text.close)
    return reader
