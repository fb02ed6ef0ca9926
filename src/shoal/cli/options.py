"""Names the option that was typed in errors about a parameter."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from shoal.errors import InvalidField

__all__ = ["name_options_in_errors"]

_OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "algorithm": "--algorithm",
        "delimiter": "--delimiter",
        "encoder": "--encoder",
        "encoding": "--encoding",
        "feature_extractor.params.encoder": "--encoder",
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
def name_options_in_errors(params: Collection[str] = ()) -> Iterator[None]:
    """Rename the field of an InvalidField to its option; `params` are those given with `--param`."""
    try:
        yield
    except InvalidField as error:
        if error.field in params:
            error.move(f"--param {error.field}", error.problem)
        elif error.field in _OPTIONS:
            error.move(_OPTIONS[error.field], error.problem)
        raise
