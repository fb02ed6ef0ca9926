"""The registry of algorithms and the validation of their parameters."""

import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from shoal.engine.algorithms.agglomerative import AGGLOMERATIVE
from shoal.engine.algorithms.auto import AUTO
from shoal.engine.algorithms.base import Algorithm, Fit
from shoal.engine.algorithms.dbscan import DBSCAN
from shoal.engine.algorithms.evoc import EVOC
from shoal.engine.algorithms.gaussian_mixture import GAUSSIAN_MIXTURE
from shoal.engine.algorithms.hdbscan import HDBSCAN
from shoal.engine.algorithms.kmeans import KMEANS
from shoal.engine.algorithms.leiden import LEIDEN
from shoal.engine.algorithms.mean_shift import MEAN_SHIFT
from shoal.engine.algorithms.optics import OPTICS
from shoal.engine.algorithms.spectral import SPECTRAL
from shoal.errors import InvalidField
from shoal.scalars import unwrap

__all__ = ["ALGORITHMS", "Algorithm", "Fit", "check_params", "count_parameter", "find_algorithm"]
__all__ += ["canonicalize_count", "parameter_names"]

_COUNT_NAMES: Final = ("n_clusters", "n_components", "approx_n_clusters")
"""Parameter names for the number of clusters. Each algorithm also accepts those of the others."""
_MIN_SIMILARITY: Final = 0.8
"""Similarity at which an unknown parameter name is taken for a misspelling of a known one."""

ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {
        "agglomerative": AGGLOMERATIVE,
        "auto": AUTO,
        "dbscan": DBSCAN,
        "evoc": EVOC,
        "gaussian_mixture": GAUSSIAN_MIXTURE,
        "hdbscan": HDBSCAN,
        "kmeans": KMEANS,
        "leiden": LEIDEN,
        "mean_shift": MEAN_SHIFT,
        "optics": OPTICS,
        "spectral": SPECTRAL,
    }
)

_SDK_KMEANS_DEFAULTS: Final = MappingProxyType(
    {
        "n_clusters": 8,
        "max_iter": 300,
        "random_state": 42,
        "n_init": 10,
        "tol": 0.0001,
        "init": "k-means++",
        "verbose": 0,
        "copy_x": True,
        "algorithm": "lloyd",
    }
)
"""The k-means defaults, which the SDK substitutes for any dict (contract.md#what-the-official-sdk-sends)."""


_ALIASES: Final = MappingProxyType(
    {
        "gmm": "gaussian_mixture",
        "mixture": "gaussian_mixture",
        "hierarchical": "agglomerative",
        "ward": "agglomerative",
        "linkage": "agglomerative",
        "louvain": "leiden",
        "communities": "leiden",
        "bertopic": "auto",
        "umap": "auto",
        "minibatchkmeans": "kmeans",
        "sphericalkmeans": "kmeans",
    }
)
"""Common names of the methods, or of tools that use them."""


def find_algorithm(name: object) -> Algorithm:
    """Look up an algorithm by name. Raises InvalidField."""
    if isinstance(name, str) and name in ALGORITHMS:
        return ALGORITHMS[name]
    near = _suggest_algorithm(name) if isinstance(name, str) else None
    hint = f"Did you mean {near!r}? " if near else ""
    offered = sorted(set(ALGORITHMS) - {"evoc"})  # which is auto under the name of the wire
    raise InvalidField("algorithm", "is not known", value=name, remedy=f"{hint}Use {' or '.join(offered)}.")


def _suggest_algorithm(name: str) -> str | None:
    """The algorithm that a misspelt name or an alias refers to."""
    spelt = {other.replace("_", ""): other for other in ALGORITHMS} | _ALIASES
    matches = get_close_matches(re.sub(r"[^a-z]", "", name.casefold()), spelt, 1)
    return spelt[matches[0]] if matches else None


def count_parameter(algorithm: str) -> str | None:
    """The algorithm's parameter for the number of clusters, None if it has none. Raises InvalidField."""
    names = {field.name for field in fields(find_algorithm(algorithm).params)}
    return next((name for name in _COUNT_NAMES if name in names), None)


