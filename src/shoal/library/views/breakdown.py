"""Clusters by time and by class: how many documents of each are in each cluster, and in which words they speak."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.analysis.named_clusters import NamedCluster
from shoal.columns import NOISE, Labels
from shoal.errors import InvalidField
from shoal.labeling import name_clusters
from shoal.library.input.frames import is_pandas, is_polars
from shoal.library.input.inputs import column_of
from shoal.records.cluster_ids import NOISE_ID
from shoal.scalars import is_missing, unwrap
from shoal.tables import is_text, to_plain

__all__ = ["UNITS", "by_class", "by_time"]

UNITS: Final = ("minute", "hour", "day", "week", "month", "quarter", "year")
_MICROSECONDS: Final = {"minute": 60 * 10**6, "hour": 3600 * 10**6, "day": 86_400 * 10**6}
_MOST_CHOSEN: Final = 40
"""Bins of the unit that is taken where none is asked for, at most."""
_MOST_BINS: Final = 10_000
_FEW: Final = 20
_WORDS: Final = 5
_TAGS: Final = (list, tuple, set, frozenset, np.ndarray)
_MOST_SPOKEN: Final = 200
"""The largest parts of a cluster, for which words are found."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Cells:
    """How n documents fall into parts (bins or classes) and clusters: `parts` (n,) int64, `labels` (n,) with noise as
    the last number."""

    parts: Numbers
    labels: Numbers
    clusters: int

    @staticmethod
    def of(parts: Numbers, labels: Labels, clusters: int) -> "_Cells":
        return _Cells(parts, np.where(labels == NOISE, clusters, labels).astype(np.int64), clusters)

    def counts(self, parts: int) -> Numbers:
        """(parts, clusters + 1) documents, noise in the last column."""
        width = self.clusters + 1
        cells = np.bincount(self.parts * width + self.labels, minlength=parts * width)
        return cells.reshape(parts, width).astype(np.int64)

    def words(self, texts: Sequence[str], counts: Numbers) -> dict[tuple[int, int], list[str]]:
        """For each part of a cluster the words that tell its documents from the others of that cluster."""
        found: dict[tuple[int, int], list[str]] = {}
        order = np.argsort(self.labels, kind="stable")
        starts = np.searchsorted(self.labels[order], np.arange(self.clusters + 1))
        for cluster in range(self.clusters):
            rows = order[starts[cluster] : starts[cluster + 1]]
            there = np.argsort(-counts[:, cluster], kind="stable")[:_MOST_SPOKEN]
            there = there[counts[there, cluster] > 0]
            number = np.full(len(counts), -1, np.int32)
            number[there] = np.arange(len(there))
            own = number[self.parts[rows]].astype(np.int32)
            names = name_clusters([texts[row] for row in rows.tolist()], own, len(there))
            for part, name in zip(there.tolist(), names, strict=True):
                found[part, cluster] = list(name.keywords[:_WORDS])
        return found


def by_time(
    timestamps: object,
    bins: int | str | None,
    labels: Labels,
    clusters: Sequence[NamedCluster],
    texts: Sequence[str] | None,
) -> pa.Table:
    """One row for each bin and cluster; see `Clustering.over_time`. Raises InvalidField."""
    moments = _moments(_column("timestamps", timestamps, len(labels)))
    known = ~np.isnat(moments)
    if not known.any():
        raise InvalidField("timestamps", "holds no time in any row", remedy="Give one time a row.")
    numbers, edges = _binned(moments[known], bins)
    last = len(edges) - 1
    parts = np.full(len(labels), last, np.int64)
    parts[known] = numbers
    some_unknown = not known.all()
    cells = _Cells.of(parts, labels, len(clusters))
    counts = cells.counts(last + some_unknown)
    each = np.repeat(np.arange(len(counts)), len(clusters) + 1)
    outside = each == last
    starts, ends = (np.append(side, np.datetime64("NaT", "us"))[each] for side in (edges[:-1], edges[1:]))
    own = {
        "start": pa.array(starts.astype("M8[us]"), pa.timestamp("us"), mask=outside),
        "end": pa.array(ends.astype("M8[us]"), pa.timestamp("us"), mask=outside),
    }
    return _table(own, cells, counts, np.arange(counts.size), clusters, texts)


