"""Recognizes folders of Shoal's results, which are not documents: folders and patterns skip them."""

from pathlib import Path
from typing import Final

import orjson

__all__ = ["FORMAT", "SUMMARY", "ResultFolders", "is_results_folder", "is_summary"]

FORMAT: Final = "shoal-results-1"
"""The value of `format` in `summary.json`; a folder without it is never replaced."""
SUMMARY: Final = "summary.json"
_DEFAULT: Final = "shoal-out"
"""The default folder of results."""


class ResultFolders:
    """The set of folders that hold results; each is inspected once."""

    def __init__(self) -> None:
        self._cache = dict[Path, bool]()

    def __contains__(self, path: Path) -> bool:
        if path not in self._cache:
            self._cache[path] = is_results_folder(path)
        return self._cache[path]


def is_results_folder(path: Path) -> bool:
    """Return whether a path is a folder of results, or the default one."""
    return path.is_dir() and (path.name == _DEFAULT or is_summary(path / SUMMARY))


def is_summary(path: Path) -> bool:
    """Return whether a file is the summary of a folder of results."""
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT
