"""Optional packages, imported when they are needed."""

from importlib import import_module
from typing import Any

from shoal.errors import InvalidField

__all__ = ["import_optional"]


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
