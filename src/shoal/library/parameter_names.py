"""Parameters that an algorithm does not have: what was meant, also by those who know the name from another library."""

import difflib
from collections.abc import Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Final

from shoal.engine.algorithms import ALGORITHMS, count_parameter, find_algorithm
from shoal.errors import InvalidField

__all__ = ["unknown_parameter"]

_ELSEWHERE: Final = MappingProxyType(
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
"""What BERTopic, scikit-learn, hdbscan and others call it, and what it is here."""
_COUNT: Final = "n_clusters"
_CLOSE: Final = 0.75
_OWN_NAME: Final = "evoc"
"""An algorithm of the wire that is `auto`."""


def unknown_parameter(algorithm: str, name: str, value: object, arguments: Sequence[str] = (_COUNT,)) -> InvalidField:
    """The error about a name that an algorithm has no parameter for.

    Parameters
    ----------
    algorithm : str
        The one that was asked for.
    name, value
        What was given.
    arguments : sequence of str
        What the caller takes for every algorithm.
    """
    own = _parameters_of(algorithm)
    meant = (
        None if name == _COUNT else _meant(name, [*(one for one in arguments if one != _COUNT or _COUNT in own), *own])
    )
    others = [other for other in ALGORITHMS if other != _OWN_NAME and name in _parameters_of(other)]
    if meant:
        hint = f"Did you mean {meant}? "
    elif others:
        hint = f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'} it. "
    else:
        hint = ""
    remedy = f"{hint}{algorithm} takes {', '.join(own)}."
    return InvalidField(name, f"is no parameter of {algorithm}, and no argument", value=value, remedy=remedy)


def _meant(name: str, known: Sequence[str]) -> str | None:
    elsewhere = _ELSEWHERE.get(name.casefold())
    if elsewhere in known:
        return elsewhere
    close = difflib.get_close_matches(name.casefold(), known, 1, _CLOSE)
    return close[0] if close else None


def _parameters_of(algorithm: str) -> list[str]:
    """The parameters by the names that callers use: how many clusters is `n_clusters`, whatever the algorithm says."""
    names = [one.name for one in fields(find_algorithm(algorithm).params)]
    return names if count_parameter(algorithm) is None else list(dict.fromkeys([_COUNT, *names]))
