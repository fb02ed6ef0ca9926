"""Errors about a parameter name the option that was typed."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from shoal.errors import InvalidField

__all__ = ["options_named"]

_OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "algorithm": "--algorithm",
        "delimiter": "--delimiter",
        "encoding": "--encoding",
        "format": "--format",
        "id_column": "--id",
        "n_clusters": "--clusters",
        "sample_size": "--sample",
        "seed": "--seed",
        "sidecar": "--sidecar",
        "threads": "--threads",
    }
)


@contextmanager
def options_named(params: Collection[str] = ()) -> Iterator[None]:
    """An InvalidField about a parameter of the library names the option; `params` are those given with `--param`."""
    try:
        yield
    except InvalidField as error:
        if error.field in params:
            error.move(f"--param {error.field}", error.problem)
        elif error.field in _OPTIONS:
            error.move(_OPTIONS[error.field], error.problem)
        raise
