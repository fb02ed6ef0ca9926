"""How each library is asked. The one place that names their interfaces, Shoal's included.

A contender is a function that imports its library and returns a `Fit`; what it imports, and only that, counts as its
import time. Parameters that are not named here are the library's defaults.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONTENDERS", "Answer", "Fit", "Points", "Unavailable"]

Points: TypeAlias = NDArray[np.float32]
Answer: TypeAlias = Mapping[str, NDArray[Any]]
"""`labels` (n,) with -1 for noise, `centers` (k, d), `places` (n, 2) on a map, or `neighbors` (n, m) rows, with the row
itself or without."""
Fit: TypeAlias = Callable[[NDArray[Any], int], Answer]
"""Answers for these points and this seed. Libraries that are slower with a seed than without are not given it."""


class Unavailable(Exception):
    """This build of a library does not support that."""


def shoal_hdbscan(threads: int, *, min_cluster_size: int, approximate: bool) -> Fit:
    """Shoal, exact or approximate."""
    from shoal.engine.algorithms import find_algorithm
    from shoal.engine.algorithms.hdbscan import HDBSCANParams
    from shoal.engine.parallel import one_blas_thread
    from shoal.engine.plan import ignore_progress

    params_: dict[str, Any] = {"min_cluster_size": min_cluster_size}
    if "approximate" in {field.name for field in fields(HDBSCANParams)}:
        params_["approximate"] = approximate
    elif approximate:
        raise Unavailable("this build has no approximate HDBSCAN")
    params, algorithm = HDBSCANParams(**params_), find_algorithm("hdbscan")

    def fit(points: Points, seed: int) -> Answer:
        with one_blas_thread():
            result = algorithm.fit(points, params, seed=seed, threads=threads, progress=ignore_progress)
        return {"labels": result.assignments.labels}

    return fit


def shoal_kmeans(threads: int, *, clusters: int, steps: int, init: str) -> Fit:
    """Shoal's k-means, one start."""
    from shoal.engine.algorithms import find_algorithm
    from shoal.engine.algorithms.kmeans import KMeansParams
    from shoal.engine.parallel import one_blas_thread
    from shoal.engine.plan import ignore_progress

    params_: dict[str, Any] = {"n_clusters": clusters, "max_iter": steps, "n_init": 1, "tol": 0.0, "init": init}
    params, algorithm = KMeansParams(**params_), find_algorithm("kmeans")

    def fit(points: Points, seed: int) -> Answer:
        with one_blas_thread():
            result = algorithm.fit(points, params, seed=seed, threads=threads, progress=ignore_progress)
        return {"labels": result.assignments.labels, "centers": _shoal_centers(result)}

    return fit


def _shoal_centers(fit_: Any) -> NDArray[np.float32]:
    """(k, d) the centers that new rows would be assigned to."""
    centers: NDArray[np.float32] = fit_.assign.__self__.centroids
    return centers


def shoal_auto(threads: int) -> Fit:
    """Shoal without parameters: neighbours, layers, the choice among them, noise."""
    from shoal.engine.algorithms import find_algorithm
    from shoal.engine.algorithms.auto import AutoParams
    from shoal.engine.parallel import one_blas_thread
    from shoal.engine.plan import ignore_progress

    params, algorithm = AutoParams(), find_algorithm("auto")

    def fit(points: Points, seed: int) -> Answer:
        with one_blas_thread():
            result = algorithm.fit(points, params, seed=seed, threads=threads, progress=ignore_progress)
        return {"labels": result.assignments.labels}

    return fit


def shoal_map(threads: int) -> Fit:
    """Shoal's map in two dimensions, neighbours included."""
    from shoal.engine.map.layout import lay_out
    from shoal.engine.parallel import one_blas_thread
    from shoal.engine.plan import ignore_progress

    def fit(points: Points, seed: int) -> Answer:
        with one_blas_thread():
            return {"places": lay_out(points, 2, seed, threads, ignore_progress)}

    return fit


