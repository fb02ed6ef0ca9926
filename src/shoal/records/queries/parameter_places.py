"""Parameters of methods that stand in the wrong place of a body: where they belong."""

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
"""What people write one level too high, other libraries' names for the number of clusters too."""
_BLOCK_SPELT: Final = 0.8
"""How much a misspelt name of a parameter block is like it at least: those of two methods are nearly so."""


def is_method_parameter(name: str) -> bool:
    """Whether a method may have a parameter of this name."""
    return name.casefold() in _OFTEN


def right_place(name: str, known: list[str], block: str = "algorithm_params") -> str | None:
    """What to say of a key that is not known, where it is a parameter of a method, or a parameter block that a method
    does not have; None where it is neither."""
    word = name.casefold()
    is_block = word.endswith(("params", "parameters"))
    if is_block and get_close_matches(word, known, 1, _BLOCK_SPELT):
        return None
    if not is_block and not is_method_parameter(word):
        return None
    inside = "…" if is_block else f'"{name}": …'
    return f"is not known. Did you mean {block}? Parameters of a method stand there: {{{inside}}}"
