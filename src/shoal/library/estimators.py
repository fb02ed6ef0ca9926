"""Estimators in the style of scikit-learn: fit, predict, labels_.

As everywhere in Shoal directions are compared (`normalize=True`), which is what embeddings are made for; scikit-learn's
own methods compare rows as they are, which is one flag away.
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from shoal.columns import Points
from shoal.engine.algorithms import Fit, Labelled, find_algorithm
from shoal.engine.algorithms.base import check_seed
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.clusters.labels import by_size
from shoal.engine.known_rows import KnownRows
from shoal.engine.model import Model
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import MOST_SEED, silent
from shoal.engine.rows.geometry import checked_points, unit_rows
from shoal.errors import InvalidField
from shoal.labeling import Name, name_clusters
from shoal.library.input.given import one_column, split_vectors
from shoal.library.input.inputs import texts_of
from shoal.precision import Split, matters, moved_to_mean, split
from shoal.scalars import unwrapped, whole

__all__ = ["HDBSCAN", "AutoCluster", "KMeans"]

Integers = NDArray[np.int64]


class _Clusterer(ClusterMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the estimators share.

    Parameters
    ----------
    normalize : bool
        Compare directions: rows are brought to unit length first.
    random_state : int from 0 to 2^32 - 1, numpy.random.RandomState or None
        The seed, or where to draw it from at each fit; None is a fixed seed.
    n_jobs : int or None
        Threads; None and negative numbers take all cores.

    Attributes
    ----------
    labels_ : (n,) int64
        The cluster of each row, by size descending, -1 for noise.
    probabilities_ : (n,) float32
        How firmly each row belongs to its cluster, 0..1, 0 for noise.
    cluster_centers_ : (k, d) float32
        Means of the members, which `normalize` brings to unit length before; float64 where the rows lie so far from
        the origin that float32 would lose their differences.
    cluster_names_ : list of k str
        What the clusters are called, from the texts given to `fit`; "Cluster 0", … without.
    cluster_keywords_ : list of k tuples of str
        Up to 8 phrases each, most telling first; empty without texts.
    """

    labels_: Integers
    probabilities_: NDArray[np.float32]
    cluster_centers_: NDArray[np.floating]
    cluster_names_: list[str]
    cluster_keywords_: list[tuple[str, ...]]
    n_features_in_: int
    normalize: bool
    random_state: int | np.random.RandomState | None
    n_jobs: int | None

    @abstractmethod
    def _plan(self) -> tuple[str, dict[str, Any]]:
        """The method in `ALGORITHMS` and its parameters."""

    def fit(self, X: object, y: object = None, *, text: Iterable[object] | None = None) -> Self:  # noqa: N803
        """Cluster rows and, with texts, name the clusters.

        Parameters
        ----------
        X : (n, d) numbers, or one column of n vectors
            An array, a data frame of numbers, or a column of pandas or polars that holds vectors. Rows of zeros have no
            direction; with `normalize` they stay where they are, as in scikit-learn's own `normalize`.
        y : ignored
            There as scikit-learn's conventions ask.
        text : (n,) texts, optional
            What the rows are about, for `cluster_names_` and `cluster_keywords_`. In a pipeline it is given as
            `pipeline.fit(X, autocluster__text=text)`.

        Returns
        -------
        self

        Raises
        ------
        InvalidField
            For wrong parameters and texts. Rows that scikit-learn refuses itself are its ValueError.
        """
        rows = validate_data(self, _rows_of(X), dtype=[np.float64, np.float32], ensure_min_samples=2)
        texts = texts_of(text, len(rows))
        self._origin = self._origin_of(split(rows))
        points = self._placed(rows)
        algorithm, given = self._plan()
        method = find_algorithm(algorithm)
        params = method.params(**{name: unwrapped(value) for name, value in given.items()})
        with one_blas_thread():
            found = method.fit(points, params, seed=self._seed(), threads=self._threads(), progress=silent)
        self._keep(points, found)
        self._name(texts)
        return self

    def fit_predict(self, X: object, y: object = None, *, text: Iterable[object] | None = None) -> Integers:  # noqa: N803
        """`fit`, and its `labels_`."""
        return self.fit(X, y, text=text).labels_

    def predict(self, X: object) -> Integers:  # noqa: N803
        """(n,) the cluster of other rows, as `fit` takes them, -1 for those that fit none; the same for a row alone and
        among others."""
        check_is_fitted(self)
        rows = self._placed(validate_data(self, _rows_of(X), dtype=[np.float64, np.float32], reset=False))
        return np.asarray(self._model.assign(rows, self._threads()).labels, np.int64)

    def _placed(self, rows: NDArray[np.floating]) -> Points:
        points = checked_points(self._near(rows))
        if not self.normalize:
            return points
        directed = points.any(axis=1)
        if directed.all():
            return unit_rows(points, self._threads())
        placed = points.copy()
        placed[directed] = unit_rows(points[directed], self._threads())
        return placed

    def _origin_of(self, rows: Split) -> NDArray[np.float64] | None:
        """The mean of rows whose differences float32 would lose."""
        if self.normalize or rows.rest is None or not matters(rows.points, rows.rest):
            return None
        return moved_to_mean(*rows)[1]

    def _near(self, rows: NDArray[np.floating]) -> Points:
        found = split(rows)
        return found.points if self._origin is None else moved_to_mean(*found, self._origin)[0]

    def _seed(self) -> int:
        """Drawn from a RandomState, as scikit-learn does, so that each fit moves it on."""
        given = self.random_state
        if given is None:
            return 42
        if isinstance(given, np.random.RandomState):
            return int(given.randint(0, MOST_SEED, dtype=np.int64))
        if isinstance(given, np.random.Generator):
            remedy = "Draw a whole number from it: random_state=int(rng.integers(2**32))."
            raise InvalidField(
                "random_state", "must be None, a whole number or a RandomState, no Generator", remedy=remedy
            )
        seed = whole("random_state", given, 0)
        check_seed("random_state", seed)
        return seed

    def _threads(self) -> int:
        return 0 if self.n_jobs is None or self.n_jobs < 0 else whole("n_jobs", self.n_jobs, 0)

    def _keep(self, points: Points, found: Fit) -> None:
        labels = by_size(found.labelled.labels)
        clusters = int(labels.max(initial=-1)) + 1
        known = KnownRows.of(points, Labelled(labels.astype(np.int64), found.labelled.strengths), self._threads())
        self._model = Model.of(found, labels, points.shape[1], False, None, known)  # rows are placed before
        self.labels_ = labels.astype(np.int64)
        self.probabilities_ = found.labelled.strengths
        means = cluster_means(points, labels, clusters)
        self.cluster_centers_ = means.astype(np.float32) if self._origin is None else means + self._origin

    def _name(self, texts: list[str] | None) -> None:
        clusters = len(self.cluster_centers_)
        names = [Name(f"Cluster {number}", ()) for number in range(clusters)]
        if texts is not None:
            centers = self.cluster_centers_.astype(np.float32)
            names = name_clusters(texts, self.labels_.astype(np.int32), clusters, centroids=centers)
        self.cluster_names_ = [name.label for name in names]
        self.cluster_keywords_ = [name.keywords for name in names]