def umap_map(threads: int) -> Fit:
    """umap-learn in two dimensions by its defaults, cosine metric; no seed, with one it works on one thread."""
    from umap import UMAP

    return lambda points, seed: {"places": UMAP(metric="cosine", n_jobs=threads).fit_transform(points)}


def shoal_neighbors(threads: int, *, count: int, share: float = 1.0) -> Fit:
    """Shoal's nearest rows: exact where all pairs of blocks of rows are compared, approximate where each block is only
    compared with this `share` of them."""
    from shoal.engine import kernels
    from shoal.engine.neighbors.nearest_reference import find_neighborhoods
    from shoal.engine.parallel import one_blas_thread
    from shoal.engine.plan import ignore_progress
    from shoal.engine.rows.coding import encode, fit_frame, order_by_proximity, pair_blocks, pair_near_blocks

    core = kernels.native()
    if core is None and share < 1:
        raise Unavailable("only the compiled core has approximate neighbours")

    def plain(points: Points, seed: int) -> Answer:
        with one_blas_thread():
            neighborhoods = find_neighborhoods(
                points, np.ones(len(points), np.int64), count + 1, threads, ignore_progress
            )
        return {"neighbors": neighborhoods.rows[:, :count]}

    def fit(points: Points, seed: int) -> Answer:
        assert core is not None
        with one_blas_thread():
            frame = fit_frame(points, core.levels())
            order = order_by_proximity(points, frame, threads)
            codes = encode(points, frame, order, threads)
            blocks = -(-len(points) // core.BLOCK)
            if share < 1:
                pairs = pair_near_blocks(points, frame, order, core.BLOCK, max(6, int(share * blocks)))
            else:
                pairs = pair_blocks(len(points), core.BLOCK)
            places = core.nearest_rows(codes, points, order, order, count, 1.0, pairs, threads, None)[0]
        neighbors = np.empty_like(places)
        neighbors[order] = np.where(places >= 0, order[places], -1)
        return {"neighbors": neighbors}

    return plain if core is None else fit


def sklearn_hdbscan(threads: int, *, min_cluster_size: int) -> Fit:
    """scikit-learn by brute force: exact, with an n x n matrix."""
    from sklearn.cluster import HDBSCAN

    model = partial(HDBSCAN, min_cluster_size=min_cluster_size, algorithm="brute", copy=True, n_jobs=threads)
    return lambda points, seed: {"labels": model().fit_predict(points)}


def sklearn_hdbscan_keyed(threads: int, *, min_cluster_size: int) -> Fit:
    """The same on float64 and with the rows in the order in which Shoal numbers them. Where distances are equal,
    scikit-learn's labels depend on the order of the rows; this is the order in which they ought to be Shoal's."""
    from shoal.engine.rows.row_keys import sort_by_key

    plain = sklearn_hdbscan(threads, min_cluster_size=min_cluster_size)

    def fit(points: Points, seed: int) -> Answer:
        order = sort_by_key(points, threads)[0]
        result = plain(points[order].astype(np.float64), seed)["labels"]
        labels = np.empty_like(result)
        labels[order] = result
        return {"labels": labels}

    return fit


def hdbscan_package(threads: int, *, min_cluster_size: int, algorithm: str) -> Fit:
    """The hdbscan package. "generic" makes an n x n matrix and takes float64 only."""
    from hdbscan import HDBSCAN

    def fit(points: Points, seed: int) -> Answer:
        model = HDBSCAN(min_cluster_size=min_cluster_size, algorithm=algorithm, core_dist_n_jobs=threads)
        return {"labels": model.fit_predict(points.astype(np.float64) if algorithm == "generic" else points)}

    return fit


def fast_hdbscan(threads: int, *, min_cluster_size: int) -> Fit:
    """fast_hdbscan; beyond 30 dimensions it works on a graph of approximate neighbours."""
    from fast_hdbscan import HDBSCAN

    def fit(points: Points, seed: int) -> Answer:
        return {"labels": HDBSCAN(min_cluster_size=min_cluster_size).fit_predict(points)}

    return fit


def evoc(threads: int, *, min_cluster_size: int) -> Fit:
    """EVoC; `labels` are its own choice among its layers."""
    from evoc import EVoC

    def fit(points: Points, seed: int) -> Answer:
        return {"labels": EVoC(base_min_cluster_size=min_cluster_size).fit_predict(points)}

    return fit


def umap_hdbscan(threads: int, *, min_cluster_size: int) -> Fit:
    """What BERTopic does with its defaults. No seed: UMAP works on one thread when given one."""
    from hdbscan import HDBSCAN
    from umap import UMAP

    def fit(points: Points, seed: int) -> Answer:
        reducer = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", low_memory=False)
        model = HDBSCAN(min_cluster_size=min_cluster_size, prediction_data=True, core_dist_n_jobs=threads)
        return {"labels": model.fit_predict(reducer.fit_transform(points))}

    return fit


def sklearn_kmeans(threads: int, *, clusters: int, steps: int, init: str) -> Fit:
    """scikit-learn's k-means, one start."""
    from sklearn.cluster import KMeans

    return partial(_sklearn_means, partial(KMeans, n_clusters=clusters, max_iter=steps, n_init=1, tol=0.0, init=init))


def minibatch_kmeans(threads: int, *, clusters: int, steps: int) -> Fit:
    """scikit-learn's MiniBatchKMeans, one start, stopping early as it does by default."""
    from sklearn.cluster import MiniBatchKMeans

    return partial(_sklearn_means, partial(MiniBatchKMeans, n_clusters=clusters, max_iter=steps, n_init=1))


def intelex_kmeans(threads: int, *, clusters: int, steps: int, init: str) -> Fit:
    """scikit-learn-intelex, one start."""
    from sklearnex.cluster import KMeans

    return partial(_sklearn_means, partial(KMeans, n_clusters=clusters, max_iter=steps, n_init=1, tol=0.0, init=init))


def _sklearn_means(model: Callable[..., Any], points: Points, seed: int) -> Answer:
    result = model(random_state=seed).fit(points)
    return {"labels": result.labels_, "centers": result.cluster_centers_}


def faiss_kmeans(threads: int, *, clusters: int, steps: int) -> Fit:
    """faiss from random rows, on all rows (by default it takes 256 for each cluster). It makes no labels, so it does
    less than the others."""
    import faiss

    faiss.omp_set_num_threads(threads)

    def fit(points: Points, seed: int) -> Answer:
        limits = {"min_points_per_centroid": 1, "max_points_per_centroid": len(points)}
        model = faiss.Kmeans(points.shape[1], clusters, niter=steps, seed=seed, **limits)
        model.train(points)
        return {"centers": model.centroids}

    return fit


def faiss_flat(threads: int, *, count: int) -> Fit:
    """faiss, exact: IndexFlatL2, every row asked for."""
    import faiss

    faiss.omp_set_num_threads(threads)

    def fit(points: Points, seed: int) -> Answer:
        index = faiss.IndexFlatL2(points.shape[1])
        index.add(points)
        return {"neighbors": index.search(points, count + 1)[1]}

    return fit


def faiss_ivf(threads: int, *, count: int, probes: int) -> Fit:
    """faiss, approximate: IndexIVFFlat with 4 sqrt(n) lists, `probes` of them looked through."""
    import faiss

    faiss.omp_set_num_threads(threads)

    def fit(points: Points, seed: int) -> Answer:
        width = points.shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, int(4 * np.sqrt(len(points))))
        index.cp.seed, index.nprobe = seed, probes
        index.train(points)
        index.add(points)
        return {"neighbors": index.search(points, count + 1)[1]}

    return fit


def sklearn_neighbors(threads: int, *, count: int) -> Fit:
    """scikit-learn by brute force: exact."""
    from sklearn.neighbors import NearestNeighbors

    return partial(_sklearn_nearest, partial(NearestNeighbors, n_neighbors=count, algorithm="brute", n_jobs=threads))


def intelex_neighbors(threads: int, *, count: int) -> Fit:
    """scikit-learn-intelex by brute force: exact."""
    from sklearnex.neighbors import NearestNeighbors

    return partial(_sklearn_nearest, partial(NearestNeighbors, n_neighbors=count, algorithm="brute", n_jobs=threads))


def _sklearn_nearest(model: Callable[..., Any], points: Points, seed: int) -> Answer:
    return {"neighbors": model().fit(points).kneighbors(return_distance=False)}


def pynndescent(threads: int, *, count: int) -> Fit:
    """PyNNDescent, approximate: what UMAP and fast_hdbscan find neighbours with."""
    from pynndescent import NNDescent

    def fit(points: Points, seed: int) -> Answer:
        result = NNDescent(points, n_neighbors=count + 1, random_state=seed, n_jobs=threads).neighbor_graph
        return {"neighbors": result[0]}

    return fit


def shoal_assign(threads: int, *, clusters: int, singles: int = 0) -> Fit:
    """Shoal, without a reach: every row gets its nearest centroid."""
    from shoal.engine.plan import ignore_progress
    from shoal.engine.prediction import Assigner

    def place(centroids: Points) -> Place:
        assigner = Assigner.of(centroids, metric="euclidean")
        return lambda points: assigner.assign(points, threads, ignore_progress).labels

    return partial(_assign, place, clusters, singles)


