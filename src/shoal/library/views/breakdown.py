"""Clusters by time and by class: document counts, and the words that distinguish the documents of each part."""

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
from shoal.library.input.conversion import to_column
from shoal.library.input.frames import is_pandas, is_polars
from shoal.records.clusters.ids import NOISE_ID
from shoal.scalars import is_missing, unwrap
from shoal.tables import is_text, to_plain

__all__ = ["UNITS", "count_by_class", "count_by_time"]

UNITS: Final = ("minute", "hour", "day", "week", "month", "quarter", "year")
_MICROSECONDS: Final = {"minute": 60 * 10**6, "hour": 3600 * 10**6, "day": 86_400 * 10**6}
_MAX_AUTO_BINS: Final = 40
"""The maximum number of bins where no unit is requested."""
_MAX_BINS: Final = 10_000
_FEW: Final = 20
_WORDS: Final = 5
_TAGS: Final = (list, tuple, set, frozenset, np.ndarray)
_MAX_NAMED_PARTS: Final = 200
"""The largest parts of a cluster, for which words are computed."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cross tabulation of n documents by parts (bins or classes) and clusters.

    `parts` (n,) int64, `labels` (n,) with noise as the last number.
    """

    parts: Numbers
    labels: Numbers
    clusters: int

    @staticmethod
    def from_labels(parts: Numbers, labels: Labels, clusters: int) -> "_Cells":
        return _Cells(parts, np.where(labels == NOISE, clusters, labels).astype(np.int64), clusters)

    def count(self, parts: int) -> Numbers:
        """Return (parts, clusters + 1) document counts, noise in the last column."""
        width = self.clusters + 1
        cells = np.bincount(self.parts * width + self.labels, minlength=parts * width)
        return cells.reshape(parts, width).astype(np.int64)

    def find_words(self, texts: Sequence[str], counts: Numbers) -> dict[tuple[int, int], list[str]]:
        """Return for each part of a cluster the words that distinguish its documents from the others of that
        cluster."""
        words: dict[tuple[int, int], list[str]] = {}
        order = np.argsort(self.labels, kind="stable")
        starts = np.searchsorted(self.labels[order], np.arange(self.clusters + 1))
        for cluster in range(self.clusters):
            rows = order[starts[cluster] : starts[cluster + 1]]
            parts = np.argsort(-counts[:, cluster], kind="stable")[:_MAX_NAMED_PARTS]
            parts = parts[counts[parts, cluster] > 0]
            number = np.full(len(counts), -1, np.int32)
            number[parts] = np.arange(len(parts))
            own = number[self.parts[rows]].astype(np.int32)
            names = name_clusters([texts[row] for row in rows.tolist()], own, len(parts))
            for part, name in zip(parts.tolist(), names, strict=True):
                words[part, cluster] = list(name.keywords[:_WORDS])
        return words


def count_by_time(
    timestamps: object,
    bins: int | str | None,
    labels: Labels,
    clusters: Sequence[NamedCluster],
    texts: Sequence[str] | None,
) -> pa.Table:
    """Return one row for each bin and cluster; see `Clustering.over_time`. Raises InvalidField."""
    times = _to_times(_to_column("timestamps", timestamps, len(labels)))
    has_time = ~np.isnat(times)
    if not has_time.any():
        raise InvalidField("timestamps", "holds no time in any row", remedy="Give one time a row.")
    numbers, edges = _bin_times(times[has_time], bins)
    last = len(edges) - 1
    parts = np.full(len(labels), last, np.int64)
    parts[has_time] = numbers
    has_gaps = not has_time.all()
    cells = _Cells.from_labels(parts, labels, len(clusters))
    counts = cells.count(last + has_gaps)
    each = np.repeat(np.arange(len(counts)), len(clusters) + 1)
    outside = each == last
    starts, ends = (np.append(side, np.datetime64("NaT", "us"))[each] for side in (edges[:-1], edges[1:]))
    columns = {
        "start": pa.array(starts.astype("M8[us]"), pa.timestamp("us"), mask=outside),
        "end": pa.array(ends.astype("M8[us]"), pa.timestamp("us"), mask=outside),
    }
    return _build_table(columns, cells, counts, np.arange(counts.size), clusters, texts)