def _rows_of(given: object) -> Any:
    """A column of vectors as rows; anything else as it is, for scikit-learn to look at."""
    return given if one_column(given) is None else split_vectors(given, name="X").points


class KMeans(_Clusterer):
    """k means with the least sum of squared distances that was found; `inertia_` is that sum."""

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str = "k-means++",
        n_init: int = 1,
        max_iter: int = 300,
        tol: float = 1e-4,
        normalize: bool = True,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.normalize = normalize
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _plan(self) -> tuple[str, dict[str, Any]]:
        names = ("n_clusters", "init", "n_init", "max_iter", "tol")
        return "kmeans", {name: getattr(self, name) for name in names}

    def _keep(self, points: Points, found: Fit) -> None:
        super()._keep(points, found)
        away = points - cluster_means(points, self.labels_.astype(np.int32), len(self.cluster_centers_))[self.labels_]
        self.inertia_ = float(np.einsum("ij,ij->", away, away, dtype=np.float64))


class HDBSCAN(_Clusterer):
    """The dense regions that persist; `outlier_scores_` (n,) are GLOSH."""

    def __init__(
        self,
        min_cluster_size: int = 5,
        min_samples: int | None = None,
        *,
        cluster_selection_epsilon: float = 0.0,
        max_cluster_size: int | None = None,
        metric: str = "euclidean",
        alpha: float = 1.0,
        cluster_selection_method: str = "eom",
        allow_single_cluster: bool = False,
        approximate: bool | None = None,
        normalize: bool = True,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.metric = metric
        self.alpha = alpha
        self.cluster_selection_method = cluster_selection_method
        self.allow_single_cluster = allow_single_cluster
        self.approximate = approximate
        self.normalize = normalize
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _plan(self) -> tuple[str, dict[str, Any]]:
        names = (
            "min_cluster_size", "min_samples", "cluster_selection_epsilon", "max_cluster_size", "metric", "alpha",
            "cluster_selection_method", "allow_single_cluster", "approximate",
        )  # fmt: skip
        return "hdbscan", {name: getattr(self, name) for name in names}

    def _keep(self, points: Points, found: Fit) -> None:
        super()._keep(points, found)
        density = found.density
        self.outlier_scores_ = np.zeros(len(points), np.float32) if density is None else density.outlier_scores


class AutoCluster(_Clusterer):
    """Clusters without parameters; `layers_` are the labels of all granularities from coarse to fine, `layer_` is the
    place of the one shown, `reason_` why, and `clear_structure_` whether independent runs agree."""

    def __init__(
        self,
        *,
        n_neighbors: int | None = None,
        min_cluster_size: int = 5,
        noise_level: float = 0.5,
        n_clusters: int | None = None,
        normalize: bool = True,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.min_cluster_size = min_cluster_size
        self.noise_level = noise_level
        self.n_clusters = n_clusters
        self.normalize = normalize
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _plan(self) -> tuple[str, dict[str, Any]]:
        names = ("n_neighbors", "min_cluster_size", "noise_level", "n_clusters")
        return "auto", {name: getattr(self, name) for name in names}

    def _keep(self, points: Points, found: Fit) -> None:
        super()._keep(points, found)
        assert found.layers is not None, "auto always has layers"
        layers = found.layers.settled(None, by_size(found.labelled.labels), points, self._threads())
        self.layers_ = [layer.labels.astype(np.int64) for layer in layers.layers]
        self.layer_ = layers.chosen
        self.reason_ = layers.reason
        self.clear_structure_ = layers.clear
