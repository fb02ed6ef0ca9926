"""The folder of results written by `shoal cluster` and `Clustering.save`, atomically."""

import re
import secrets
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.analysis.tables import MEMBER_BYTES
from shoal.durable import atomic_write, lock_folder, remove_tree, sync_folder
from shoal.errors import Conflict, InvalidField
from shoal.files.paths.own_results import FORMAT, SUMMARY, is_summary
from shoal.library.saved import SAVED, write_saved
from shoal.library.summary_shape import check_summary

__all__ = ["FORMAT", "check_folder", "estimate_bytes", "read_summary", "write_folder"]

_MODEL_BYTES: Final = 130
_BY_CENTERS: Final = frozenset({"kmeans", "gaussian_mixture"})
_TABLES: Final = ("members", "centroids", "condensed_tree", "near_duplicates", "layers", "hierarchy")
_RESULT_FILES: Final = frozenset({SUMMARY, SAVED, *(f"{name}.parquet" for name in _TABLES)})


def check_folder(folder: Path) -> None:
    """Check that results may be written there: it is absent, empty, or holds earlier results and nothing else.

    Raises Conflict.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise Conflict(f"{folder} is a file. Choose another folder for the results.")
    names = {entry.name for entry in folder.iterdir()}
    if names and not (names <= _RESULT_FILES and is_summary(folder / SUMMARY)):
        raise Conflict(f"{folder} holds files that are not Shoal results. Choose another folder, or empty this one.")


def estimate_bytes(rows: int, dimension: int, algorithm: str, *, id_bytes: int, model: bool) -> int:
    """Estimate the disk space of a folder of results.

    `model` says whether it has a clustering.npz, which holds the vectors too except for methods that assign by
    centroids.
    """
    vectors = 0 if algorithm in _BY_CENTERS else 4 * dimension
    return rows * (MEMBER_BYTES + id_bytes + (_MODEL_BYTES + vectors if model else 0))


def read_summary(folder: Path) -> dict[str, Any]:
    """Read `summary.json`. Raises InvalidField where there are no results, and where it is damaged or has another
    schema."""
    path, remedy = folder / SUMMARY, "Name the folder that `shoal cluster` or `save` wrote, such as shoal-out/NAME."
    if not path.is_file():
        problem = "holds no results of Shoal" if folder.is_dir() else "is not a folder of results"
        raise InvalidField(str(folder), problem if folder.exists() else "there is no such folder", remedy=remedy)
    try:
        summary = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidField(str(path), f"is damaged ({error.msg})", remedy="Cluster again.") from None
    if not isinstance(summary, dict) or summary.get("format") != FORMAT:
        raise InvalidField(str(folder), f"holds no results of Shoal: its {SUMMARY} is of something else", remedy=remedy)
    check_summary(summary, str(path))
    return summary


def write_folder(
    folder: Path, tables: Mapping[str, pa.Table], summary: Mapping[str, Any], saved: Mapping[str, Any] | None = None
) -> None:
    """Write `<name>.parquet` for each table, `summary.json` and, with `saved`, the parts of a clustering.

    Earlier results are replaced atomically: everything is written and synced to a staging folder beside the folder,
    which is then renamed; staging folders of killed writers are cleaned up. Raises Conflict as `check_folder`.
    """
    folder = folder.resolve()
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        _write_staged(folder, tables, summary, saved, locks)


def _write_staged(
    folder: Path,
    tables: Mapping[str, pa.Table],
    summary: Mapping[str, Any],
    saved: Mapping[str, Any] | None,
    locks: ExitStack,
) -> None:
    """Write to a staging folder. The writer locks each of its folders, so that others can tell whether it is alive."""
    mark = secrets.token_hex(4)
    staged, previous = (folder.with_name(f".{folder.name}.{mark}.{state}") for state in ("new", "old"))
    try:
        with lock_folder(folder.parent):
            _clear_leftovers(folder)
            staged.mkdir()
            locks.enter_context(lock_folder(staged))
        for name, table in tables.items():
            with atomic_write(staged / f"{name}.parquet") as file:
                pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        if saved is not None:
            with atomic_write(staged / SAVED) as file:
                write_saved(file, saved)
        with atomic_write(staged / SUMMARY) as file:
            file.write(orjson.dumps({"format": FORMAT, **summary}, option=orjson.OPT_INDENT_2) + b"\n")
        if folder.exists():
            locks.enter_context(lock_folder(folder))
            folder.rename(previous)
        staged.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:  # name the requested folder, not the staging folder
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    finally:
        if previous.exists() and not folder.exists():
            previous.rename(folder)
        remove_tree(staged)
        remove_tree(previous)


def _clear_leftovers(folder: Path) -> None:
    """Clean up after killed writers: restore results that were moved aside, and remove everything else."""
    staged_name = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}\.(new|old)")
    for leftover in sorted(folder.parent.iterdir()):
        match = staged_name.fullmatch(leftover.name)
        if match is None or not leftover.is_dir():
            continue
        with suppress(BlockingIOError), lock_folder(leftover, wait=False):
            if match[1] == "old" and not folder.exists():
                leftover.rename(folder)
            else:
                remove_tree(leftover)
