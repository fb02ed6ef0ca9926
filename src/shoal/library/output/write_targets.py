"""Checks where rows may be written to: never over a source, nor over foreign files, and only to regular files."""

import fnmatch
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from shoal.errors import Conflict, InvalidField
from shoal.files.columnar.row_writers import parse_output_format
from shoal.files.layout import COMMAND, OptionNames
from shoal.files.paths.shards import is_pattern
from shoal.library.output.earlier_output import is_earlier_output

__all__ = ["check_target"]

_WRITABLE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def check_target(
    path: Path, sources: Sequence[Path], *, overwrite: bool, options: OptionNames = COMMAND, results: Path | None = None
) -> None:
    """Check before any computation that the rows of `sources` may be written to `path`.

    Earlier output is replaced, unless it is read-only; any other file only with `overwrite`, and a source never. Raises
    InvalidField for a suffix without a format, Conflict for anything else, also for a file in the folder of `results`,
    which holds nothing else.
    """
    option = options.write
    parse_output_format(path, option)
    folder = _resolve_target(path, option).parent
    if not folder.is_dir():
        raise Conflict(f"{option}: there is no folder {folder}. Create it first, or choose another.")
    for source in sources:
        if _is_source(path.resolve(), source):
            raise Conflict(
                f"{option}: {path} is or lies in what is read. Choose another name; your file stays as it is."
            )
    if path.is_dir():
        raise Conflict(f"{option}: {path} is a folder. Choose the name of a file.")
    if path.exists() and not path.is_file():
        raise Conflict(
            f"{option}: {path} is a pipe or a device, which cannot be replaced by a file. Choose the name of a file."
        )
    if results is not None and _resolve_target(path, option).is_relative_to(results.resolve()):
        raise Conflict(
            f"{option}: {path} lies in the folder of results, which is replaced whole. Choose another folder."
        )
    if path.exists() and not overwrite and not path.stat().st_mode & _WRITABLE:
        raise Conflict(f"{option}: {path} is read-only. Choose another name, or {options.overwrite}.")
    if path.exists() and not overwrite and not is_earlier_output(path):
        raise Conflict(
            f"{option}: {path} exists already, and is not a file of clustered rows. Choose another name, or "
            f"{options.overwrite}."
        )


def _resolve_target(path: Path, option: str) -> Path:
    """Resolve a path. Raises InvalidField for one that cannot be resolved, and for a name that no disk accepts."""
    try:
        resolved = path.resolve()
        resolved.parent.stat()
        with suppress(FileNotFoundError):
            resolved.stat()
    except FileNotFoundError:
        return resolved
    except (OSError, RuntimeError, ValueError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "symbolic links in a circle, or a character of no name"
        )
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise InvalidField(
            option, f"cannot be written ({reason})", value=shown, remedy="Choose another name."
        ) from None
    return resolved


def _is_source(path: Path, source: Path) -> bool:
    """Return whether a path is a source, or lies in a source folder, or matches a source pattern."""
    if is_pattern(source):
        return _matches_pattern(path, source.absolute())
    if source.is_dir():
        return path.is_relative_to(source.resolve())
    return path.exists() and source.exists() and path.samefile(source)


def _matches_pattern(path: Path, pattern: Path) -> bool:
    if "**" in pattern.parts:
        return fnmatch.fnmatchcase(str(path), str(pattern))
    return len(path.parts) == len(pattern.parts) and all(map(fnmatch.fnmatchcase, path.parts, pattern.parts))