def count_by_class(
    classes: object, labels: Labels, clusters: Sequence[NamedCluster], texts: Sequence[str] | None
) -> pa.Table:
    """Return one row for each nonempty pair of class and cluster; see `Clustering.per_class`. Raises InvalidField."""
    tags, rows = _to_classes(classes, len(labels))
    overall = _Cells.from_labels(np.zeros_like(labels, np.int64), labels, len(clusters)).count(1)[0] / max(
        len(labels), 1
    )
    labels, texts = labels[rows], None if texts is None else [texts[row] for row in rows.tolist()]
    column = tags.dictionary_encode(null_encoding="encode")
    codes = np.asarray(column.indices.to_numpy(zero_copy_only=False), np.int64)
    sizes = np.bincount(codes, minlength=len(column.dictionary))
    order = np.argsort(-sizes, kind="stable")  # the largest class first
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    cells = _Cells.from_labels(rank[codes], labels, len(clusters))
    counts = cells.count(len(order))
    cells_present = np.flatnonzero(counts.ravel())
    part = cells_present // counts.shape[1]
    columns = {"class": column.dictionary.take(pa.array(order[part]))}
    table = _build_table(columns, cells, counts, cells_present, clusters, texts)
    lift = pa.array(table["share"].to_numpy() / overall[cells_present % counts.shape[1]], pa.float64())
    return table.add_column(table.column_names.index("share") + 1, "lift", lift)


def _to_classes(values: Any, count: int) -> tuple[pa.Array, Numbers]:
    """Return the classes of n documents, and (classes,) the document of each.

    A document with a list of tags has several, each counted once, and a missing one where the list is empty. Raises
    InvalidField.
    """
    column = _to_column("classes", _tags_to_lists(values), count)
    if not _is_tag_list(column.type):
        if column.type.num_fields:
            remedy = "Give one class a row, or a list of tags."
            raise InvalidField("classes", f"holds {column.type}, not one value per row", remedy=remedy)
        return column, np.arange(count)
    tags = [None if row is None else list(dict.fromkeys(row)) or None for row in column.to_pylist()]
    rows = np.repeat(np.arange(count), [1 if row is None else len(row) for row in tags])
    flat = [tag for row in tags for tag in ([None] if row is None else row)]
    return pa.array(flat, column.type.value_type), rows


def _is_tag_list(kind: pa.DataType) -> bool:
    """Return whether values are lists of tags rather than vectors."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and not kind.value_type.num_fields and not pa.types.is_floating(kind.value_type))


def _tags_to_lists(values: Any) -> Any:
    """Convert tuples, sets and arrays of tags to lists, which Arrow reads; anything else is returned unchanged."""
    if not isinstance(values, (list, tuple, np.ndarray)) and not is_pandas(values, "Series"):
        return values
    if str(getattr(values, "dtype", "object")) != "object" or not any(isinstance(value, _TAGS) for value in values):
        return values
    ordered = [sorted(value, key=str) if isinstance(value, (set, frozenset)) else value for value in values]
    rows = [None if is_missing(value) else list(value) if isinstance(value, _TAGS) else [value] for value in ordered]
    try:
        return pa.array([None if row is None else [unwrap(tag) for tag in row] for row in rows])
    except pa.ArrowException:
        raise InvalidField("classes", "holds tags of several types", remedy="Make all of them text.") from None


def _build_table(
    columns: dict[str, pa.Array],
    cells: _Cells,
    counts: Numbers,
    chosen: Numbers,
    clusters: Sequence[NamedCluster],
    texts: Sequence[str] | None,
) -> pa.Table:
    """Return the `chosen` cells of the table of `counts`, in row-major order, with the columns of their part."""
    part, cluster = np.divmod(chosen, counts.shape[1])
    ids = pa.array([*(cluster_record.cluster_id for cluster_record in clusters), NOISE_ID], pa.string())
    names = pa.array([*(cluster_record.label for cluster_record in clusters), None], pa.string())
    totals = np.maximum(counts.sum(axis=1), 1)
    words_by_cell = {} if texts is None else cells.find_words(texts, counts)
    words = [words_by_cell.get((p, c)) for p, c in zip(part.tolist(), cluster.tolist(), strict=True)]
    return pa.table(
        {
            **columns,
            "cluster_id": ids.take(pa.array(cluster)),
            "cluster_label": names.take(pa.array(cluster)),
            "count": pa.array(counts.ravel()[chosen], pa.int64()),
            "share": pa.array(counts.ravel()[chosen] / totals[part], pa.float64()),
            "words": pa.array(words, pa.list_(pa.string())),
        }
    )


# ── values and bins ──────────────────────────────────────────────────────────────────────────────────────────────────


def _to_column(name: str, values: Any, count: int) -> pa.Array:
    if isinstance(values, str):
        raise InvalidField(name, "must be one value per row", value=values, remedy=f'Such as df["{values}"].')
    first = next((value for value in values if value is not None), None) if isinstance(values, (list, tuple)) else None
    if isinstance(first, (list, tuple, set, dict)):
        problem = f"holds values of type {type(first).__name__}, not one value per row"
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
            column = to_column(name, values)
    except (pa.ArrowException, TypeError):  # objects of several types
        column = to_column(name, values.to_list())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    column = to_plain(column)
    if len(column) != count:
        remedy = "Give one value per row, in the order of the documents."
        raise InvalidField(name, f"must have one value per document ({count:,}), not {len(column):,}", remedy=remedy)
    return column


def _to_times(column: pa.Array) -> NDArray[np.datetime64]:
    """Return (n,) microseconds, NaT where missing; times with a zone in local time there."""
    kind = column.type
    if is_text(kind):
        column = _parse_times(column)
    elif not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        remedy = (
            'Make them times: pandas.to_datetime(values), with unit="s" for seconds since 1970, format="%Y" for years.'
        )
        raise InvalidField("timestamps", f"holds {kind}, not times", remedy=remedy)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    times: NDArray[np.datetime64] = column.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    return times.astype("M8[us]")


def _parse_times(column: pa.Array) -> pa.Array:
    """Parse times in ISO 8601, with or without a zone."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            continue
    value = next(text for text in column.to_pylist() if text is not None)
    raise InvalidField(
        "timestamps", "is text that is not a time in ISO 8601", value=value, remedy="pandas.to_datetime reads others."
    )


