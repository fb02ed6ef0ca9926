"""Where rows may be written to: no file that is read, none of others, nothing that is no file."""

import fnmatch
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from shoal.errors import Conflict, InvalidField
from shoal.files.columnar.row_writers import written_format
from shoal.files.layout import COMMAND, Options
from shoal.files.shards import is_pattern
from shoal.library.written.earlier_files import is_earlier

__all__ = ["check_target"]

_WRITABLE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def check_target(
    path: Path, sources: Sequence[Path], *, overwrite: bool, options: Options = COMMAND, results: Path | None = None
) -> None:
    """Whether the rows of `sources` may be written to `path`, before anything is computed.

    An earlier file of clustered rows is replaced, unless it is read-only; any other only with `overwrite`, and never
    what is read. Raises InvalidField for a name that no format has, Conflict for the rest, and for a file in the folder
    of `results`, which holds nothing else.
    """
    option = options.write
    written_format(path, option)
    folder = _target(path, option).parent
    if not folder.is_dir():
        raise Conflict(f"{option}: there is no folder {folder}. Make it first, or choose another.")
    for source in sources:
        if _is_read(path.resolve(), source):
            raise Conflict(
                f"{option}: {path} is or lies in what is read. Choose another name; your file stays as it is."
            )
    if path.is_dir():
        raise Conflict(f"{option}: {path} is a folder. Choose the name of a file.")
    if path.exists() and not path.is_file():
        raise Conflict(f"{option}: {path} is a pipe or a device, which takes no whole file. Choose the name of a file.")
    if results is not None and _target(path, option).is_relative_to(results.resolve()):
        raise Conflict(
            f"{option}: {path} lies in the folder of results, which is replaced whole. Choose another folder."
        )
    if path.exists() and not overwrite and not path.stat().st_mode & _WRITABLE:
        raise Conflict(f"{option}: {path} is read-only. Choose another name, or {options.overwrite}.")
    if path.exists() and not overwrite and not is_earlier(path):
        raise Conflict(
            f"{option}: {path} is there already, and no file of clustered rows. Choose another name, or "
            f"{options.overwrite}."
        )


def _target(path: Path, option: str) -> Path:
    """Where a path leads to. Raises InvalidField for one that leads nowhere, and for a name that no disk takes."""
    try:
        found = path.resolve()
        found.parent.stat()
        with suppress(FileNotFoundError):
            found.stat()
    except FileNotFoundError:
        return found
    except (OSError, RuntimeError, ValueError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "symbolic links in a circle, or a character of no name"
        )
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise InvalidField(
            option, f"cannot be written ({reason})", value=shown, remedy="Choose another name."
        ) from None
    return found


def _is_read(path: Path, source: Path) -> bool:
    """Whether a path is a file that is read, or lies in the folder, or would match the pattern, that is read."""
    if is_pattern(source):
        return _matches(path, source.absolute())
    if source.is_dir():
        return path.is_relative_to(source.resolve())
    return path.exists() and source.exists() and path.samefile(source)


def _matches(path: Path, pattern: Path) -> bool:
    if "**" in pattern.parts:
        return fnmatch.fnmatchcase(str(path), str(pattern))
    return len(path.parts) == len(pattern.parts) and all(map(fnmatch.fnmatchcase, path.parts, pattern.parts))
