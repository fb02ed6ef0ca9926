"""What the estimators share: fitting, prediction, naming, in the conventions of scikit-learn."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from shoal.analysis.naming import open_word_namer
from shoal.columns import Points
from shoal.engine.algorithms import Fit, find_algorithm
from shoal.engine.algorithms.base import check_seed
from shoal.engine.assignments import Assignments
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.clusters.labels import number_by_size
from shoal.engine.known_rows import KnownRows
from shoal.engine.model import Model
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import MAX_SEED, ignore_progress
from shoal.engine.rows.geometry import check_points, unit_rows
from shoal.errors import InvalidField
from shoal.labeling import Brief, Budget, Name, Partition, read_stop_words
from shoal.library.input.arguments import series_to_frame, split_vectors
from shoal.library.input.conversion import to_texts
from shoal.precision import Split, center_on_mean, is_rest_significant, split_float32
from shoal.scalars import parse_integer, unwrap

__all__ = ["Clusterer", "Integers"]

Integers = NDArray[np.int64]


class Clusterer(ClusterMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class of the estimators: fitting, prediction, naming."""

    labels_: Integers
    probabilities_: NDArray[np.float32]
    cluster_centers_: NDArray[np.floating]
    cluster_names_: list[str]
    cluster_keywords_: list[tuple[str, ...]]
    n_features_in_: int
    normalize: bool
    random_state: int | np.random.RandomState | None
    n_jobs: int | None
    stop_words: Iterable[str] | str | None

    @abstractmethod
    def _algorithm_params(self) -> tuple[str, dict[str, Any]]:
        """The method in `ALGORITHMS` and its parameters."""

    def fit(self, X: object, y: object = None, *, text: Iterable[object] | None = None) -> Self:  # noqa: N803
        """Cluster rows and, if texts are given, name the clusters.

        Parameters
        ----------
        X : (n, d) numbers, or one column of n vectors
            An array, a data frame of numbers, or a column of pandas or polars that holds vectors. Rows of zeros have
            no direction; with `normalize` they stay as they are, as in scikit-learn's own `normalize`.
        y : object, default None
            Ignored; present by convention of scikit-learn.
        text : (n,) texts, optional
            What the rows are about, for `cluster_names_` and `cluster_keywords_`. In a pipeline: `pipeline.fit(X,
            autocluster__text=text)`.

        Returns
        -------
        self

        Raises
        ------
        InvalidField
            A parameter or the texts are wrong.
        ValueError
            scikit-learn refuses the rows.
        """
        rows = validate_data(self, _to_rows(X), dtype=[np.float64, np.float32], ensure_min_samples=2)
        texts, stop_words = to_texts(text, len(rows)), read_stop_words(self.stop_words)
        self._origin = self._find_origin(split_float32(rows))
        points = self._prepare(rows)
        algorithm, params_given = self._algorithm_params()
        method = find_algorithm(algorithm)
        params = method.params(**{name: unwrap(value) for name, value in params_given.items()})
        with one_blas_thread():
            result = method.fit(
                points, params, seed=self._draw_seed(), threads=self._thread_count(), progress=ignore_progress
            )
        self._store_fit(points, result)
        self._name_clusters(points, texts, stop_words)
        return self

    def fit_predict(self, X: object, y: object = None, *, text: Iterable[object] | None = None) -> Integers:  # noqa: N803
        """Cluster rows and return their labels.

        Parameters
        ----------
        X : (n, d) numbers, or one column of n vectors
            Rows, as in `fit`.
        y : object, default None
            Ignored; present by convention of scikit-learn.
        text : (n,) texts, optional
            As in `fit`.

        Returns
        -------
        ndarray of int64, shape (n,)
            `labels_`.
        """
        return self.fit(X, y, text=text).labels_

    def predict(self, X: object) -> Integers:  # noqa: N803
        """Assign new rows to the clusters.

        Parameters
        ----------
        X : (m, d) numbers, or one column of m vectors
            Rows, as in `fit`.

        Returns
        -------
        ndarray of int64, shape (m,)
            Cluster of each row, -1 for rows that fit none. A row gets the same answer alone and among others.

        Raises
        ------
        NotFittedError
            `fit` was not called yet.
        """
        check_is_fitted(self)
        rows = self._prepare(validate_data(self, _to_rows(X), dtype=[np.float64, np.float32], reset=False))
        return np.asarray(self._model.assign(rows, self._thread_count()).labels, np.int64)

    def _prepare(self, rows: NDArray[np.floating]) -> Points:
        points = check_points(self._shift_to_origin(rows))
        if not self.normalize:
            return points
        nonzero = points.any(axis=1)
        if nonzero.all():
            return unit_rows(points, self._thread_count())
        prepared = points.copy()
        prepared[nonzero] = unit_rows(points[nonzero], self._thread_count())
        return prepared

    def _find_origin(self, rows: Split) -> NDArray[np.float64] | None:
        """The mean of rows whose differences float32 would lose."""
        if self.normalize or rows.rest is None or not is_rest_significant(rows.points, rows.rest):
            return None
        return center_on_mean(*rows)[1]

    def _shift_to_origin(self, rows: NDArray[np.floating]) -> Points:
        parts = split_float32(rows)
        return parts.points if self._origin is None else center_on_mean(*parts, self._origin)[0]

    def _draw_seed(self) -> int:
        """Drawn from a RandomState, as scikit-learn does, so that each fit moves it on."""
        state = self.random_state
        if state is None:
            return 42
        if isinstance(state, np.random.RandomState):
            return int(state.randint(0, MAX_SEED, dtype=np.int64))
        if isinstance(state, np.random.Generator):
            remedy = "Draw a whole number from it: random_state=int(rng.integers(2**32))."
            raise InvalidField(
                "random_state", "must be None, a whole number or a RandomState, no Generator", remedy=remedy
            )
        seed = parse_integer("random_state", state, 0)
        check_seed("random_state", seed)
        return seed

    def _thread_count(self) -> int:
        return 0 if self.n_jobs is None or self.n_jobs < 0 else parse_integer("n_jobs", self.n_jobs, 0)

    def _store_fit(self, points: Points, result: Fit) -> None:
        labels = number_by_size(result.assignments.labels)
        clusters = int(labels.max(initial=-1)) + 1
        known_rows = KnownRows.of(
            points, Assignments(labels.astype(np.int64), result.assignments.strengths), self._thread_count()
        )
        self._model = Model.of(
            result, labels, points.shape[1], False, None, known_rows
        )  # rows are prepared by the caller
        self.labels_ = labels.astype(np.int64)
        self.probabilities_ = result.assignments.strengths
        means = cluster_means(points, labels, clusters)
        self.cluster_centers_ = means.astype(np.float32) if self._origin is None else means + self._origin

    def _name_clusters(self, points: Points, texts: list[str] | None, stop_words: frozenset[str]) -> None:
        clusters = len(self.cluster_centers_)
        names = [Name(f"Cluster {number}", ()) for number in range(clusters)]
        if texts is not None:
            centers = self.cluster_centers_.astype(np.float32)
            layer = Partition(self.labels_.astype(np.int32), clusters, centers)
            names = open_word_namer(stop_words).name(Brief(texts, [layer], points=points), Budget())[0]
        self.cluster_names_ = [name.label for name in names]
        self.cluster_keywords_ = [name.keywords for name in names]


def _to_rows(vectors: object) -> Any:
    """A column of vectors as rows; anything else as it is, for scikit-learn to look at."""
    return vectors if series_to_frame(vectors) is None else split_vectors(vectors, name="X").points
