"""Lasting ids of clusters in the layers above and below the chosen one.

Runs differ in their layers. So each layer is first compared with the layers that the previous run had on the same side
of the chosen one, and its clusters are matched with those of the most similar layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels
from shoal.engine.clusters.matching import count_shared_rows, match_clusters
from shoal.records.clusters.ids import SERIES, Series, format_layer_id, is_layer_id, parse_layer_id
from shoal.runs.grouping.ranks import RankedLayers

__all__ = ["LayersBefore", "identify_layers"]


@dataclass(frozen=True, slots=True)
class LayersBefore:
    """The layer tables of the run that last found layers, and the document key of each of their rows."""

    tables: Mapping[str, pa.Table]
    keys: Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of one series: its clusters, by id or number, and the position (n,) of each document's cluster, -1 for
    none."""

    clusters: Sequence[Any]
    labels: Labels
    position: int = 0
    """The position among all layers of the clustering."""


def identify_layers(
    ranked: Sequence[RankedLayers], before: LayersBefore | None, used: Mapping[str, int]
) -> tuple[dict[int, list[list[str] | None]], dict[str, int]]:
    """Assign ids to the clusters of the layers that were not chosen.

    Returns the ids by clustering and layer, with None for the chosen layers, and the first free number of each series.

    Parameters
    ----------
    ranked : sequence of RankedLayers
        The layers of the run.
    before : LayersBefore
        The layers of an earlier run, if there is one.
    used : mapping of str to int
        The first free number of each series.
    """
    free = {series: used.get(series, 0) for series in SERIES}
    taken = set[str]()
    ids = {layers_of.clustering: _empty(layers_of) for layers_of in ranked}
    for layers in sorted(ranked, key=lambda layers_of: layers_of.artifact):
        earlier = _same_feature(layers.feature, before)
        rows = None
        if before is not None and earlier is not None and earlier in before.keys:
            rows = pc.index_in(layers.keys, value_set=before.keys[earlier])
        for series in SERIES:
            own = _layers_of_series(layers, series)
            old = list[_Layer]()
            if rows is not None and before is not None and earlier is not None:
                old = _read_layers(before.tables[earlier], series, rows)
            for layer, matched in zip(own, _match_layers(own, old), strict=True):
                layer_ids = ids[layers.clustering][layer.position] = [""] * len(layer.clusters)
                for cluster in layer.clusters:
                    lasting = matched.get(cluster)
                    if lasting is None or lasting in taken:
                        lasting = format_layer_id(series, free[series])
                        free[series] += 1
                    layer_ids[cluster] = lasting
                    taken.add(lasting)
    return ids, {series: number for series, number in free.items() if number}


def _empty(layers: RankedLayers) -> list[list[str] | None]:
    return [None if series is None else [] for series in layers.series]


def _same_feature(feature: str | None, before: LayersBefore | None) -> str | None:
    """Find the earlier table of the same feature, or of all features together."""
    own = None if feature is None else feature.encode()
    for name, old in sorted(before.tables.items()) if before is not None else ():
        if (old.schema.metadata or {}).get(b"feature") == own:
            return name
    return None


def _layers_of_series(layers: RankedLayers, series: Series) -> list[_Layer]:
    """Return the layers of a series that have clusters, coarse to fine.

    If features are clustered separately, clusters are in the order of their first documents, which decides ties and new
    numbers.
    """
    layers_found = list[_Layer]()
    for position, (own, labels) in enumerate(zip(layers.series, layers.labels, strict=True)):
        clusters = int(labels.max(initial=-1)) + 1
        if own != series or not clusters:
            continue
        if layers.feature is None:
            layers_found.append(_Layer(range(clusters), labels, position))
            continue
        first = np.unique(labels[labels >= 0], return_index=True)[1]
        order = np.argsort(first)
        places = np.full(clusters + 1, NOISE, np.int32)
        places[order] = np.arange(clusters)
        layers_found.append(_Layer(order.tolist(), places[labels], position))
    return layers_found


def _read_layers(table: pa.Table, series: Series, rows: pa.Array) -> list[_Layer]:
    """Read the layers of a series from a table, coarse to fine, in the order of `rows`, null for a document that the
    table lacks."""
    layers = list[_Layer]()
    for name in table.column_names[1:]:
        column = table[name].combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        ids = [str(id) for id in column.dictionary.to_pylist()]
        if not ids or not is_layer_id(ids[0]) or parse_layer_id(ids[0]).series != series:
            continue
        labels = np.asarray(pc.fill_null(column.indices, NOISE).to_numpy(zero_copy_only=False), np.int32)
        layers.append(_Layer(ids, _take(labels, rows)))
    return layers


def _take(labels: Labels, rows: pa.Array) -> Labels:
    places: NDArray[np.int64] = np.asarray(pc.fill_null(rows, -1).to_numpy(zero_copy_only=False), np.int64)
    return np.asarray(np.append(labels, np.int32(NOISE))[places], np.int32)


def _match_layers(own: Sequence[_Layer], old: Sequence[_Layer]) -> list[dict[int, str]]:
    """Return for each layer the earlier ids of its clusters, taken from the earlier layer with the most documents in
    matching clusters. An earlier layer serves one layer only."""
    pairs = list[tuple[int, int, int, dict[int, str]]]()
    for mine_at, layer in enumerate(own):
        for other, earlier in enumerate(old):
            shared = count_shared_rows(earlier.labels, layer.labels)
            matches = match_clusters(shared)
            is_match = np.array([matches.get(int(new), -1) for new in shared.new], np.int64) == shared.old
            names = {layer.clusters[new]: str(earlier.clusters[before]) for new, before in matches.items()}
            pairs.append((-int(shared.rows[is_match].sum()), mine_at, other, names))
    matched: list[dict[int, str]] = [{} for _ in own]
    mine, theirs = set[int](), set[int]()
    for _, mine_at, other, names in sorted(pairs, key=lambda pair: pair[:3]):
        if mine_at not in mine and other not in theirs:
            mine.add(mine_at)
            theirs.add(other)
            matched[mine_at] = names
    return matched
