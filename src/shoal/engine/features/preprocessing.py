"""Preprocessing steps applied to a space before clustering."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.map.graph_embedding import embed, min_rows
from shoal.engine.map.projection import principal_axes
from shoal.engine.parallel import one_blas_thread, spans
from shoal.engine.plan import Progress, ignore_progress, scale_progress
from shoal.engine.rows.geometry import normalize_nonzero_rows
from shoal.errors import InvalidField

__all__ = ["Prepared", "Step", "apply_steps", "check_steps"]

Floats = NDArray[np.float64]
Apply = Callable[[Points], Points]

_BLOCK: Final = 8192
_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "pca": ("n_components", "random_state", "whiten", "svd_solver"),
    "whitening": ("regularization",),
    "umap": ("n_components", "random_state", "n_neighbors", "min_dist", "metric"),
    "tsne": ("n_components", "random_state", "perplexity", "learning_rate"),
}
_DIMENSIONS: Final = {"pca": 50, "umap": 50, "tsne": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, with the names and defaults of the wire."""

    method: Literal["none", "pca", "whitening", "umap", "tsne"]
    n_components: int | None = None
    """Dimensions to keep; None uses 50, for "tsne" 2, at most those available."""
    whiten: bool = False
    """Whether "pca" scales its axes to unit variance."""
    regularization: float = 1e-5
    """Added by "whitening" to the variances, as a fraction of the largest."""
    n_neighbors: int = 30
    """Neighbours per row in the graph of "umap" and "tsne"; the perplexity of the latter."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """Metric of "umap"; "tsne" uses the rows unscaled."""
    random_state: int | None = None
    """Seed of "umap" and "tsne"; None uses that of the plan."""
    without_effect: tuple[str, ...] = ()
    """Given parameters that this implementation ignores."""

    @property
    def embeds(self) -> bool:
        """Whether the result is a layout: lengths of rows have no meaning then."""
        return self.method in ("umap", "tsne")


class Prepared(NamedTuple):
    """The rows (n, d') after all steps, the transform of each step for other rows, and notes for the caller."""

    points: Points
    applied: list[Apply]
    notes: list[str]


def check_steps(steps: Sequence[Mapping[str, Any]], field: str) -> list[Step]:
    """The steps except "none". Raises InvalidField (`field`[i]...) for unknown or invalid parameters."""
    parsed = []
    for number, raw_step in enumerate(steps):
        where = f"{field}[{number}]"
        method = raw_step.get("method", "none")
        if not isinstance(method, str) or method not in _PARAMETERS:
            raise InvalidField(f"{where}.method", f"must be {' or '.join(_PARAMETERS)}", value=method)
        params = {name: value for name, value in raw_step.items() if name != "method" and value is not None}
        for name, value in params.items():
            if name not in _PARAMETERS[method]:
                remedy = f"It takes {', '.join(_PARAMETERS[method]) or 'none'}."
                raise InvalidField(f"{where}.{name}", f"is no parameter of {method}", value=value, remedy=remedy)
        if method in ("umap", "tsne"):
            parsed.append(_parse_graph_step(method, params, where))
        elif method != "none":
            parsed.append(_parse_step(method, params, where))
    return parsed


_DEFAULTS: Final = {"min_dist": 0.0, "learning_rate": 200.0}
_WHOLE: Final = {"n_components": (2, 256), "n_neighbors": (2, 200), "random_state": (0, 2**32 - 1)}
_NUMBERS: Final = {"perplexity": (2, 200), "min_dist": (0, 1), "learning_rate": (0, 1e9)}


def _parse_graph_step(method: Any, params: Mapping[str, Any], where: str) -> Step:
    for kinds, bounds, kind in (((int,), _WHOLE, "whole number"), ((int, float), _NUMBERS, "number")):
        for name, (least, most) in bounds.items():
            value = params.get(name, least)
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                raise InvalidField(f"{where}.{name}", f"must be a {kind} from {least} to {most:.10g}", value=value)
    metric = params.get("metric", "cosine" if method == "umap" else "euclidean")
    if metric not in ("cosine", "euclidean"):
        raise InvalidField(f"{where}.metric", "must be cosine or euclidean", value=metric)
    return Step(
        method=method,
        n_components=params.get("n_components", _DIMENSIONS[method]),
        n_neighbors=params.get("n_neighbors", max(2, round(params.get("perplexity", 30)))),
        metric=metric,
        random_state=params.get("random_state"),
        without_effect=tuple(name for name, default in _DEFAULTS.items() if params.get(name, default) != default),
    )


def _parse_step(method: Any, params: Mapping[str, Any], where: str) -> Step:
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


def apply_steps(
    points: Points, steps: Sequence[Step], seed: int, threads: int, progress: Progress = ignore_progress
) -> Prepared:
    """`points` (n, d) after all steps. Reports to `progress` as "prepare"; may raise Cancelled."""
    applied, notes = list[Apply](), list[str]()
    with one_blas_thread():
        for number, step in enumerate(steps):
            share = scale_progress(progress, "prepare", number / len(steps), (number + 1) / len(steps))
            points, transform, note = _fit_step(points, step, seed, threads, share)
            share("prepare", 1.0)
            applied.append(transform)
            notes += [note] if note else []
    return Prepared(points, applied, notes)


def _fit_step(
    points: Points, step: Step, seed: int, threads: int, progress: Progress
) -> tuple[Points, Apply, str | None]:
    if not step.embeds:
        transform = _fit_axes(points, step, seed, threads)
        return transform(points), transform, None
    space = normalize_nonzero_rows if step.metric == "cosine" else np.asarray
    step_seed, components = seed if step.random_state is None else step.random_state, step.n_components or 2
    embedding = embed(space(points), components, step.n_neighbors, step_seed, threads, progress)
    if embedding is None:
        transform = _fit_axes(points, step, seed, threads)
        reason = f"a neighbour graph needs at least {min_rows(components)} distinct rows"
        return transform(points), transform, f"{step.method} was replaced by principal axes: {reason}."
    places, model = embedding
    how = "the layout of maps" if components in (2, 3) else "a diffusion map"
    ignored = f"; without effect: {', '.join(step.without_effect)}" if step.without_effect else ""
    note = f"{step.method} is replaced by {how} of the same neighbour graph{ignored}."
    return places, lambda rows: model.place(space(rows), threads), note


def _fit_axes(points: Points, step: Step, seed: int, threads: int) -> Apply:
    """Principal axes, each scaled to unit variance by "whitening" (ZCA would only rotate back; distances are equal).
    Also used if there are too few rows for a graph."""
    columns = points.shape[1]
    count = columns if step.method == "whitening" else min(step.n_components or _DIMENSIONS[step.method], columns)
    if len(points) < 2:
        return lambda rows: np.ascontiguousarray(rows[:, :count])
    mean = points.mean(axis=0, dtype=np.float64)
    axes, variances = principal_axes(points, mean, count, seed, threads)
    if step.method == "whitening" or step.whiten:
        largest = float(variances.max(initial=0.0))
        floor = (step.regularization if step.method == "whitening" else 1e-12) * largest
        axes = axes / np.sqrt(np.maximum(variances + floor, 1e-30 + 1e-12 * largest))
    return lambda rows: _project(rows, mean, axes)


def _project(points: Points, mean: Floats, axes: Floats) -> Points:
    projected = np.empty((len(points), axes.shape[1]), np.float32)
    for block in spans(len(points), _BLOCK):
        projected[block] = (points[block] - mean) @ axes
    return projected
