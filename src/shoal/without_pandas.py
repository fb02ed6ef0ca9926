"""Keeps pandas out of Shoal's own processes: the command line, the server, its workers and readers.

If pandas is installed, pyarrow imports it at the first array of Python values, to check whether they are a Series. That
costs most of a second of processor time for each command and each file that a server reads; none uses a Series.
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
        """Return None for other modules, which leaves them to the next finders."""
        if fullname == "pandas":
            raise ModuleNotFoundError("No module named 'pandas': this process goes without it", name=fullname)
        return None


def keep_pandas_out() -> None:
    """Make pandas look as if it were not installed, in this process and its forks, from now on."""

    sys.meta_path.insert(0, _NoPandas())
