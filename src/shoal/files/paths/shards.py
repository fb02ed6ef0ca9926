"""Expands a folder or a pattern to its files, in a deterministic order."""

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Final, TypeAlias
from urllib.parse import unquote

from shoal.errors import InvalidField
from shoal.files.formats import check_file, format_from_name
from shoal.files.paths.addresses import Address, Places
from shoal.files.paths.own_results import ResultFolders, is_results_folder

__all__ = [
    "Files",
    "Shard",
    "check_path",
    "display_name",
    "find_shards",
    "is_multiple",
    "is_pattern",
    "results_name",
    "total_size",
]  # fmt: skip

Files: TypeAlias = Path | Sequence[Path]
"""A local file, folder or pattern, or several of them."""

_SKIPPED: Final = (".", "_")
"""Hidden files, and what Spark and Hadoop write beside the data: `_SUCCESS`, `_metadata`, `_temporary`."""
_WILD: Final = re.compile(r"[*?\[]")
_PARTITION: Final = re.compile(r"([^=]+)=(.*)", re.DOTALL)
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
_COMBINABLE: Final[Mapping[str, str]] = MappingProxyType(
    {"parquet": "Parquet", "csv": "CSV", "tsv": "TSV", "jsonl": "JSON lines", "json": "JSON"}
)
"""Formats of which several files can be read as one table."""
_DIGITS: Final = re.compile(r"(\d+)")
_NO_NAMES: Final[Mapping[Path, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several files. `partition` holds the values in its folder names: `lang=en` is the field lang; None for
    null."""

    path: Path
    name: str
    partition: Mapping[str, str | None]


def is_pattern(path: Path) -> bool:
    """Return whether a path is a pattern: it has a wildcard, and no file has that name."""
    return _WILD.search(str(path)) is not None and not path.exists()


def is_multiple(path: Files) -> bool:
    """Return whether a path stands for files that are read as one table."""
    return not isinstance(path, Path) or is_pattern(path) or path.is_dir()


def find_shards(path: Files, label: str, format: str | None, names: Mapping[Path, str] = _NO_NAMES) -> Sequence[Shard]:
    """Return the files of a folder, those that match a pattern, or those that are named, in natural order.

    Hidden files, files that start with `_`, and folders of results below the named one are skipped. `names` maps
    folders of downloaded files to their addresses. Raises InvalidField where there is no file, where formats differ,
    and where the partition fields of folders differ.
    """
    if not isinstance(path, Path):
        paths = dict.fromkeys(path)
        for named_path in paths:
            check_path(named_path)
        files, parent = {file: 0 for named_path in paths for file in _expand(named_path)}, Path()
    elif is_pattern(path):
        files, parent = dict.fromkeys(_match_files(path), 0), _literal_prefix(path)
        if not files:
            raise InvalidField(label, "matches no file", remedy="Check the pattern.")
    else:
        files, parent = dict.fromkeys(_walk(path, frozenset()), 0), path
        if not files:
            raise InvalidField(label, "is a folder without files", remedy="Check the path.")
    prefix = f"{label}/" if isinstance(path, Path) and not is_pattern(path) else ""
    relative = {file: file.relative_to(parent) if isinstance(path, Path) else file for file in files}
    display_names = {
        file: _find_fetched_name(file, names) or f"{prefix}{named_path.as_posix()}"
        for file, named_path in relative.items()
    }
    ordered = sorted(files, key=lambda file: _natural_key(PurePath(display_names[file])))
    _check_formats(ordered, label, format)
    shards = [Shard(file, display_names[file], _parse_partition(relative[file])) for file in ordered]
    _check_partitions(shards)
    return shards


def _find_fetched_name(file: Path, names: Mapping[Path, str]) -> str | None:
    """Return the address a file was downloaded from; None for a local file."""
    for folder, name in names.items():
        if file.is_relative_to(folder):
            return f"{name.rstrip('/')}/{file.relative_to(folder).as_posix()}"
    return None


def _match_files(pattern: Path) -> set[Path]:
    """Return the files that match, and those in folders that match, without skipped ones."""
    parent, results = _literal_prefix(pattern), ResultFolders()
    matches = (Path(match) for match in glob.glob(str(pattern), recursive=True))  # noqa: PTH207  # paths may be absolute
    included = (
        match
        for match in matches
        if not _is_skipped(match.relative_to(parent), parent, results) and not _is_circular(match)
    )
    return {file for match in included for file in (_walk(match, frozenset()) if match.is_dir() else [match])}


def _is_skipped(relative: PurePath, parent: Path, results: ResultFolders) -> bool:
    """Return whether a path below `parent` has a hidden part, or leads through a folder of results."""
    if any(name.startswith(_SKIPPED) for name in relative.parts):
        return True
    return any(parent / folder in results for folder in (relative, *relative.parents) if folder.parts)


def _expand(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from _walk(path, frozenset())
    elif is_pattern(path):
        yield from (shard.path for shard in find_shards(path, display_name(path), None))
    else:
        yield path


def check_path(path: Files) -> None:
    """Raise InvalidField where there is no file, folder or matching file, without reading any."""
    if not isinstance(path, Path) or is_pattern(path) or path.is_dir():
        find_shards(path, display_name(path), None)
    else:
        check_file(path, display_name(path))


def display_name(path: Places) -> str:
    """Return the name of a path or an address in errors, even of `.`."""
    if isinstance(path, Address):
        return path.name
    if not isinstance(path, Path):
        return f"{display_name(path[0])} and {len(path) - 1:,} more" if len(path) > 1 else display_name(path[0])
    return path.name or path.absolute().name or str(path)


def results_name(path: Places) -> str:
    """Return a name for the results of a file: its stem; for several files the folder they are in."""
    if isinstance(path, Address):
        return _strip_suffixes(_WILD.sub("_", path.name))
    if not isinstance(path, Path):
        first = path[0]
        parent = first.absolute().parent.name if isinstance(first, Path) else first.redacted.split("/")[-2]
        return parent or "results"
    if is_pattern(path):
        return _literal_prefix(path).absolute().name or "results"
    if path.is_dir():
        return path.resolve().name.removesuffix(".parquet") or "results"
    return _strip_suffixes(path.name)


def _strip_suffixes(name: str) -> str:
    path = Path(name)
    return (path.stem if path.suffix.lower() != ".gz" else Path(path.stem).stem) or "results"


def total_size(path: Files) -> int:
    """Return the bytes of a file, or of all files of a folder or a pattern; 0 where there is none."""
    if not isinstance(path, Path):
        return sum(map(total_size, path))
    if path.is_dir():
        return sum(total_size(file) for file in _walk(path, frozenset()))
    if is_pattern(path):
        return sum(file.stat().st_size for file in _match_files(path) if file.exists())
    return path.stat().st_size if path.exists() else 0


def _walk(folder: Path, ancestors: frozenset[str]) -> Iterator[Path]:
    """Yield all files below a folder. Links are followed, except in cycles and to a folder that contains this one."""
    real = os.path.realpath(folder)
    if any(Path(ancestor).is_relative_to(real) for ancestor in ancestors):
        return
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise InvalidField(
            str(folder), f"cannot be read ({error.strerror})", remedy="Check its permissions."
        ) from error
    for entry in entries:
        if entry.name.startswith(_SKIPPED) or is_results_folder(entry):
            continue
        if entry.is_dir():
            yield from _walk(entry, ancestors | {real})
        else:
            yield entry


def _is_circular(path: Path) -> bool:
    """Return whether a path leads through a link back to one of its own parents."""
    reals = [os.path.realpath(parent) for parent in path.absolute().parents]
    return len(set(reals)) < len(reals)


def _literal_prefix(pattern: Path) -> Path:
    """Return the folders before the first wildcard."""
    parts = pattern.parts
    first = next(at for at, part in enumerate(parts) if _WILD.search(part))
    return Path(*parts[:first])


def _natural_key(path: PurePath) -> tuple[list[tuple[list[tuple[int, int, str]]]], str]:
    """Return a sort key that puts part-2 before part-10."""
    pieces = [
        ([(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in _DIGITS.split(part)],)
        for part in path.parts
    ]
    return pieces, path.as_posix()


def _check_formats(files: Sequence[Path], label: str, format: str | None) -> None:
    """Raise InvalidField unless all files have one format of which several can be combined."""
    kinds = {file: format_from_name(file, format) for file in files}
    tables = [kind for kind in kinds.values() if kind is not None and kind in _COMBINABLE]
    if not tables:
        problem = f"holds no file of a format that can be combined, but {files[0].name!r}"
        raise InvalidField(label, problem, remedy="Shoal reads this format one file at a time: name the file.")
    usual = max(dict.fromkeys(tables), key=tables.count)
    mismatch = next((file for file in files if kinds[file] != usual), None)
    if mismatch is not None:
        problem = f"holds {mismatch.name!r} beside {_COMBINABLE[usual]} files"
        remedy = f"Name those alone, such as 'FOLDER/*.{usual}' in quotes."
        raise InvalidField(label, problem, remedy=remedy)


def _parse_partition(relative: Path) -> Mapping[str, str | None]:
    fields: dict[str, str | None] = {}
    for part in relative.parts[:-1]:
        if (match := _PARTITION.fullmatch(part)) is not None:
            value = unquote(match[2])
            fields[unquote(match[1])] = None if value == _NO_VALUE else value
    return fields


def _check_partitions(shards: Sequence[Shard]) -> None:
    first = shards[0]
    for shard in shards:
        if list(shard.partition) != list(first.partition):
            problem = (
                f"is in folders for {_format_fields(shard)}, and {first.name} in folders for {_format_fields(first)}"
            )
            raise InvalidField(shard.name, problem, remedy="Put all files into folders of the same fields.")


def _format_fields(shard: Shard) -> str:
    return ", ".join(map(repr, shard.partition)) or "no field"
