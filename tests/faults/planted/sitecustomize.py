"""Loaded by every Python process that has this folder on its path: plants the bug that SHOAL_PLANTED names.

It works from outside, so that the product needs no switch, and first of all, so that servers, workers and runs all have
the bug. A module is changed right after it is loaded.
"""

import importlib.util
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Changing(Loader):
    """Loads as the real loader does, then lets the bug change the module."""

    def __init__(self, real: Loader, change: object) -> None:
        self._real, self._change = real, change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        self._change(module)  # type: ignore[operator]  # a function of bugs.py


class _Planter(MetaPathFinder):
    def __init__(self, bug: dict[str, object]) -> None:
        self._bug = bug

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        change = self._bug.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Changing(spec.loader, change)
        return spec


if os.environ.get("SHOAL_PLANTED"):
    from bugs import BUGS  # type: ignore[import-not-found]  # this folder is on the path only where bugs are planted

    sys.meta_path.insert(0, _Planter(dict(BUGS[os.environ["SHOAL_PLANTED"]])))