def numpy_assign(threads: int, *, clusters: int, singles: int = 0) -> Fit:
    """Brute force in NumPy: products of 4,096 rows with all centroids, in float32, on as many BLAS threads."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)

    def place(centroids: Points) -> Place:
        halves = (centroids**2).sum(axis=1) / 2

        def nearest(points: Points) -> NDArray[Any]:
            parts = (points[start : start + 4096] for start in range(0, len(points), 4096))
            return np.concatenate([np.argmax(part @ centroids.T - halves, axis=1) for part in parts])

        return nearest

    return partial(_assign, place, clusters, singles)


def sklearn_assign(threads: int, *, clusters: int, singles: int = 0) -> Fit:
    """scikit-learn's pairwise_distances_argmin."""
    from sklearn.metrics import pairwise_distances_argmin
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    return partial(
        _assign, lambda centroids: lambda rows: pairwise_distances_argmin(rows, centroids), clusters, singles
    )


def faiss_assign(threads: int, *, clusters: int, singles: int = 0) -> Fit:
    """faiss: IndexFlatL2."""
    import faiss

    faiss.omp_set_num_threads(threads)

    def place(centroids: Points) -> Place:
        index = faiss.IndexFlatL2(centroids.shape[1])
        index.add(centroids)
        return lambda points: index.search(points, 1)[1][:, 0]

    return partial(_assign, place, clusters, singles)


Place: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


def _assign(
    prepared: Callable[[Points], Place], clusters: int, singles: int, points: NDArray[Any], seed: int
) -> Answer:
    """All rows at once, or the first `singles` one after the other with the time each took. The centroids are rows."""
    targets = np.random.default_rng(seed).choice(len(points), min(clusters, len(points)), replace=False)
    place = prepared(np.ascontiguousarray(points[targets]))
    if singles == 0:
        return {"labels": place(points), "targets": targets}
    sample_size = min(singles, len(points))
    labels, took = np.empty(sample_size, np.int64), np.empty(sample_size)
    for row in range(sample_size):
        began = time.perf_counter()
        labels[row] = place(points[row : row + 1])[0]
        took[row] = time.perf_counter() - began
    return {"labels": labels, "targets": targets, "took": took}


CONTENDERS: Final[Mapping[str, Callable[..., Fit]]] = {
    value.__name__: value
    for value in (
        shoal_hdbscan,
        shoal_kmeans,
        shoal_neighbors,
        sklearn_hdbscan,
        sklearn_hdbscan_keyed,
        hdbscan_package,
        fast_hdbscan,
        evoc,
        umap_hdbscan,
        sklearn_kmeans,
        minibatch_kmeans,
        intelex_kmeans,
        faiss_kmeans,
        faiss_flat,
        faiss_ivf,
        sklearn_neighbors,
        intelex_neighbors,
        pynndescent,
        shoal_auto,
        shoal_map,
        umap_map,
        shoal_assign,
        numpy_assign,
        sklearn_assign,
        faiss_assign,
    )
}
"""Each takes the number of threads and its own keyword arguments."""