def by_class(
    classes: object, labels: Labels, clusters: Sequence[NamedCluster], texts: Sequence[str] | None
) -> pa.Table:
    """One row for each class and cluster that meet; see `Clustering.per_class`. Raises InvalidField."""
    given, rows = _classes(classes, len(labels))
    overall = _Cells.of(np.zeros_like(labels, np.int64), labels, len(clusters)).counts(1)[0] / max(len(labels), 1)
    labels, texts = labels[rows], None if texts is None else [texts[row] for row in rows.tolist()]
    column = given.dictionary_encode(null_encoding="encode")
    codes = np.asarray(column.indices.to_numpy(zero_copy_only=False), np.int64)
    sizes = np.bincount(codes, minlength=len(column.dictionary))
    order = np.argsort(-sizes, kind="stable")  # the largest class first
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    cells = _Cells.of(rank[codes], labels, len(clusters))
    counts = cells.counts(len(order))
    there = np.flatnonzero(counts.ravel())
    part = there // counts.shape[1]
    own = {"class": column.dictionary.take(pa.array(order[part]))}
    table = _table(own, cells, counts, there, clusters, texts)
    lift = pa.array(table["share"].to_numpy() / overall[there % counts.shape[1]], pa.float64())
    return table.add_column(table.column_names.index("share") + 1, "lift", lift)


def _classes(values: Any, count: int) -> tuple[pa.Array, Numbers]:
    """The classes of n documents, and (classes,) the document of each: several where it has a list of tags, which count
    once each, and a missing one where the list is empty. Raises InvalidField."""
    column = _column("classes", _as_lists(values), count)
    if not _is_list(column.type):
        if column.type.num_fields:
            remedy = "Give one class a row, or a list of tags."
            raise InvalidField("classes", f"holds {column.type}, not one value a row", remedy=remedy)
        return column, np.arange(count)
    tags = [None if row is None else list(dict.fromkeys(row)) or None for row in column.to_pylist()]
    rows = np.repeat(np.arange(count), [1 if row is None else len(row) for row in tags])
    flat = [tag for row in tags for tag in ([None] if row is None else row)]
    return pa.array(flat, column.type.value_type), rows


def _is_list(kind: pa.DataType) -> bool:
    """Whether values are lists of tags, and no vectors."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and not kind.value_type.num_fields and not pa.types.is_floating(kind.value_type))


def _as_lists(values: Any) -> Any:
    """Tuples, sets and arrays of tags as lists, which Arrow reads; anything else as it is."""
    if not isinstance(values, (list, tuple, np.ndarray)) and not is_pandas(values, "Series"):
        return values
    if str(getattr(values, "dtype", "object")) != "object" or not any(isinstance(one, _TAGS) for one in values):
        return values
    listed = [sorted(one, key=str) if isinstance(one, (set, frozenset)) else one for one in values]
    rows = [None if is_missing(one) else list(one) if isinstance(one, _TAGS) else [one] for one in listed]
    try:
        return pa.array([None if row is None else [unwrap(tag) for tag in row] for row in rows])
    except pa.ArrowException:
        raise InvalidField("classes", "holds tags of several types", remedy="Make all of them text.") from None


def _table(
    own: dict[str, pa.Array],
    cells: _Cells,
    counts: Numbers,
    chosen: Numbers,
    clusters: Sequence[NamedCluster],
    texts: Sequence[str] | None,
) -> pa.Table:
    """The cells `chosen` of the table of `counts`, counted row by row, with the columns that tell their part."""
    part, cluster = np.divmod(chosen, counts.shape[1])
    ids = pa.array([*(one.cluster_id for one in clusters), NOISE_ID], pa.string())
    names = pa.array([*(one.label for one in clusters), None], pa.string())
    totals = np.maximum(counts.sum(axis=1), 1)
    spoken = {} if texts is None else cells.words(texts, counts)
    words = [spoken.get((p, c)) for p, c in zip(part.tolist(), cluster.tolist(), strict=True)]
    return pa.table(
        {
            **own,
            "cluster_id": ids.take(pa.array(cluster)),
            "cluster_label": names.take(pa.array(cluster)),
            "count": pa.array(counts.ravel()[chosen], pa.int64()),
            "share": pa.array(counts.ravel()[chosen] / totals[part], pa.float64()),
            "words": pa.array(words, pa.list_(pa.string())),
        }
    )


# ── values and bins ──────────────────────────────────────────────────────────────────────────────────────────────────


def _column(name: str, values: Any, count: int) -> pa.Array:
    if isinstance(values, str):
        raise InvalidField(name, "must be one value a row", value=values, remedy=f'Such as df["{values}"].')
    first = next((one for one in values if one is not None), None) if isinstance(values, (list, tuple)) else None
    if isinstance(first, (list, tuple, set, dict)):
        problem = f"holds values of type {type(first).__name__}, not one value a row"
        raise InvalidField(name, problem, remedy="Such as the first of several.")
    if (is_pandas(values) or is_polars(values)) and values.shape[1] == 1:
        values = values.iloc[:, 0] if is_pandas(values) else values.to_series()
    if str(getattr(values, "dtype", "")).startswith("period"):
        values = values.dt.to_timestamp() if is_pandas(values, "Series") else values.to_timestamp()
    try:
        if is_pandas(values, "Series") or is_pandas(values, "Index"):
            column = pa.array(values, from_pandas=True)
        elif is_polars(values, "Series"):
            column = pa.chunked_array(values)
        else:
            column = column_of(name, values)
    except (pa.ArrowException, TypeError):  # objects of several types
        column = column_of(name, values.to_list())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    column = to_plain(column)
    if len(column) != count:
        remedy = "Give one value a row, in the order of the documents."
        raise InvalidField(name, f"must be as many as the documents ({count:,}), not {len(column):,}", remedy=remedy)
    return column


def _moments(column: pa.Array) -> NDArray[np.datetime64]:
    """(n,) microseconds, NaT where there is none; of times with a zone the local time there."""
    kind = column.type
    if is_text(kind):
        column = _parsed(column)
    elif not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        remedy = (
            'Make them times: pandas.to_datetime(values), with unit="s" for seconds since 1970, format="%Y" for years.'
        )
        raise InvalidField("timestamps", f"holds {kind}, not times", remedy=remedy)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    moments: NDArray[np.datetime64] = column.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    return moments.astype("M8[us]")


def _parsed(column: pa.Array) -> pa.Array:
    """Times in ISO 8601, with a zone or without."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            continue
    value = next(text for text in column.to_pylist() if text is not None)
    raise InvalidField(
        "timestamps", "is text that is no time in ISO 8601", value=value, remedy="pandas.to_datetime reads others."
    )


