"""The folder of results that `shoal cluster` and `Clustering.save` leave: whole or absent."""

import re
import secrets
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.durable import locked, remove_tree, sync_folder, written_whole
from shoal.errors import Conflict, InvalidField
from shoal.files.own_results import FORMAT, SUMMARY, is_summary
from shoal.library.saved import SAVED, write_saved
from shoal.library.summary_shape import check_summary

__all__ = ["FORMAT", "check_folder", "expected_bytes", "read_summary", "write_folder"]

_TABLE_BYTES: Final = 90
_MODEL_BYTES: Final = 130
_BY_CENTERS: Final = frozenset({"kmeans", "gaussian_mixture"})
_TABLES: Final = ("members", "centroids", "condensed_tree", "near_duplicates", "layers", "hierarchy")
_OURS: Final = frozenset({SUMMARY, SAVED, *(f"{name}.parquet" for name in _TABLES)})


def check_folder(folder: Path) -> None:
    """Whether results may be written there: it is absent, empty, or holds earlier results and nothing else.

    Raises Conflict.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise Conflict(f"{folder} is a file. Choose another folder for the results.")
    names = {entry.name for entry in folder.iterdir()}
    if names and not (names <= _OURS and is_summary(folder / SUMMARY)):
        raise Conflict(f"{folder} holds files that are no Shoal results. Choose another folder, or empty this one.")


def expected_bytes(rows: int, dimension: int, algorithm: str, *, id_bytes: int, model: bool) -> int:
    """About what a folder of results takes on disk; `model` says whether clustering.npz is in it, which holds the
    vectors too but for methods that place new documents by their centers."""
    vectors = 0 if algorithm in _BY_CENTERS else 4 * dimension
    return rows * (_TABLE_BYTES + id_bytes + (_MODEL_BYTES + vectors if model else 0))


def read_summary(folder: Path) -> dict[str, Any]:
    """What `summary.json` says. Raises InvalidField where there are no results, and where it is
    damaged or of another shape."""
    path, remedy = folder / SUMMARY, "Name the folder that `shoal cluster` or `save` wrote, such as shoal-out/NAME."
    if not path.is_file():
        problem = "holds no results of Shoal" if folder.is_dir() else "is no folder of results"
        raise InvalidField(str(folder), problem if folder.exists() else "there is no such folder", remedy=remedy)
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidField(str(path), f"is damaged ({error.msg})", remedy="Cluster again.") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InvalidField(str(folder), f"holds no results of Shoal: its {SUMMARY} is of something else", remedy=remedy)
    check_summary(found, str(path))
    return found


def write_folder(
    folder: Path, tables: Mapping[str, pa.Table], summary: Mapping[str, Any], saved: Mapping[str, Any] | None = None
) -> None:
    """Write `<name>.parquet` for each table, `summary.json` and, with `saved`, the parts of a clustering; results that
    were there are replaced whole.

    Everything is written and synced beside the folder, which then takes its name; what a writer that was killed left
    there is cleared away. Raises Conflict as `check_folder`.
    """
    folder = folder.resolve()
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        _write(folder, tables, summary, saved, locks)


def _write(
    folder: Path,
    tables: Mapping[str, pa.Table],
    summary: Mapping[str, Any],
    saved: Mapping[str, Any] | None,
    locks: ExitStack,
) -> None:
    """A writer holds a lock on each folder under a name of its own, so that others see whether it lives."""
    mark = secrets.token_hex(4)
    fresh, old = (folder.with_name(f".{folder.name}.{mark}.{state}") for state in ("new", "old"))
    try:
        with locked(folder.parent):
            _clear_leftovers(folder)
            fresh.mkdir()
            locks.enter_context(locked(fresh))
        for name, table in tables.items():
            with written_whole(fresh / f"{name}.parquet") as file:
                pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        if saved is not None:
            with written_whole(fresh / SAVED) as file:
                write_saved(file, saved)
        with written_whole(fresh / SUMMARY) as file:
            file.write(orjson.dumps({"format": FORMAT, **summary}, option=orjson.OPT_INDENT_2) + b"\n")
        if folder.exists():
            locks.enter_context(locked(folder))
            folder.rename(old)
        fresh.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:  # told of the folder that was asked for, not of the names it has until it is whole
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        remove_tree(fresh)
        remove_tree(old)


def _clear_leftovers(folder: Path) -> None:
    """Results that had been moved aside when the writer was killed come back; the rest of it goes."""
    ours = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}\.(new|old)")
    for left in sorted(folder.parent.iterdir()):
        found = ours.fullmatch(left.name)
        if found is None or not left.is_dir():
            continue
        with suppress(BlockingIOError), locked(left, wait=False):
            if found[1] == "old" and not folder.exists():
                left.rename(folder)
            else:
                remove_tree(left)
