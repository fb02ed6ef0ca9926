"""Steps that a space goes through before it is clustered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.parallel import one_blas_thread, spans
from shoal.engine.projection import principal_axes
from shoal.errors import InvalidField

__all__ = ["Step", "check_steps", "prepared"]

Floats = NDArray[np.float64]
Apply = Callable[[Points], Points]

_BLOCK: Final = 8192
_KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "pca": ("n_components", "random_state", "whiten", "svd_solver"),
    "whitening": ("regularization",),
}
_LAYOUTS: Final = ("umap", "tsne")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. Names and defaults as in the contract."""

    method: Literal["none", "pca", "whitening"]
    n_components: int | None = None
    """Dimensions that "pca" keeps; None takes 50, fewer where there are not so many."""
    whiten: bool = False
    """Whether "pca" scales its axes to unit variance."""
    regularization: float = 1e-5
    """Added by "whitening" to the variances, as a share of the largest."""


def check_steps(steps: Sequence[Mapping[str, Any]], field: str) -> list[Step]:
    """The steps but "none". Raises InvalidField (`field`[i]...) for what is not known or cannot be done."""
    found = []
    for number, given in enumerate(steps):
        where = f"{field}[{number}]"
        method = given.get("method", "none")
        if method in _LAYOUTS:
            remedy = "Use pca; auto, hdbscan and leiden need no reduction."
            raise InvalidField(f"{where}.method", "is not done before clustering", value=method, remedy=remedy)
        if method not in _KNOWN:
            raise InvalidField(f"{where}.method", f"must be {' or '.join(_KNOWN)}", value=method)
        params = {name: value for name, value in given.items() if name != "method" and value is not None}
        for name, value in params.items():
            if name not in _KNOWN[method]:
                remedy = f"It takes {', '.join(_KNOWN[method]) or 'none'}."
                raise InvalidField(f"{where}.{name}", f"is no parameter of {method}", value=value, remedy=remedy)
        if method != "none":
            found.append(_step(method, params, where))
    return found


def _step(method: Any, params: Mapping[str, Any], where: str) -> Step:
    components = params.get("n_components")
    if components is not None and (isinstance(components, bool) or not isinstance(components, int) or components < 1):
        raise InvalidField(f"{where}.n_components", "must be a whole number of at least 1", value=components)
    regularization = params.get("regularization", 1e-5)
    if isinstance(regularization, bool) or not isinstance(regularization, int | float) or not regularization >= 0:
        raise InvalidField(f"{where}.regularization", "must be a number of at least 0", value=regularization)
    whiten = params.get("whiten", False)
    if not isinstance(whiten, bool):
        raise InvalidField(f"{where}.whiten", "must be true or false", value=whiten)
    return Step(method=method, n_components=components, whiten=whiten, regularization=float(regularization))


def prepared(points: Points, steps: Sequence[Step], seed: int, threads: int) -> tuple[Points, list[Apply]]:
    """The rows (n, d') after all steps, and what each step does to other rows of the same kind."""
    applied: list[Apply] = []
    with one_blas_thread():
        for step in steps:
            transform = _fitted(points, step, seed, threads)
            points = transform(points)
            applied.append(transform)
    return points, applied


_PCA: Final = 50


def _fitted(points: Points, step: Step, seed: int, threads: int) -> Apply:
    """Principal axes, each scaled to unit variance by "whitening" (ZCA would turn back; distances are the same)."""
    columns = points.shape[1]
    wanted = columns if step.method == "whitening" else min(step.n_components or _PCA, columns)
    if len(points) < 2:
        return lambda rows: np.ascontiguousarray(rows[:, :wanted])
    mean = points.mean(axis=0, dtype=np.float64)
    axes, variances = principal_axes(points, mean, wanted, seed, threads)
    if step.method == "whitening" or step.whiten:
        largest = float(variances.max(initial=0.0))
        floor = (step.regularization if step.method == "whitening" else 1e-12) * largest
        axes = axes / np.sqrt(np.maximum(variances + floor, 1e-30 + 1e-12 * largest))
    return lambda rows: _turned(rows, mean, axes)


def _turned(points: Points, mean: Floats, axes: Floats) -> Points:
    turned = np.empty((len(points), axes.shape[1]), np.float32)
    for block in spans(len(points), _BLOCK):
        turned[block] = (points[block] - mean) @ axes
    return turned