def _binned(moments: NDArray[np.datetime64], bins: object) -> tuple[Numbers, NDArray[np.datetime64]]:
    """The bin of each moment, and the (b + 1,) edges of the bins, from the first to the last that holds one."""
    bins = unwrap(bins)
    if isinstance(bins, int) and not isinstance(bins, bool) and 1 <= bins <= _MOST_BINS:
        return _even(moments, bins)
    if bins is None:
        for unit in UNITS:
            numbers = _units(moments, unit)
            if numbers.max() - numbers.min() < _MOST_CHOSEN:
                return _calendar(numbers, unit)
        return _even(moments, _FEW)
    if bins not in UNITS:
        remedy = f"Give a number, or {', '.join(UNITS[:-1])} or {UNITS[-1]}."
        raise InvalidField("bins", "must be a number of bins or a unit of time", value=bins, remedy=remedy)
    numbers = _units(moments, str(bins))
    count = int(numbers.max() - numbers.min()) + 1
    if count > _MOST_BINS:
        raise InvalidField(
            "bins", f"makes {count:,} bins, more than {_MOST_BINS:,}", value=bins, remedy="Use a longer unit."
        )
    return _calendar(numbers, str(bins))


def _even(moments: NDArray[np.datetime64], bins: int) -> tuple[Numbers, NDArray[np.datetime64]]:
    """So many bins of one width; the last holds its end."""
    times = moments.astype(np.int64)
    first, last = int(times.min()), int(times.max())
    edges = first + np.round(np.arange(bins + 1) * ((last - first or 1) / bins)).astype(np.int64)
    numbers = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, bins - 1)
    return numbers.astype(np.int64), edges.astype("M8[us]")


def _calendar(numbers: Numbers, unit: str) -> tuple[Numbers, NDArray[np.datetime64]]:
    first, last = int(numbers.min()), int(numbers.max())
    return numbers - first, _starts(np.arange(first, last + 2), unit)


def _units(moments: NDArray[np.datetime64], unit: str) -> Numbers:
    """How many whole units since 1970 each moment is; weeks begin on Mondays."""
    if unit in _MICROSECONDS:
        return np.floor_divide(moments.astype(np.int64), _MICROSECONDS[unit])
    if unit == "week":  # 1970 began on a Thursday
        return np.floor_divide(moments.astype("M8[D]").astype(np.int64) + 3, 7)
    months = moments.astype("M8[M]").astype(np.int64)
    return np.floor_divide(months, {"month": 1, "quarter": 3, "year": 12}[unit])


def _starts(numbers: Numbers, unit: str) -> NDArray[np.datetime64]:
    if unit in _MICROSECONDS:
        return (numbers * _MICROSECONDS[unit]).astype("M8[us]")
    if unit == "week":
        return (numbers * 7 - 3).astype("M8[D]").astype("M8[us]")
    return (numbers * {"month": 1, "quarter": 3, "year": 12}[unit]).astype("M8[M]").astype("M8[us]")