def _bin_times(times: NDArray[np.datetime64], bins: object) -> tuple[Numbers, NDArray[np.datetime64]]:
    """Return the bin of each time, and the (b + 1,) edges of the bins, from the first to the last that is not empty."""
    bins = unwrap(bins)
    if isinstance(bins, int) and not isinstance(bins, bool) and 1 <= bins <= _MAX_BINS:
        return _even_bins(times, bins)
    if bins is None:
        for unit in UNITS:
            numbers = _to_units(times, unit)
            if numbers.max() - numbers.min() < _MAX_AUTO_BINS:
                return _calendar_bins(numbers, unit)
        return _even_bins(times, _FEW)
    if bins not in UNITS:
        remedy = f"Give a number, or {', '.join(UNITS[:-1])} or {UNITS[-1]}."
        raise InvalidField("bins", "must be a number of bins or a unit of time", value=bins, remedy=remedy)
    numbers = _to_units(times, str(bins))
    count = int(numbers.max() - numbers.min()) + 1
    if count > _MAX_BINS:
        raise InvalidField(
            "bins", f"makes {count:,} bins, more than {_MAX_BINS:,}", value=bins, remedy="Use a longer unit."
        )
    return _calendar_bins(numbers, str(bins))


def _even_bins(times: NDArray[np.datetime64], bins: int) -> tuple[Numbers, NDArray[np.datetime64]]:
    """Bin to intervals of equal width; the last includes its end."""
    ticks = times.astype(np.int64)
    first, last = int(ticks.min()), int(ticks.max())
    edges = first + np.round(np.arange(bins + 1) * ((last - first or 1) / bins)).astype(np.int64)
    numbers = np.clip(np.searchsorted(edges, ticks, side="right") - 1, 0, bins - 1)
    return numbers.astype(np.int64), edges.astype("M8[us]")


def _calendar_bins(numbers: Numbers, unit: str) -> tuple[Numbers, NDArray[np.datetime64]]:
    first, last = int(numbers.min()), int(numbers.max())
    return numbers - first, _unit_starts(np.arange(first, last + 2), unit)


def _to_units(times: NDArray[np.datetime64], unit: str) -> Numbers:
    """Return the whole units since 1970 of each time; weeks start on Mondays."""
    if unit in _MICROSECONDS:
        return np.floor_divide(times.astype(np.int64), _MICROSECONDS[unit])
    if unit == "week":  # 1970 began on a Thursday
        return np.floor_divide(times.astype("M8[D]").astype(np.int64) + 3, 7)
    months = times.astype("M8[M]").astype(np.int64)
    return np.floor_divide(months, {"month": 1, "quarter": 3, "year": 12}[unit])


def _unit_starts(numbers: Numbers, unit: str) -> NDArray[np.datetime64]:
    if unit in _MICROSECONDS:
        return (numbers * _MICROSECONDS[unit]).astype("M8[us]")
    if unit == "week":
        return (numbers * 7 - 3).astype("M8[D]").astype("M8[us]")
    return (numbers * {"month": 1, "quarter": 3, "year": 12}[unit]).astype("M8[M]").astype("M8[us]")
