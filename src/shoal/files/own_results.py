"""Which folders hold results of Shoal: they are no documents, so folders and patterns leave them out."""

from pathlib import Path
from typing import Final

import orjson

__all__ = ["FORMAT", "SUMMARY", "ResultFolders", "holds_results", "is_summary"]

FORMAT: Final = "shoal-results-1"
"""Stands in `summary.json` under `format`; a folder without it is not ours to replace."""
SUMMARY: Final = "summary.json"
_DEFAULT: Final = "shoal-out"
"""Where results go unless another folder is named."""


class ResultFolders:
    """Every folder that holds results; each is looked at once."""

    def __init__(self) -> None:
        self._known = dict[Path, bool]()

    def __contains__(self, path: Path) -> bool:
        if path not in self._known:
            self._known[path] = holds_results(path)
        return self._known[path]


def holds_results(path: Path) -> bool:
    """Whether a path is a folder of results, or the one that they go to by default."""
    return path.is_dir() and (path.name == _DEFAULT or is_summary(path / SUMMARY))


def is_summary(path: Path) -> bool:
    """Whether a file is the summary of results in our format."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT
