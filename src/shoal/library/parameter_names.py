"""Errors about unknown parameters, which suggest the right one, also for names from other libraries."""

import difflib
from collections.abc import Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Final

from shoal.engine.algorithms import ALGORITHMS, count_parameter, find_algorithm
from shoal.errors import InvalidField

__all__ = ["unknown_parameter_error"]

_ALIASES: Final = MappingProxyType(
    {
        name: own
        for own, names in {
            "n_clusters": "k nr_topics num_topics n_topics num_clusters clusters nclusters n_cluster approx_n_clusters "
            "n_components",
            "min_cluster_size": "min_topic_size min_size min_samples_leaf",
            "text": "texts docs documents",
            "vector": "vectors embeddings embedding x",
            "id": "ids index",
            "seed": "random_state random_seed",
            "threads": "n_jobs num_threads workers n_threads core_dist_n_jobs",
            "progress": "verbose show_progress_bar show_progress",
            "normalize": "normalise normalized",
            "cluster_selection_epsilon": "epsilon",
            "algorithm": "method clusterer hdbscan_model cluster_model",
        }.items()
        for name in names.split()
    }
)
"""Names in BERTopic, scikit-learn, hdbscan and others, and the name here."""
_COUNT: Final = "n_clusters"
_CLOSE: Final = 0.75
_OWN_NAME: Final = "evoc"
"""The name of `auto` on the wire."""


def unknown_parameter_error(
    algorithm: str, name: str, value: object, arguments: Sequence[str] = (_COUNT,)
) -> InvalidField:
    """Build the error about a parameter that an algorithm does not have.

    Parameters
    ----------
    algorithm : str
        The requested algorithm.
    name, value
        The unknown parameter.
    arguments : sequence of str
        Arguments that the caller takes for every algorithm.
    """
    parameters = _list_parameters(algorithm)
    guess = (
        None
        if name == _COUNT
        else _guess_parameter(
            name, [*(argument for argument in arguments if argument != _COUNT or _COUNT in parameters), *parameters]
        )
    )
    others = [
        other_algorithm
        for other_algorithm in ALGORITHMS
        if other_algorithm != _OWN_NAME and name in _list_parameters(other_algorithm)
    ]
    if guess:
        hint = f"Did you mean {guess}? "
    elif others:
        hint = f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'} it. "
    else:
        hint = ""
    remedy = f"{hint}{algorithm} takes {', '.join(parameters)}."
    return InvalidField(name, f"is neither a parameter of {algorithm} nor an argument", value=value, remedy=remedy)


def _guess_parameter(name: str, names: Sequence[str]) -> str | None:
    alias = _ALIASES.get(name.casefold())
    if alias in names:
        return alias
    close = difflib.get_close_matches(name.casefold(), names, 1, _CLOSE)
    return close[0] if close else None


def _list_parameters(algorithm: str) -> list[str]:
    """Return the parameters under their public names: the number of clusters is `n_clusters` for every algorithm."""
    names = [parameter.name for parameter in fields(find_algorithm(algorithm).params)]
    return names if count_parameter(algorithm) is None else list(dict.fromkeys([_COUNT, *names]))