def parameter_names(algorithm: str) -> frozenset[str]:
    """Every parameter name the algorithm accepts, including all names for the number of clusters. Raises
    InvalidField."""
    own = frozenset(field.name for field in fields(find_algorithm(algorithm).params))
    return own if own.isdisjoint(_COUNT_NAMES) else own.union(_COUNT_NAMES)


def canonicalize_count(algorithm: str, params: Mapping[str, object]) -> dict[str, object]:
    """Parameters with the number of clusters under the algorithm's own name for it."""
    alias = _find_count_alias(algorithm, params)
    if alias is None:
        return dict(params)
    return {name: value for name, value in params.items() if name not in alias} | {alias[1]: params[alias[0]]}


def check_params(algorithm: str, params: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    """Validate parameters and fill in defaults.

    NumPy scalars count as the numbers they hold. The number of clusters may be given under the name another algorithm
    uses. Unknown names are dropped with a warning; null selects the default.

    Returns
    -------
    The parameters of the algorithm, and warnings about those that were dropped.

    Raises
    ------
    InvalidField
        For an unknown algorithm (`algorithm`) and for an invalid value (`algorithm_params.<name>`).
    """
    kind = find_algorithm(algorithm).params
    names = {field.name: field.name for field in fields(kind)}
    alias = _find_count_alias(algorithm, params)
    names |= {} if alias is None else dict([alias])
    used = {} if algorithm != "kmeans" and dict(params) == dict(_SDK_KMEANS_DEFAULTS) else params
    values = {names[name]: unwrap(value) for name, value in used.items() if name in names and value is not None}
    try:
        checked = kind(**values)
    except InvalidField as error:
        name = alias[0] if alias is not None and error.field == alias[1] else error.field
        raise InvalidField(f"algorithm_params.{name}", error.problem, value=params[name]) from None
    return asdict(checked), _collect_warnings(algorithm, params, names)


def _find_count_alias(algorithm: str, params: Mapping[str, object]) -> tuple[str, str] | None:
    """The name under which the number of clusters was given, and the algorithm's own; None if they are the same."""
    count, own = count_parameter(algorithm), {field.name for field in fields(find_algorithm(algorithm).params)}
    if count is None or params.get(count) is not None:
        return None
    others = (name for name in _COUNT_NAMES if name not in own and params.get(name) is not None)
    return next(((name, count) for name in others), None)


def _collect_warnings(algorithm: str, params: Mapping[str, object], accepted: Mapping[str, str]) -> list[str]:
    filled = (
        _SDK_KMEANS_DEFAULTS
        if set(params) == set(_SDK_KMEANS_DEFAULTS) and dict(params) != dict(_SDK_KMEANS_DEFAULTS)
        else {}
    )
    unknown = sorted(
        name for name, value in params.items() if name not in accepted and value not in (None, filled.get(name))
    )
    if not unknown:
        return []
    if dict(params) == dict(_SDK_KMEANS_DEFAULTS):
        hint = " or send them as hdbscan_parameters" if algorithm == "hdbscan" else ""
        return [
            f"algorithm_params holds the K-means defaults, which are not those of {algorithm}; they were ignored. The "
            "Mixpeek SDK turns a plain dict into this set, and your values are lost before they are sent: wrap them "
            f"in AlgorithmParams({{...}}){hint}."
        ]
    names = ", ".join(repr(name) for name in unknown)
    own = ", ".join(sorted(set(accepted.values())))
    near = [
        get_close_matches(name.casefold(), [*accepted, *_accepted_count_names(accepted)], 1, _MIN_SIMILARITY)
        for name in unknown
    ]
    hint = "".join(f" Did you mean {match[0]!r}?" for match in near if match)
    return [f"algorithm_params: {algorithm} does not know {names}; ignored.{hint} It knows {own}."]


def _accepted_count_names(accepted: Mapping[str, str]) -> tuple[str, ...]:
    """Names accepted for the number of clusters, if the algorithm has such a parameter."""
    return _COUNT_NAMES if any(name in accepted for name in _COUNT_NAMES) else ()
