"""Keeps pandas out of processes that are Shoal's own: the command line, the server, its workers and readers.

Where pandas is installed, pyarrow imports it at the first array of Python values, to ask whether they are a Series.
That takes most of a second of processor time, once a command and once a file that a server reads, and none has one.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["keep_pandas_out"]


class _NoPandas(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for everything else, which the finders behind this one look for."""
        if fullname == "pandas":
            raise ModuleNotFoundError("No module named 'pandas': this process goes without it", name=fullname)
        return None


def keep_pandas_out() -> None:
    """From now on pandas is as if it were not installed, in this process and its forks."""
    sys.meta_path.insert(0, _NoPandas())
