"""The parameter-free method, its layers and the communities under it, on real sets."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from shared_data import load, vectors
from shoal.engine import Outcome, Plan, compute, kernels
from shoal.engine.algorithms import find_algorithm
from shoal.engine.communities import leiden_reference
from shoal.engine.communities.leiden import find_consensus, find_small_groups, score_layers
from shoal.engine.communities.membership import walk_home
from shoal.engine.neighbors.graph import NeighborGraph, fuzzy_graph
from shoal.engine.neighbors.lists import NeighborLists, find_neighbors, nearest_among
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import unit_rows
from shoal.engine.rows.row_keys import sort_by_key

pytestmark = pytest.mark.slow

Points = NDArray[np.float32]


def auto(points: Points, algorithm: str = "auto", threads: int = 2, **params: object) -> Outcome:
    return compute(points, Plan(algorithm=algorithm, params=params, components=0, threads=threads))


@pytest.fixture(scope="module")
def banking() -> tuple[Points, NDArray[np.str_], Outcome]:
    table = load("banking77")
    points = vectors(table)
    return points, table["label"].to_numpy(zero_copy_only=False).astype(str), auto(points)


def graph_of(points: Points, count: int = 15) -> NeighborGraph:
    space = unit_rows(points)
    rows = sort_by_key(space, 2)[1]
    return fuzzy_graph(find_neighbors(space, rows, count, threads=2, progress=ignore_progress).halve_squares(), 2)


def test_banking77_needs_no_parameters(banking: tuple[Points, NDArray[np.str_], Outcome]) -> None:
    _, truth, found = banking
    inside = found.labels >= 0

    assert 77 / 2 <= found.clusters <= 77 * 2
    assert inside.mean() >= 0.85
    assert adjusted_rand_score(truth[inside], found.labels[inside]) >= 0.55
    assert adjusted_mutual_info_score(truth, found.labels) >= 0.75


def test_neither_order_nor_threads_change_a_label(banking: tuple[Points, NDArray[np.str_], Outcome]) -> None:
    points, _, found = banking
    order = np.random.default_rng(3).permutation(len(points))

    shuffled = auto(points[order], threads=1)

    assert adjusted_rand_score(found.labels[order], shuffled.labels) == 1.0
    assert np.array_equal(found.strengths[order], shuffled.strengths)


def test_another_seed_finds_nearly_the_same_where_structure_is_sharp(
    banking: tuple[Points, NDArray[np.str_], Outcome],
) -> None:
    points, _, found = banking

    other = auto(points, random_state=7)

    assert adjusted_rand_score(found.labels, other.labels) >= 0.9


def check_nested(found: Outcome) -> None:
    """From coarse to fine, each cluster inside its parent, the same rows left out, and numbered by size."""
    assert found.layers is not None
    layers = found.layers.layers
    counts = [layer.clusters for layer in layers]
    assert counts == sorted(set(counts))
    assert np.array_equal(layers[found.layers.chosen].labels, found.labels)
    assert (layers[0].parents == -1).all()
    for layer in layers:
        sizes = np.bincount(layer.labels[layer.labels >= 0], minlength=layer.clusters)
        assert len(layer.parents) == len(sizes) == layer.clusters
        assert (np.diff(sizes) <= 0).all() and sizes.min(initial=1) > 0
    for coarse, fine in pairwise(layers):
        inside = fine.labels >= 0
        assert np.array_equal(coarse.labels >= 0, inside)
        assert np.array_equal(fine.parents[fine.labels[inside]], coarse.labels[inside])


def test_layers_go_from_coarse_to_fine_and_are_nested(banking: tuple[Points, NDArray[np.str_], Outcome]) -> None:
    check_nested(banking[2])
    assert banking[2].layers is not None
    assert len(banking[2].layers.layers) >= 4


def topics(seed: int, between: float, within: float, noise: float) -> tuple[Points, NDArray[Any], NDArray[Any]]:
    """4,480 rows of 43 groups of uneven size in eight topics; the group and the topic of each row, -1 for the
    twentieth that are outliers."""
    rng = np.random.default_rng(seed)

    def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    topic = np.concatenate([np.arange(8), rng.integers(0, 8, 35)])
    centers = unit(between * unit(rng.normal(size=(8, 128)))[topic] + within * unit(rng.normal(size=(43, 128))))
    group = rng.choice(43, 4480, p=rng.dirichlet(np.full(43, 3.0)))
    rows = unit(centers[group] + noise * unit(rng.normal(size=(4480, 128))) * rng.gamma(8, 1 / 8, (4480, 1)))
    stray = rng.random(4480) < 0.05
    rows[stray] = unit(rng.normal(size=(int(stray.sum()), 128)))
    return rows.astype(np.float32), np.where(stray, -1, group), np.where(stray, -1, topic[group])


@pytest.mark.parametrize("shape", [(0, 0.6, 0.45, 0.5), (2, 0.7, 0.3, 0.7), (3, 0.6, 0.45, 0.5), (4, 0.5, 0.6, 0.8)])
def test_eight_topics_behind_43_groups_are_a_layer(shape: tuple[int, float, float, float]) -> None:
    points, group, topic = topics(*shape)

    found = auto(points)

    assert found.layers is not None
    by_count = {layer.clusters: layer.labels for layer in found.layers.layers}
    inside = (topic >= 0) & (found.labels >= 0)
    assert abs(found.clusters - 43) <= 5
    assert adjusted_rand_score(group[inside], found.labels[inside]) >= 0.95
    assert adjusted_rand_score(topic[inside], by_count[8][inside]) >= 0.95
    assert np.array_equal(auto(points, n_clusters=8).labels, by_count[8])


def test_ten_clusters_of_clinc150_match_its_domains_better_than_chance_or_one_dominant_cluster() -> None:
    table = load("clinc150").take(np.arange(0, 23_700, 3))
    domain = table["domain"].to_numpy(zero_copy_only=False).astype(str)

    found = auto(vectors(table), n_clusters=10)

    inside = (domain != "oos") & (found.labels >= 0)
    assert found.clusters == 10
    assert adjusted_rand_score(domain[inside], found.labels[inside]) >= 0.3
    assert found.sizes.max() <= 0.3 * len(table)


@pytest.mark.parametrize("wanted", [2, 5, 8, 20, 77, 150, 300])
def test_the_requested_number_of_clusters_is_returned(
    banking: tuple[Points, NDArray[np.str_], Outcome], wanted: int
) -> None:
    points, truth, shown = banking

    found = auto(points, n_clusters=wanted)

    inside = found.labels >= 0
    assert found.clusters == wanted
    assert np.array_equal(inside, shown.labels >= 0)  # the same rows are left out
    assert found.sizes.max() <= max(len(points) / wanted**0.4, 1.5 * shown.sizes.max())
    if 20 <= wanted <= 150:
        assert adjusted_rand_score(truth[inside], found.labels[inside]) >= (0.25 if wanted == 20 else 0.55)
    assert found.layers is not None and str(wanted) in found.layers.reason
    check_nested(found)


def test_merged_and_split_clusters_do_not_depend_on_order_or_threads() -> None:
    points = vectors(load("fashion900"), "pca64")
    order = np.random.default_rng(5).permutation(len(points))

    for wanted in (3, 40):
        found, shuffled = (
            auto(points, n_clusters=wanted),
            auto(points[order], threads=1, n_clusters=wanted),
        )

        assert found.clusters == shuffled.clusters == wanted
        assert adjusted_rand_score(found.labels[order], shuffled.labels) == 1.0


@pytest.mark.parametrize(("rows", "wanted"), [(2, 2), (4, 2), (6, 3), (12, 6), (40, 13)])
def test_few_rows_give_the_requested_number_of_clusters(rows: int, wanted: int) -> None:
    points = np.random.default_rng(rows).normal(size=(rows, 8)).astype(np.float32)

    found = auto(points, n_clusters=wanted, noise_level=0.0)

    assert found.clusters == wanted
    check_nested(found)


def test_copies_of_few_values_are_merged_to_the_requested_number() -> None:
    points = np.repeat(np.eye(6, dtype=np.float32), 10, axis=0)

    found = auto(points, n_clusters=2)

    assert found.clusters == 2
    check_nested(found)
    assert any("9 clusters were asked for and 6 found" in one for one in auto(points, n_clusters=9).warnings)


@pytest.mark.parametrize("wanted", [None, 8, 120])
def test_layers_are_nested_where_a_sample_was_fitted_and_the_rest_assigned(wanted: int | None) -> None:
    points, group, _ = topics(0, 0.6, 0.45, 0.5)
    params = {} if wanted is None else {"n_clusters": wanted}

    found = compute(points, Plan(algorithm="auto", params=params, components=0, sample_size=2000))

    check_nested(found)
    assert found.layers is not None
    assert (found.labels >= 0).mean() > 0.8
    if wanted is None:
        inside = (group >= 0) & (found.labels >= 0)
        for layer in found.layers.layers:
            if layer.clusters >= 40:
                assert len(np.unique(layer.labels[inside])) == layer.clusters


def test_out_of_scope_rows_are_noise_more_often_than_others() -> None:
    table = load("clinc150").take(np.arange(0, 23_700, 2))
    oos = table["label"].to_numpy(zero_copy_only=False) == "oos"
    found = auto(vectors(table))

    assert (found.labels[oos] < 0).mean() > 4 * (found.labels[~oos] < 0).mean()


def test_missing_structure_is_reported() -> None:
    found = auto(vectors(load("movies")))

    assert found.layers is not None and not found.layers.clear
    assert any("No clear structure" in warning for warning in found.warnings)


def test_noise_level_0_leaves_no_noise() -> None:
    found = auto(vectors(load("fashion900"), "pca64"), noise_level=0.0)

    assert (found.labels >= 0).all()


def test_new_rows_get_the_same_label_alone_and_in_a_batch() -> None:
    points = unit_rows(vectors(load("banking77")))[:4000]
    fitted, new = np.delete(points, np.s_[::8], axis=0), points[::8]
    algorithm = find_algorithm("auto")
    fit = algorithm.fit(fitted, algorithm.params(), seed=42, threads=2, progress=ignore_progress)

    together = fit.assign(new, 2, ignore_progress)
    alone = [fit.assign(new[row : row + 1], 1, ignore_progress) for row in range(0, 500, 50)]

    assert [one.labels[0] for one in alone] == together.labels[::50].tolist()
    assert [one.strengths[0] for one in alone] == together.strengths[::50].tolist()
    assert 0.7 < (together.labels >= 0).mean() < 1


def test_random_rows_are_mostly_noise() -> None:
    points = unit_rows(vectors(load("banking77")))[:3000]
    algorithm = find_algorithm("auto")
    fit = algorithm.fit(points, algorithm.params(), seed=42, threads=2, progress=ignore_progress)
    noise = unit_rows(np.random.default_rng(0).normal(size=(50, points.shape[1])).astype(np.float32))

    assert (fit.assign(noise, 2, ignore_progress).labels == -1).mean() >= 0.8


def test_evoc_warns_that_auto_is_used_instead() -> None:
    found = auto(vectors(load("fashion900"), "pca64"), "evoc")

    assert found.clusters > 2
    assert any("EVoC library" in warning for warning in found.warnings)


@pytest.mark.parametrize("objective", ["RBConfiguration", "CPM"])
def test_leiden_finds_more_clusters_at_a_higher_resolution(objective: str) -> None:
    points = vectors(load("fashion900"), "pca64")
    low, high = (0.2, 2.0) if objective == "RBConfiguration" else (0.005, 0.05)

    few = auto(points, "leiden", resolution=low, objective_function=objective)
    many = auto(points, "leiden", resolution=high, objective_function=objective)

    assert 1 < few.clusters < many.clusters
    assert (few.labels >= 0).all()


def same_graph(graph: NeighborGraph) -> tuple[Any, Any, Any, Any, float]:
    strength = graph.strength()
    return graph.start, graph.to, graph.weight, strength, float(strength.sum())


@pytest.mark.skipif(kernels.native() is None, reason="there is no compiled core to compare with")
@pytest.mark.parametrize("name", ["fashion900", "cora"])
def test_the_reference_finds_the_same_communities(name: str) -> None:
    column = {"fashion900": "pca64", "cora": "text_embedding"}[name]
    points = vectors(load(name), column)
    graph = graph_of(points[points.any(axis=1)][:1200])
    core = kernels.native()
    assert core is not None
    arguments = same_graph(graph)
    resolutions, seeds = np.array([0.3, 1.0, 4.0]), np.array([5, 6], np.uint64)

    groups = core.groups_of_vertices(*arguments, 16.0, 100, 2, None)
    assert np.array_equal(groups, leiden_reference.groups_of_vertices(*arguments, 16.0, 100, 1, quiet))
    assert groups.max() < 400
    for given in (None, groups[0]):
        layers = core.layers_of_communities(*arguments, given, resolutions, 42, 2, None)
        reference_layers = leiden_reference.layers_of_communities(*arguments, given, resolutions, 42, 1, quiet)
        assert np.array_equal(layers, reference_layers)
    for given, within in ((None, None), (groups[0], None), (groups[0], layers[1]), (None, layers[0])):
        runs = core.runs_of_communities(*arguments, given, within, 1.0, seeds, 2, 2, None)
        assert np.array_equal(
            runs, leiden_reference.runs_of_communities(*arguments, given, within, 1.0, seeds, 2, 1, quiet)
        )
    assert np.array_equal(core.common_groups(layers), leiden_reference.common_groups(layers))
    for found, reference in (
        (
            core.joined_groups(*arguments[:3], groups[0], 2),
            leiden_reference.joined_groups(*arguments[:3], groups[0], 1),
        ),
        (core.agreed_graph(*arguments[:3], runs, 2), leiden_reference.agreed_graph(*arguments[:3], runs, 1)),
        (core.weights_within(*arguments[:3], layers, 2), leiden_reference.weights_within(*arguments[:3], layers, 1)),
    ):
        pairs = zip(found, reference, strict=True)
        assert all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs)


def quiet(_: float) -> None: ...


@pytest.mark.skipif(kernels.native() is None, reason="there is no compiled core to compare with")
def test_the_reference_groups_the_same_rows_across_blocks() -> None:
    rng = np.random.default_rng(0)
    own = np.arange(20_000, dtype=np.int64)[:, None]
    to = np.concatenate([own + np.arange(1, 5), rng.integers(0, len(own), (len(own), 1))], axis=1) % len(own)
    distances = np.sort(rng.random(to.shape), axis=1)
    graph = fuzzy_graph(NeighborLists(to.astype(np.int32), distances, True, own.ravel().astype(np.int32)), 2)
    core = kernels.native()
    assert core is not None

    groups = core.groups_of_vertices(*same_graph(graph), 32.0, 20_000, 2, None)

    assert np.array_equal(groups, leiden_reference.groups_of_vertices(*same_graph(graph), 32.0, 20_000, 1, quiet))
    assert np.array_equal(groups, core.groups_of_vertices(*same_graph(graph), 32.0, 20_000, 1, None))


def test_the_graphs_and_walks_of_the_reference_equal_those_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    points = unit_rows(vectors(load("fashion900"), "pca64"))
    near = find_neighbors(points, sort_by_key(points, 2)[1], 15, threads=2, progress=ignore_progress).halve_squares()
    graph = fuzzy_graph(near, 2)
    labels = find_small_groups(graph, 2, ignore_progress)
    home, share = walk_home(graph, labels, 2)

    monkeypatch.setattr(kernels, "native", lambda: None)
    reference_layers = fuzzy_graph(near, 2)
    assert np.array_equal(graph.start, reference_layers.start) and np.array_equal(graph.to, reference_layers.to)
    assert np.array_equal(graph.weight, reference_layers.weight)
    assert np.array_equal(labels, find_small_groups(reference_layers, 1, ignore_progress))
    assert np.array_equal(home, walk_home(reference_layers, labels, 1)[0])
    assert np.array_equal(share, walk_home(reference_layers, labels, 1)[1])


def test_all_runs_find_two_cliques_as_two_communities() -> None:
    row, to = np.nonzero(np.kron(np.eye(2), 1 - np.eye(10)))
    start = np.concatenate([[0], np.cumsum(np.bincount(row))]).astype(np.int64)
    graph = NeighborGraph(start, to.astype(np.int32), np.ones(len(to), np.float32))

    labels, agreement = find_consensus(graph, 1.0, 0, threads=1, progress=ignore_progress)

    assert labels.tolist() == [0] * 10 + [1] * 10
    assert agreement == pytest.approx(1.0)
    assert score_layers(graph, labels[None], [1.0], 1)[0].inside == 1.0


def test_nearest_rows_among_others_equal_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    fitted, new = rng.normal(size=(700, 12)).astype(np.float32), rng.normal(size=(90, 12)).astype(np.float32)
    fitted[5] = fitted[3]

    near, away = nearest_among(new, fitted, 4, threads=2, progress=ignore_progress)

    exact = np.linalg.norm(new[:, None].astype(np.float64) - fitted, axis=2)
    assert np.array_equal(near, np.argsort(exact, axis=1, kind="stable")[:, :4])
    assert np.allclose(away, np.sort(exact, axis=1)[:, :4])


def test_rows_that_are_copies_of_few_values_are_clustered_by_value() -> None:
    found = auto(np.repeat(np.eye(4, dtype=np.float32), 5, axis=0))

    assert found.clusters == 4
    assert (found.labels >= 0).all()


@pytest.mark.parametrize("rows", [3, 5, 12])
def test_too_few_rows_without_groups_are_reported(rows: int) -> None:
    found = auto(unit_rows(np.random.default_rng(rows).normal(size=(rows, 32)).astype(np.float32)))

    assert found.clusters < 2
    assert any("too few" in warning for warning in found.warnings)
