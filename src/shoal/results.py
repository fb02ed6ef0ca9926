"""The folder of results that `shoal cluster` and `Clustering.to_parquet` leave: whole or absent."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.errors import Conflict
from shoal.storage.files import remove_tree, sync_folder, written_whole

__all__ = ["FORMAT", "check_folder", "write_folder"]

FORMAT: Final = "shoal-results-1"
"""Stands in `summary.json` under `format`; a folder without it is not ours to replace."""
_SUMMARY: Final = "summary.json"
_OURS: Final = frozenset({"members.parquet", "centroids.parquet", _SUMMARY})


def check_folder(folder: Path) -> None:
    """Whether results may be written there: it is absent, empty, or holds earlier results and nothing else.

    Raises Conflict.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise Conflict(f"{folder} is a file. Choose another folder for the results.")
    names = {entry.name for entry in folder.iterdir()}
    if names and not (names <= _OURS and _is_summary(folder / _SUMMARY)):
        raise Conflict(f"{folder} holds files that are no Shoal results. Choose another folder, or empty this one.")


def write_folder(folder: Path, tables: Mapping[str, pa.Table], summary: Mapping[str, Any]) -> None:
    """Write `<name>.parquet` for each table and `summary.json`; results that were there are replaced whole.

    Everything is written and synced beside the folder, which then takes its name. Raises Conflict as `check_folder`.
    """
    folder = folder.resolve()
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    fresh, old = (folder.with_name(f".{folder.name}.{mark}.{state}") for state in ("new", "old"))
    try:
        fresh.mkdir()
        for name, table in tables.items():
            with written_whole(fresh / f"{name}.parquet") as file:
                pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        with written_whole(fresh / _SUMMARY) as file:
            file.write(orjson.dumps({"format": FORMAT, **summary}, option=orjson.OPT_INDENT_2) + b"\n")
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        sync_folder(folder.parent)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        remove_tree(fresh)
        remove_tree(old)


def _is_summary(path: Path) -> bool:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT
