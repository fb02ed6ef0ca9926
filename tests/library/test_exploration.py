"""What is asked of a clustering: tables for data frames, probabilities, clusters by time and by class, its look."""

import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import shoal
from shoal.errors import ShoalError
from shoal.library.views import exploration
from shoal.records.clusters.ids import NOISE_ID

ABOUT = ["refund for my card", "password reset fails", "parcel arrived late"]
SIZES = [30, 20, 10]
OUTLIERS = 4
ROWS = sum(SIZES) + OUTLIERS


def made_vectors() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    groups = np.eye(8)[:3].repeat(SIZES, axis=0) + rng.normal(0, 0.05, (sum(SIZES), 8))
    return np.concatenate([groups, np.eye(8)[3 : 3 + OUTLIERS]]).astype(np.float32)


VECTORS = made_vectors()
GROUPS = np.repeat([0, 1, 2, -1], [*SIZES, OUTLIERS])
TEXTS = [f"{ABOUT[group] if group >= 0 else 'something else'} number {row}" for row, group in enumerate(GROUPS)]
ORDER = np.random.default_rng(5).permutation(ROWS)
OPTIONS: dict[str, Any] = {"algorithm": "hdbscan", "min_cluster_size": 6}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    columns = {"vec": list(VECTORS), "body": TEXTS, "ticket": [f"T{row:02d}" for row in range(ROWS)]}
    df = pd.DataFrame(columns, index=[f"row {row}" for row in range(ROWS)])
    return df.iloc[ORDER]


@pytest.fixture(scope="module")
def clustering(frame: pd.DataFrame) -> shoal.Clustering:
    return shoal.cluster(frame, vector="vec", text="body", id="ticket", **OPTIONS)


def refusal(call: Callable[[], object]) -> ShoalError:
    with pytest.raises(ShoalError) as refused:
        call()
    return refused.value


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_document_has_a_row_in_the_order_given(frame: pd.DataFrame, clustering: shoal.Clustering) -> None:
    table = clustering.to_arrow()

    assert table.column_names == ["document_id", "cluster_id", "cluster_label", "strength", "x", "y"]
    assert table["document_id"].to_pylist() == frame["ticket"].tolist()
    ids = [NOISE_ID if label < 0 else clustering.clusters[label].cluster_id for label in clustering.labels]
    assert table["cluster_id"].to_pylist() == ids
    assert table["cluster_label"].null_count == clustering.noise == OUTLIERS
    assert np.array_equal(table["strength"].to_numpy(), clustering.strengths)


def test_a_data_frame_joins_its_clusters_by_index_and_by_id(frame: pd.DataFrame, clustering: shoal.Clustering) -> None:
    by_index = frame.join(clustering.to_pandas())
    by_id = frame.merge(clustering.to_pandas(), left_on="ticket", right_on="document_id")
    by_polars = pl.DataFrame(frame.drop(columns="vec")).join(
        clustering.to_polars(), left_on="ticket", right_on="document_id", maintain_order="left"
    )

    assert by_index.index.tolist() == frame.index.tolist()
    assert by_index["document_id"].tolist() == frame["ticket"].tolist()
    assert by_index["cluster_id"].tolist() == by_id["cluster_id"].tolist() == by_polars["cluster_id"].to_list()


def test_clusters_and_their_representatives_are_tables_too(clustering: shoal.Clustering) -> None:
    clusters, standing = clustering.to_pandas("clusters"), clustering.to_polars("representatives")

    assert clusters["cluster_label"].tolist() == [cluster.label for cluster in clustering.clusters]
    assert clusters["size"].tolist() == SIZES
    assert [tuple(ids) for ids in clusters["representative_ids"]] == [
        cluster.representatives for cluster in clustering.clusters
    ]
    texts = dict(zip([f"T{row:02d}" for row in range(ROWS)], TEXTS, strict=True))
    assert standing["text"].to_list() == [texts[id] for id in standing["document_id"]]
    assert standing["rank"].to_list() == [1, 2, 3, 4, 5] * 3
    assert clustering.to_arrow("members").equals(clustering.members())


def test_ids_that_are_numbers_are_numbers_in_every_table() -> None:
    clusters = shoal.cluster(VECTORS, id=np.arange(ROWS) * 3, **OPTIONS)

    assert clusters.to_pandas()["document_id"].tolist() == (np.arange(ROWS) * 3).tolist()
    assert clusters.to_arrow("clusters")["medoid_id"].type == pa.int64()
    assert clusters.to_arrow("representatives")["document_id"].type == pa.int64()
    assert clusters.to_arrow("representatives")["text"].null_count == 15


