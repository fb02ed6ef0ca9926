"""Clusters of the layers above and below, as what was there before: their lasting ids.

Layers come and go between runs, so each is first compared with those that the run before had on the same side of the
chosen layer, and takes its ids from the one it shares most clusters with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.analysis.named_clusters import BROAD, FINE
from shoal.columns import NOISE, Labels
from shoal.engine.clusters.matching import count_shared_rows, match_clusters

__all__ = ["LAYERS", "LayersBefore", "identify_layers", "is_layers_table", "is_of_layer", "is_of_layers"]

LAYERS = "layers"
"""What the names of their tables begin with."""


@dataclass(frozen=True, slots=True)
class LayersBefore:
    """The tables of layers of the run that found them last, and the key of the document of each of their rows."""

    tables: Mapping[str, pa.Table]
    keys: Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of one series: the ids of its clusters, and the place (n,) of each document's, -1 in none."""

    ids: Sequence[str]
    labels: Labels


def is_of_layers(parent: str) -> bool:
    """Whether a key of `next_numbers` counts clusters of layers, and not of groups."""
    return parent in (BROAD, FINE)


def is_of_layer(id: str) -> bool:
    """Whether an id is that of a cluster of a layer above or below the clusters of a run."""
    return is_of_layers(id.partition("_")[0])


def identify_layers(
    tables: Mapping[str, pa.Table],
    keys: Mapping[str, pa.Array],
    before: LayersBefore | None,
    used: Mapping[str, int],
) -> tuple[dict[str, str], dict[str, int]]:
    """The lasting id of each id by rank, and the first number of each series that no cluster had up to now.

    Parameters
    ----------
    tables : mapping of str to Table
        The tables of the run; those of layers are looked at.
    keys : mapping of str to Array
        By the names of tables of layers, what tells the document of each row, as text.
    before : LayersBefore
        The same of an earlier run, where there is one.
    used : mapping of str to int
        The first free number of each series.
    """
    ids, free = dict[str, str](), {series: used.get(series, 0) for series in (BROAD, FINE)}
    taken = set[str]()
    for name in sorted(name for name in tables if is_layers_table(name)):
        earlier = _same_feature(tables[name], before)
        rows = None
        if before is not None and earlier is not None and earlier in before.keys and name in keys:
            rows = pc.index_in(keys[name], value_set=before.keys[earlier])
        for series in (BROAD, FINE):
            own = _layers(tables[name], series)
            old = [] if rows is None or before is None else _layers(before.tables[earlier or name], series, rows)
            for layer, matched in zip(own, _matched(own, old), strict=True):
                for id in layer.ids:
                    lasting = matched.get(id)
                    if lasting is None or lasting in taken:
                        lasting = f"{series}_{free[series]}"
                        free[series] += 1
                    ids[id] = lasting
                    taken.add(lasting)
    return ids, {series: number for series, number in free.items() if number}


def is_layers_table(name: str) -> bool:
    """Whether an artifact of this name holds layers."""
    return name == LAYERS or name.startswith(f"{LAYERS}_")


def _same_feature(table: pa.Table, before: LayersBefore | None) -> str | None:
    """The earlier table of the same feature, or of the features together."""
    feature = (table.schema.metadata or {}).get(b"feature")
    for name, old in sorted(before.tables.items()) if before is not None else ():
        if (old.schema.metadata or {}).get(b"feature") == feature:
            return name
    return None


def _layers(table: pa.Table, series: str, rows: pa.Array | None = None) -> list[_Layer]:
    """The layers with ids of a series, coarse to fine; in the order of `rows` where given, null is a row without."""
    found = list[_Layer]()
    for name in table.column_names[1:]:
        column = table[name].combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        ids = [str(id) for id in column.dictionary.to_pylist()]
        if not ids or not ids[0].startswith(f"{series}_"):
            continue
        labels = np.asarray(pc.fill_null(column.indices, NOISE).to_numpy(zero_copy_only=False), np.int32)
        found.append(_Layer(ids, labels if rows is None else _taken(labels, rows)))
    return found


def _taken(labels: Labels, rows: pa.Array) -> Labels:
    places: NDArray[np.int64] = np.asarray(pc.fill_null(rows, -1).to_numpy(zero_copy_only=False), np.int64)
    return np.asarray(np.append(labels, np.int32(NOISE))[places], np.int32)


def _matched(own: Sequence[_Layer], old: Sequence[_Layer]) -> list[dict[str, str]]:
    """For each layer the earlier id of each of its ids that has one, from the earlier layer that shares most with it;
    an earlier layer is that of one layer."""
    pairs = list[tuple[int, int, int, dict[str, str]]]()
    for one, layer in enumerate(own):
        for other, earlier in enumerate(old):
            shared = count_shared_rows(earlier.labels, layer.labels)
            found = match_clusters(shared)
            kept = np.array([found.get(int(new), -1) for new in shared.new], np.int64) == shared.old
            names = {layer.ids[new]: earlier.ids[before] for new, before in found.items()}
            pairs.append((-int(shared.rows[kept].sum()), one, other, names))
    matched: list[dict[str, str]] = [{} for _ in own]
    mine, theirs = set[int](), set[int]()
    for _, one, other, names in sorted(pairs, key=lambda pair: pair[:3]):
        if one not in mine and other not in theirs:
            mine.add(one)
            theirs.add(other)
            matched[one] = names
    return matched
