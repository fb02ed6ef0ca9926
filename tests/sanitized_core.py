"""A pytest plugin that puts the core at SHOAL_SANITIZED_CORE in the place of the installed one: for `make sanitize`."""

import importlib.util
import os
import sys

__all__ = ["pytest_report_header"]

_NAME = "shoal.engine._native"
_PATH = os.environ["SHOAL_SANITIZED_CORE"]


def _load() -> None:
    spec = importlib.util.spec_from_file_location(_NAME, _PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)


def pytest_report_header() -> str:
    """What the tests run on."""
    return f"core: {_PATH}"


_load()