def test_a_table_there_is_not_is_refused_with_those_there_are(clustering: shoal.Clustering) -> None:
    assert "documents, clusters, representatives, members" in str(refusal(lambda: clustering.to_arrow("topics")))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_missing_is_named(
    clustering: shoal.Clustering, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    assert f"pip install {library}" in str(refusal(getattr(clustering, f"to_{library}")))


# ── probabilities ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_documents_have_probabilities_over_all_clusters(frame: pd.DataFrame, clustering: shoal.Clustering) -> None:
    result, top = clustering.probabilities(), clustering.probabilities(top=2)
    inside = clustering.labels >= 0

    assert result.shape == (ROWS, 3)
    assert np.array_equal(result.argmax(axis=1)[inside], clustering.labels[inside])
    assert np.array_equal(top.labels[inside, 0], clustering.labels[inside])
    assert np.array_equal(clustering.probabilities(frame, vector="vec"), result)
    assert np.array_equal(clustering.probabilities(np.stack(frame["vec"].tolist())[:5]), result[:5])


def test_probabilities_that_would_need_too_much_memory_are_refused_and_the_top_is_not(
    clustering: shoal.Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exploration, "_MAX_BYTES", 4 * ROWS * 3 - 1)

    assert "top: is needed: 64 documents in 3 clusters" in str(refusal(clustering.probabilities))
    assert clustering.probabilities(top=1).labels.shape == (ROWS, 1)
    assert refusal(lambda: clustering.probabilities(top=0)).details["field"] == "top"
    assert refusal(lambda: clustering.probabilities(np.ones((2, 3)))).details["field"] == "vectors"


# ── by time and by class ─────────────────────────────────────────────────────────────────────────────────────────────

FIRST = datetime.datetime(2026, 1, 5)  # a Monday
DAYS = [int(group + 1) * 7 + row % 3 for row, group in enumerate(GROUPS)]
TIMES = [FIRST + datetime.timedelta(days=DAYS[row]) for row in ORDER]

FORMS: dict[str, Callable[[], object]] = {
    "datetimes": lambda: TIMES,
    "NumPy": lambda: np.array(TIMES, "M8[ns]"),
    "NumPy, in hours": lambda: np.array(TIMES, "M8[h]"),
    "NumPy, in minutes": lambda: np.array(TIMES, "M8[15m]"),
    "NumPy, masked": lambda: np.ma.array(np.array(TIMES, "M8[h]"), mask=False),
    "a list of NumPy's": lambda: list(np.array(TIMES, "M8[m]")),
    "pandas": lambda: pd.Series(TIMES),
    "pandas, an index": lambda: pd.DatetimeIndex(TIMES),
    "polars": lambda: pl.Series(TIMES),
    "Arrow": lambda: pa.array(TIMES),
    "dates": lambda: [time.date() for time in TIMES],
    "text": lambda: [time.isoformat() for time in TIMES],
    "text with a zone": lambda: [f"{time.isoformat()}Z" for time in TIMES],
    "a zone": lambda: pd.Series(TIMES).dt.tz_localize("Europe/Berlin"),
}


@pytest.mark.parametrize("form", FORMS)
def test_clusters_are_counted_in_each_week(clustering: shoal.Clustering, form: str) -> None:
    frame = clustering.over_time(FORMS[form](), bins="week").to_pandas()

    assert len(frame) == 4 * 4  # weeks, and clusters with noise
    assert frame["count"].sum() == ROWS
    counts = {
        (start.to_pydatetime(), id): count
        for start, id, count in zip(frame["start"], frame["cluster_id"], frame["count"], strict=True)
        if count
    }
    week = datetime.timedelta(days=7)
    assert counts == {
        (FIRST, NOISE_ID): OUTLIERS, (FIRST + week, "cl_0"): 30, (FIRST + 2 * week, "cl_1"): 20,
        (FIRST + 3 * week, "cl_2"): 10,
    }  # fmt: skip
    assert frame.loc[frame["count"] > 0, "share"].tolist() == [1.0] * 4
    assert set(frame["end"] - frame["start"]) == {pd.Timedelta(days=7)}


@pytest.mark.parametrize(
    ("bins", "count"), [(1, 1), (7, 7), ("day", 24), ("month", 1), ("quarter", 1), ("year", 1), (None, 24)]
)
def test_bins_have_a_fixed_width_or_follow_the_calendar(
    clustering: shoal.Clustering, bins: int | str | None, count: int
) -> None:
    frame = clustering.over_time(TIMES, bins=bins).to_pandas()

    starts, ends = sorted(set(frame["start"])), sorted(set(frame["end"]))
    assert len(starts) == len(ends) == count
    assert starts[1:] == ends[:-1]
    assert frame["count"].sum() == ROWS
    assert np.allclose(frame.groupby("start")["share"].sum().loc[lambda share: share > 0], 1)


def test_series_of_pandas_go_by_the_index_of_the_data_frame(
    frame: pd.DataFrame, clustering: shoal.Clustering, tmp_path: Path
) -> None:
    times, kinds = pd.Series(TIMES, frame.index), frame["body"].str[:8]
    again = shoal.load(clustering.save(tmp_path / "found"))

    for value in (clustering, again):
        assert value.over_time(times.sort_index(), bins="week").equals(value.over_time(times.to_numpy(), bins="week"))
        assert value.per_class(kinds.sort_index()).equals(value.per_class(kinds))
    for other in (
        times.rename(lambda name: f"{name}!"),
        times.set_axis([0] * ROWS),
        times.set_axis(range(1, ROWS + 1)),
    ):
        for field, call in (("timestamps", clustering.over_time), ("classes", clustering.per_class)):
            with pytest.raises(ShoalError, match=f"{field}: has a different index than the data"):
                call(other)
    assert clustering.over_time(times.reset_index(drop=True)).equals(clustering.over_time(times))  # numbered anew


def test_a_document_without_a_time_is_counted_without_one(clustering: shoal.Clustering) -> None:
    frame = clustering.over_time([None, *TIMES[1:]], bins="week").to_pandas()

    assert frame["count"].sum() == ROWS
    assert frame.loc[frame["start"].isna(), "count"].sum() == 1


@pytest.mark.parametrize(
    ("times", "bins", "says"),
    [
        (TIMES[1:], None, "timestamps: must have one value per document (64), not 63"),
        ("created", None, "timestamps: must be one value per row, got 'created'. Such as df[\"created\"]"),
        (list(range(ROWS)), None, "timestamps: holds int64, not times"),
        (["soon"] * ROWS, None, "timestamps: is text that is not a time in ISO 8601, got 'soon'"),
        ([None] * ROWS, None, "timestamps: holds no time in any row"),
        (TIMES, "fortnight", "bins: must be a number of bins or a unit of time, got 'fortnight'"),
        (TIMES, 0, "bins: must be a number of bins"),
        ([FIRST.replace(year=1000), *TIMES[1:]], "minute", "bins: makes"),
    ],
)
def test_invalid_times_and_bins_are_refused(clustering: shoal.Clustering, times: Any, bins: Any, says: str) -> None:
    assert says in str(refusal(lambda: clustering.over_time(times, bins=bins)))


def test_clusters_are_counted_in_each_class() -> None:
    classes = ["shop" if row % 2 else "web" for row in range(ROWS)]
    texts = [
        f"{text} {'in the store downtown' if kind == 'shop' else 'with the browser'}"
        for text, kind in zip(TEXTS, classes, strict=True)
    ]
    clustering = shoal.cluster(VECTORS, text=texts, **OPTIONS)

    frame = clustering.per_class(classes).to_pandas()

    assert frame["count"].sum() == ROWS
    assert frame["cluster_id"].tolist() == ["cl_0", "cl_1", "cl_2", NOISE_ID] * 2
    assert frame["share"].tolist() == pytest.approx([count / 32 for count in frame["count"]])
    assert frame["lift"].tolist() == pytest.approx([1.0] * 8)
    words = {
        (kind, id): " ".join(item)
        for kind, id, item in zip(frame["class"], frame["cluster_id"], frame["words"], strict=True)
        if item is not None
    }
    assert len(words) == 6
    assert all(("store" in item or "downtown" in item) == (kind == "shop") for (kind, _), item in words.items())
    assert all(("browser" in item) == (kind == "web") for (kind, _), item in words.items())


@pytest.mark.parametrize(
    "classes",
    [
        [None if row < 3 else row % 4 for row in range(ROWS)],
        pd.Series([None if row < 3 else row % 4 for row in range(ROWS)], dtype="Int64"),
        pl.Series([None if row < 3 else row % 4 for row in range(ROWS)]),
    ],
    ids=["list", "pandas", "polars"],
)
def test_classes_keep_their_type_and_a_missing_one_is_a_class(clustering: shoal.Clustering, classes: object) -> None:
    result = clustering.per_class(classes)

    assert result["class"].type == pa.int64()
    assert result["count"].to_numpy().sum() == ROWS
    counted = result.group_by("class").aggregate([("count", "sum")]).to_pylist()
    assert {row["class"]: row["count_sum"] for row in counted} == {None: 3, 0: 15, 1: 15, 2: 15, 3: 16}


def test_classes_are_one_column_with_one_value_per_row(clustering: shoal.Clustering) -> None:
    team = pd.DataFrame({"team": ["a"] * ROWS})

    assert clustering.per_class(team)["class"].unique().to_pylist() == ["a"]
    assert "not one value per row" in str(refusal(lambda: clustering.per_class([{"a": 1}] * ROWS)))
    assert "not one value per row" in str(refusal(lambda: clustering.per_class(VECTORS)))


TAGS: list[Any] = [["a", "b"], ["a"], [], None] * (ROWS // 4)


@pytest.mark.parametrize(
    "classes",
    [
        TAGS,
        [None if tags is None else set(tags) for tags in TAGS],
        [None if tags is None else [*tags, *tags] for tags in TAGS],
        [None if tags is None else np.array(tags) for tags in TAGS],
        pd.Series(TAGS),
        pl.Series(TAGS),
        pa.array(TAGS),
    ],
    ids=["lists", "sets", "repeated", "arrays", "pandas", "polars", "arrow"],
)
def test_of_lists_of_tags_each_tag_counts(classes: object) -> None:
    clustering = shoal.cluster(VECTORS, text=TEXTS, **OPTIONS)

    frame = clustering.per_class(classes).to_pandas()

    counted = frame.fillna({"class": "none"}).groupby("class")["count"].sum().to_dict()
    assert counted == {"a": ROWS // 2, "b": ROWS // 4, "none": ROWS // 2}
    assert (
        frame["lift"]
        * (frame["cluster_id"].map(clustering.per_class(["x"] * ROWS).to_pandas().set_index("cluster_id")["share"]))
    ).tolist() == pytest.approx(frame["share"].tolist())


@pytest.mark.parametrize(
    "make", [list, pd.Series, lambda values: np.array(values, object)], ids=["list", "pandas", "numpy"]
)
def test_classes_of_several_types_are_text_as_a_spreadsheet_holds_them(clustering: shoal.Clustering, make: Any) -> None:
    result = clustering.per_class(make([1, "a", None, 2.0] * (ROWS // 4)))

    assert sorted(result["class"].unique().to_pylist(), key=str) == ["1", "2", None, "a"]


def test_numbers_of_bins_may_be_those_of_numpy(clustering: shoal.Clustering) -> None:
    assert clustering.over_time(TIMES, bins=cast(int, np.int64(5))).equals(clustering.over_time(TIMES, bins=5))


def test_periods_are_times(clustering: shoal.Clustering) -> None:
    periods = pd.Series(pd.DatetimeIndex(TIMES)).dt.to_period("M")

    assert clustering.over_time(periods, bins="month")["count"].to_numpy().sum() == ROWS


# ── shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_notebook_shows_names_bars_examples_and_noise(clustering: shoal.Clustering) -> None:
    page = clustering._repr_html_()

    assert "64 documents in 3 clusters" in page
    assert "in no cluster" in page
    for cluster in clustering.clusters:
        assert cluster.label in page
        assert cluster.examples[0] in page
    assert page.count('class="fill"') == 4
    assert "width:100.0%" in page and "width:33.3%" in page
    assert "<script" not in page and "javascript:" not in page and "http" not in page


def test_a_notebook_shows_nothing_that_documents_could_inject() -> None:
    hostile = "<img src=x onerror=alert(1)> & <script>alert(2)</script>"
    page = shoal.cluster(VECTORS, text=[hostile] * ROWS, **OPTIONS)._repr_html_()

    assert "<img" not in page and "<script" not in page
    assert "&lt;img" in page


def test_a_notebook_says_in_how_many_clusters_the_documents_are_too() -> None:
    rng = np.random.default_rng(3)
    rows = (np.eye(12)[:3].repeat(4, axis=0) + np.eye(12) * 0.5).repeat(40, axis=0) + rng.normal(0, 0.06, (480, 12))
    clustering = shoal.cluster(rows)
    others = [len(layer.clusters) for layer in clustering.layers if not layer.chosen and len(layer.clusters) > 1]

    assert others
    assert f"clustering.layers has {', '.join(map(str, others))} clusters too" in clustering._repr_html_()


def test_a_notebook_folds_clusters_beyond_twenty() -> None:
    rows = np.eye(30).repeat(4, axis=0)
    page = shoal.cluster(rows, algorithm="kmeans", n_clusters=30)._repr_html_()

    assert "30 clusters" in page
    assert page.index("<details>") > page.index("Cluster 0")
    assert "10 more clusters" in page
    assert page.count('class="name"') == 30
    assert "such as" not in page
