"""Which files a folder or a pattern stands for, in an order that is always the same."""

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
from shoal.files.addresses import Address, Places
from shoal.files.formats import check_file, format_by_name
from shoal.files.own_results import ResultFolders, holds_results

__all__ = [
    "Files", "Shard", "are_several", "check_path", "find_shards", "is_pattern", "name_of", "results_name", "size_of",
]  # fmt: skip

Files: TypeAlias = Path | Sequence[Path]
"""A file, a folder, a pattern, or several of them, on this machine."""

_SKIPPED: Final = (".", "_")
"""Hidden files, and what Spark and Hadoop write beside the data: `_SUCCESS`, `_metadata`, `_temporary`."""
_WILD: Final = re.compile(r"[*?\[]")
_PARTITION: Final = re.compile(r"([^=]+)=(.*)", re.DOTALL)
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
_TOGETHER: Final[Mapping[str, str]] = MappingProxyType(
    {"parquet": "Parquet", "csv": "CSV", "tsv": "TSV", "jsonl": "JSON lines", "json": "JSON"}
)
"""The formats of files that may be read as one table."""
_DIGITS: Final = re.compile(r"(\d+)")
_NO_NAMES: Final[Mapping[Path, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of several. `partition` is what the names of its folders say: `lang=en` is the field lang; None where
    the value is missing."""

    path: Path
    name: str
    partition: Mapping[str, str | None]


def is_pattern(path: Path) -> bool:
    """Whether a path stands for all files that match it: it has a wildcard, and there is no file of that name."""
    return _WILD.search(str(path)) is not None and not path.exists()


def are_several(path: Files) -> bool:
    """Whether a path stands for files that are read as one table."""
    return not isinstance(path, Path) or is_pattern(path) or path.is_dir()


def find_shards(path: Files, label: str, format: str | None, names: Mapping[Path, str] = _NO_NAMES) -> Sequence[Shard]:
    """The files of a folder, those that match a pattern, or those that are named, ordered by name with numbers in
    their order.

    What is hidden or begins with `_` is left out, and so are folders of results below the one that is named. `names`
    says what folders stand for that hold what was fetched from elsewhere. Raises
    InvalidField where there is no file, where they are not of one format, and where the folders of partitions differ.
    """
    if not isinstance(path, Path):
        named = dict.fromkeys(path)
        for one in named:
            check_path(one)
        files, parent = {file: 0 for one in named for file in _files_of(one)}, Path()
    elif is_pattern(path):
        files, parent = dict.fromkeys(_matching(path), 0), _fixed_part(path)
        if not files:
            raise InvalidField(label, "matches no file", remedy="Check the pattern.")
    else:
        files, parent = dict.fromkeys(_walk(path, frozenset()), 0), path
        if not files:
            raise InvalidField(label, "is a folder without files", remedy="Check the path.")
    prefix = f"{label}/" if isinstance(path, Path) and not is_pattern(path) else ""
    relative = {file: file.relative_to(parent) if isinstance(path, Path) else file for file in files}
    shown = {file: _shown(file, names) or f"{prefix}{one.as_posix()}" for file, one in relative.items()}
    ordered = sorted(files, key=lambda file: _natural(PurePath(shown[file])))
    _check_formats(ordered, label, format)
    shards = [Shard(file, shown[file], _partition(relative[file])) for file in ordered]
    _check_partitions(shards)
    return shards


def _shown(file: Path, names: Mapping[Path, str]) -> str | None:
    """Where a file was fetched from; None for one that lies here."""
    for folder, name in names.items():
        if file.is_relative_to(folder):
            return f"{name.rstrip('/')}/{file.relative_to(folder).as_posix()}"
    return None


def _matching(pattern: Path) -> set[Path]:
    """The files that match, and those in folders that match, but for what is left out."""
    parent, results = _fixed_part(pattern), ResultFolders()
    found = (Path(one) for one in glob.glob(str(pattern), recursive=True))  # noqa: PTH207  # paths may be absolute
    kept = (
        one for one in found if not _is_left_out(one.relative_to(parent), parent, results) and not _is_circular(one)
    )
    return {file for one in kept for file in (_walk(one, frozenset()) if one.is_dir() else [one])}


def _is_left_out(relative: PurePath, parent: Path, results: ResultFolders) -> bool:
    """Whether a name on the way from `parent` is hidden or Spark's, or a folder there holds results."""
    if any(name.startswith(_SKIPPED) for name in relative.parts):
        return True
    return any(parent / one in results for one in (relative, *relative.parents) if one.parts)


def _files_of(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from _walk(path, frozenset())
    elif is_pattern(path):
        yield from (shard.path for shard in find_shards(path, name_of(path), None))
    else:
        yield path


def check_path(path: Files) -> None:
    """Raises InvalidField where there is no file, and no folder or pattern of files, without reading any."""
    if not isinstance(path, Path) or is_pattern(path) or path.is_dir():
        find_shards(path, name_of(path), None)
    else:
        check_file(path, name_of(path))


def name_of(path: Places) -> str:
    """What names a path or an address in errors, `.` too."""
    if isinstance(path, Address):
        return path.name
    if not isinstance(path, Path):
        return f"{name_of(path[0])} and {len(path) - 1:,} more" if len(path) > 1 else name_of(path[0])
    return path.name or path.absolute().name or str(path)


def results_name(path: Places) -> str:
    """A name for what is made of a file: its own without the ending; of several that of the folder they are in."""
    if isinstance(path, Address):
        return _name_without_ending(_WILD.sub("_", path.name))
    if not isinstance(path, Path):
        first = path[0]
        parent = first.absolute().parent.name if isinstance(first, Path) else first.shown.split("/")[-2]
        return parent or "results"
    if is_pattern(path):
        return _fixed_part(path).absolute().name or "results"
    if path.is_dir():
        return path.resolve().name.removesuffix(".parquet") or "results"
    return _name_without_ending(path.name)


def _name_without_ending(name: str) -> str:
    path = Path(name)
    return (path.stem if path.suffix.lower() != ".gz" else Path(path.stem).stem) or "results"


def size_of(path: Files) -> int:
    """The bytes of a file, or of all files of a folder or a pattern; 0 where there is none."""
    if not isinstance(path, Path):
        return sum(map(size_of, path))
    if path.is_dir():
        return sum(size_of(one) for one in _walk(path, frozenset()))
    if is_pattern(path):
        return sum(one.stat().st_size for one in _matching(path) if one.exists())
    return path.stat().st_size if path.exists() else 0


def _walk(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """All files below a folder. Links are followed, but neither in circles nor to a folder that this one lies in."""
    real = os.path.realpath(folder)
    if any(Path(one).is_relative_to(real) for one in above):
        return
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise InvalidField(
            str(folder), f"cannot be read ({error.strerror})", remedy="Check its permissions."
        ) from error
    for entry in entries:
        if entry.name.startswith(_SKIPPED) or holds_results(entry):
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {real})
        else:
            yield entry


def _is_circular(path: Path) -> bool:
    """Whether a path leads through a link back into a folder that it came from."""
    reals = [os.path.realpath(parent) for parent in path.absolute().parents]
    return len(set(reals)) < len(reals)


def _fixed_part(pattern: Path) -> Path:
    """The folders in front of the first wildcard."""
    parts = pattern.parts
    first = next(at for at, part in enumerate(parts) if _WILD.search(part))
    return Path(*parts[:first])


def _natural(path: PurePath) -> tuple[list[tuple[list[tuple[int, int, str]]]], str]:
    """A key that puts part-2 in front of part-10."""
    pieces = [
        ([(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in _DIGITS.split(part)],)
        for part in path.parts
    ]
    return pieces, path.as_posix()


def _check_formats(files: Sequence[Path], label: str, format: str | None) -> None:
    """Raises InvalidField unless all files are of one format that may lie in several."""
    kinds = {file: format_by_name(file, format) for file in files}
    tables = [kind for kind in kinds.values() if kind is not None and kind in _TOGETHER]
    if not tables:
        problem = f"holds no file that can be one of several, but {files[0].name!r}"
        raise InvalidField(label, problem, remedy="Of its format Shoal reads one file: name it.")
    usual = max(dict.fromkeys(tables), key=tables.count)
    other = next((file for file in files if kinds[file] != usual), None)
    if other is not None:
        problem = f"holds {other.name!r} beside {_TOGETHER[usual]} files"
        remedy = f"Name those alone, such as 'FOLDER/*.{usual}' in quotes."
        raise InvalidField(label, problem, remedy=remedy)


def _partition(relative: Path) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    for part in relative.parts[:-1]:
        if (match := _PARTITION.fullmatch(part)) is not None:
            value = unquote(match[2])
            found[unquote(match[1])] = None if value == _NO_VALUE else value
    return found


def _check_partitions(shards: Sequence[Shard]) -> None:
    first = shards[0]
    for shard in shards:
        if list(shard.partition) != list(first.partition):
            problem = f"is in folders for {_listed(shard)}, and {first.name} in folders for {_listed(first)}"
            raise InvalidField(shard.name, problem, remedy="Put all files into folders of the same fields.")


def _listed(shard: Shard) -> str:
    return ", ".join(map(repr, shard.partition)) or "no field"
