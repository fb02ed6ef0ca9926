"""Optional packages, imported when they are needed."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from shoal.errors import InvalidField

__all__ = ["import_optional", "load_model"]


def import_optional(module: str, kind: str) -> Any:
    """Import a package of an extra.

    Parameters
    ----------
    module : str
    kind : str
        Of encoder, and the name of the extra.

    Returns
    -------
    module

    Raises
    ------
    InvalidField
        If it is not installed, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != module:
            raise InvalidField("encoder", f"needs {module}, which does not load: {error}") from None
    raise InvalidField("encoder", f"needs {module}, which is not installed", remedy=f'Run pip install "shoal[{kind}]".')


def load_model(load: Callable[[str], Any], address: str) -> Any:
    """Load a model of an optional package by name or folder. Raises InvalidField if it can't be loaded."""
    try:
        return load(address)
    except (OSError, ValueError) as error:
        raise InvalidField("encoder", f"can't be loaded ({type(error).__name__})", value=address) from None
