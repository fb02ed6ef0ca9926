"""Hints for method parameters in the wrong place of a body."""

from difflib import get_close_matches
from typing import Final

__all__ = ["is_method_parameter", "right_place"]

_OFTEN: Final = (
    *("n_clusters", "n_components", "approx_n_clusters", "n_topics", "nr_topics", "num_clusters", "num_topics", "k"),
    *("min_cluster_size", "max_cluster_size", "base_min_cluster_size", "min_topic_size", "min_samples", "min_pts"),
    *("eps", "max_eps", "xi", "resolution", "n_neighbors", "metric", "linkage", "affinity", "bandwidth", "gamma"),
    *("covariance_type", "cluster_selection_method", "cluster_selection_epsilon", "cluster_method", "max_iter"),
    *("n_init", "random_state", "seed", "distance_threshold", "noise_level", "tol"),
)
"""Parameters that are often written one level too high, including other libraries' names for the number of clusters."""
_BLOCK_SPELT: Final = 0.8
"""Minimum similarity of a misspelt parameter block: the names of those of two methods are nearly as similar."""


def is_method_parameter(name: str) -> bool:
    """Whether a method may have a parameter of this name."""
    return name.casefold() in _OFTEN


def right_place(name: str, accepted: list[str], block: str = "algorithm_params") -> str | None:
    """Return the message for an unknown key that is a parameter of a method, or a parameter block of another method.

    None if it is neither.
    """
    word = name.casefold()
    is_block = word.endswith(("params", "parameters"))
    if is_block and get_close_matches(word, accepted, 1, _BLOCK_SPELT):
        return None
    if not is_block and not is_method_parameter(word):
        return None
    inside = "…" if is_block else f'"{name}": …'
    return f"is not known. Did you mean {block}? Parameters of a method belong there: {{{inside}}}"
