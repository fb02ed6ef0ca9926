"""Estimators in the style of scikit-learn: fit, predict, labels_.

As everywhere in Shoal, directions are compared (`normalize=True`), which is what embeddings are made for; the methods
of scikit-learn compare rows as they are, which is one flag away.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from shoal.columns import Points
from shoal.engine.algorithms import Fit
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.clusters.labels import number_by_size
from shoal.library.clusterer import Clusterer

__all__ = ["HDBSCAN", "AutoCluster", "KMeans"]


class KMeans(Clusterer):
    """K-means: the centres with the least sum of squared distances that was found.

    Parameters
    ----------
    n_clusters : int, default 8
        Number of clusters; fewer if there are fewer distinct rows.
    init : {"k-means++", "random"}, default "k-means++"
        How the first centres are chosen.
    n_init : int, default 1
        Number of starts; the one with the least inertia is kept.
    max_iter : int, default 300
        Most iterations of each start.
    tol : float, default 1e-4
        A start ends when the squared movement of the centres is less than this share of the mean variance of a
        column.
    normalize : bool, default True
        Bring rows to unit length, so that directions (cosine) are compared. False compares rows as they are, as
        scikit-learn does.
    random_state : int from 0 to 2^32 - 1, numpy.random.RandomState or None, default None
        Seed, or where to draw it from at each fit. None is a fixed seed: every fit gives the same clusters.
    n_jobs : int or None, default None
        Threads; None and negative numbers use all cores. The result does not depend on it.
    stop_words : sequence of str or path, default None
        Words that no name or keyword contains, or a text file with a word on each line.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n,)
        Cluster of each row, by size descending; -1 for noise.
    probabilities_ : ndarray of float32, shape (n,)
        How firmly each row belongs to its cluster, 0 to 1; 0 for noise.
    cluster_centers_ : ndarray of float32 or float64, shape (k, d)
        Means of the members, which `normalize` brings to unit length first. float64 if the rows lie so far from the
        origin that float32 would lose their differences.
    cluster_names_ : list of str
        Name of each cluster, from the texts given to `fit`; "Cluster 0" and so on without texts.
    cluster_keywords_ : list of tuple of str
        Up to 8 phrases per cluster, most telling first; empty without texts.
    inertia_ : float
        Sum of squared distances of the rows to their centres.

    Examples
    --------
    >>> import numpy as np, shoal
    >>> shoal.KMeans(n_clusters=2, random_state=1).fit_predict(np.eye(2).repeat(3, axis=0)).tolist()
    [0, 0, 0, 1, 1, 1]
    """

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
        stop_words: Iterable[str] | str | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.normalize = normalize
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.stop_words = stop_words

    def _algorithm_params(self) -> tuple[str, dict[str, Any]]:
        names = ("n_clusters", "init", "n_init", "max_iter", "tol")
        return "kmeans", {name: getattr(self, name) for name in names}

    def _store_fit(self, points: Points, result: Fit) -> None:
        super()._store_fit(points, result)
        deviations = (
            points - cluster_means(points, self.labels_.astype(np.int32), len(self.cluster_centers_))[self.labels_]
        )
        self.inertia_ = float(np.einsum("ij,ij->", deviations, deviations, dtype=np.float64))


class HDBSCAN(Clusterer):
    """Hierarchical density-based clustering: the dense regions that persist; all else is noise.

    Parameters
    ----------
    min_cluster_size : int, default 5
        Least number of rows of a cluster.
    min_samples : int or None, default None
        Rows that make a neighbourhood dense, the row itself included; larger values leave more noise. None takes
        `min_cluster_size`.
    cluster_selection_epsilon : float, default 0.0
        Clusters that separate below this distance stay together.
    max_cluster_size : int or None, default None
        Larger clusters are split; only with "eom". None has no limit.
    metric : {"euclidean", "cosine"}, default "euclidean"
        Distance between rows. For rows of unit length both give the same order.
    alpha : float, default 1.0
        Distances are divided by it; matters only beside `cluster_selection_epsilon`.
    cluster_selection_method : {"eom", "leaf"}, default "eom"
        Select the clusters that persist longest, or the smallest ones.
    allow_single_cluster : bool, default False
        Whether all rows together may be the only cluster.
    approximate : bool or None, default None
        Use neighbour lists instead of all pairs of rows. None does so above 250,000 rows.
    normalize : bool, default True
        Bring rows to unit length, so that directions (cosine) are compared. False compares rows as they are, as
        scikit-learn does.
    random_state : int from 0 to 2^32 - 1, numpy.random.RandomState or None, default None
        Seed, or where to draw it from at each fit. None is a fixed seed: every fit gives the same clusters.
    n_jobs : int or None, default None
        Threads; None and negative numbers use all cores. The result does not depend on it.
    stop_words : sequence of str or path, default None
        Words that no name or keyword contains, or a text file with a word on each line.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n,)
        Cluster of each row, by size descending; -1 for noise.
    probabilities_ : ndarray of float32, shape (n,)
        How firmly each row belongs to its cluster, 0 to 1; 0 for noise.
    cluster_centers_ : ndarray of float32 or float64, shape (k, d)
        Means of the members, which `normalize` brings to unit length first. float64 if the rows lie so far from the
        origin that float32 would lose their differences.
    cluster_names_ : list of str
        Name of each cluster, from the texts given to `fit`; "Cluster 0" and so on without texts.
    cluster_keywords_ : list of tuple of str
        Up to 8 phrases per cluster, most telling first; empty without texts.
    outlier_scores_ : ndarray of float32, shape (n,)
        GLOSH scores, 0 to 1; 1 for rows far sparser than the densest around them.
    """

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
        stop_words: Iterable[str] | str | None = None,
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
        self.stop_words = stop_words

    def _algorithm_params(self) -> tuple[str, dict[str, Any]]:
        names = (
            "min_cluster_size", "min_samples", "cluster_selection_epsilon", "max_cluster_size", "metric", "alpha",
            "cluster_selection_method", "allow_single_cluster", "approximate",
        )  # fmt: skip
        return "hdbscan", {name: getattr(self, name) for name in names}

    def _store_fit(self, points: Points, result: Fit) -> None:
        super()._store_fit(points, result)
        density = result.density
        self.outlier_scores_ = np.zeros(len(points), np.float32) if density is None else density.outlier_scores


class AutoCluster(Clusterer):
    """Clusters without parameters: the neighbour graph at many resolutions, and the finest that stands out from chance.

    Parameters
    ----------
    n_neighbors : int or None, default None
        Neighbours of each row in the graph. None goes by the number of rows.
    min_cluster_size : int, default 5
        Least number of rows of a cluster.
    noise_level : float, default 0.5
        How readily rows are left out as noise, 0 to 1; 0 leaves out none.
    n_clusters : int or None, default None
        Number of clusters to join or split to. None lets the data decide.
    normalize : bool, default True
        Bring rows to unit length, so that directions (cosine) are compared. False compares rows as they are, as
        scikit-learn does.
    random_state : int from 0 to 2^32 - 1, numpy.random.RandomState or None, default None
        Seed, or where to draw it from at each fit. None is a fixed seed: every fit gives the same clusters.
    n_jobs : int or None, default None
        Threads; None and negative numbers use all cores. The result does not depend on it.
    stop_words : sequence of str or path, default None
        Words that no name or keyword contains, or a text file with a word on each line.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n,)
        Cluster of each row, by size descending; -1 for noise.
    probabilities_ : ndarray of float32, shape (n,)
        How firmly each row belongs to its cluster, 0 to 1; 0 for noise.
    cluster_centers_ : ndarray of float32 or float64, shape (k, d)
        Means of the members, which `normalize` brings to unit length first. float64 if the rows lie so far from the
        origin that float32 would lose their differences.
    cluster_names_ : list of str
        Name of each cluster, from the texts given to `fit`; "Cluster 0" and so on without texts.
    cluster_keywords_ : list of tuple of str
        Up to 8 phrases per cluster, most telling first; empty without texts.
    layers_ : list of ndarray of int64, shape (n,)
        Labels at each granularity, coarse to fine.
    layer_ : int
        Position of the layer in `labels_`.
    reason_ : str
        Why that layer was chosen.
    clear_structure_ : bool
        Whether independent runs agree on the clusters.
    """

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
        stop_words: Iterable[str] | str | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.min_cluster_size = min_cluster_size
        self.noise_level = noise_level
        self.n_clusters = n_clusters
        self.normalize = normalize
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.stop_words = stop_words

    def _algorithm_params(self) -> tuple[str, dict[str, Any]]:
        names = ("n_neighbors", "min_cluster_size", "noise_level", "n_clusters")
        return "auto", {name: getattr(self, name) for name in names}

    def _store_fit(self, points: Points, result: Fit) -> None:
        super()._store_fit(points, result)
        assert result.layers is not None, "auto always has layers"
        layers = result.layers.extend(None, number_by_size(result.assignments.labels), points, self._thread_count())
        self.layers_ = [layer.labels.astype(np.int64) for layer in layers.layers]
        self.layer_ = layers.chosen
        self.reason_ = layers.reason
        self.clear_structure_ = layers.clear
