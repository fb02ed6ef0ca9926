"""Methods to explore a clustering: data frames, membership probabilities, clusters over time or by class."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.analysis.named_clusters import Analysis, NamedCluster, NamedLayer
from shoal.columns import Points
from shoal.engine.cluster_probabilities import Mixture, TopClusters
from shoal.engine.plan import Plan, Progress, ignore_progress
from shoal.engine.rows.geometry import unit_rows
from shoal.engine.rows.new_rows import check_new_points
from shoal.errors import InvalidField
from shoal.library.input.alignment import align
from shoal.library.input.arguments import split_vectors
from shoal.library.input.document_ids import DocumentIds
from shoal.library.views.breakdown import count_by_class, count_by_time
from shoal.library.views.exports import as_pandas, as_polars, clusters_table, documents_table, representatives_table
from shoal.library.views.notebook import ClusterRow, Page, render_page
from shoal.precision import Split, center_on_mean
from shoal.scalars import parse_integer

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from shoal.library.output.write_back import ClusteredRows, FileRows

__all__ = ["Exploration", "Kept"]

_MAX_BYTES: Final = 2 * 2**30
_DOCUMENTS, _CLUSTERS, _REPRESENTATIVES = "documents", "clusters", "representatives"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a clustering of n rows was made of: a view of what the caller gave, where that was float32 already."""

    vectors: Split
    texts: Sequence[str] | None


class Exploration(ABC):
    """The part of `Clustering` that looks at what was found."""

    __slots__ = ()

    analysis: Analysis
    document_ids: DocumentIds
    plan: Plan
    warnings: Sequence[str]
    seconds: float
    kept: Kept | None
    file_rows: "FileRows | None"
    index: object
    text_columns: Sequence[str]
    vector_column: str
    id_column: str

    @property
    @abstractmethod
    def encoder(self) -> str | None:
        """What made the vectors from the texts, and its version; None if vectors were given."""

    @property
    @abstractmethod
    def clusters(self) -> Sequence[NamedCluster]:
        """The clusters, largest first."""

    @property
    @abstractmethod
    def layers(self) -> Sequence[NamedLayer]:
        """The granularities that were found, coarse to fine."""

    @abstractmethod
    def tables(self) -> dict[str, pa.Table]:
        """Every table there is by its name."""

    # ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def to_arrow(self, table: str = _DOCUMENTS) -> pa.Table:
        """A table of this clustering.

        Parameters
        ----------
        table : str, default "documents"
            "documents": one row a document in the order given, with document_id, cluster_id (`cl_noise` for those in no
            cluster), cluster_label (null there), strength (0..1), x, y. "clusters": one row a cluster, with its label,
            keywords, size, share, similarities, examples, medoid_id, representative_ids. "representatives": one row a
            document that stands for a cluster, with its whole text. Or a name of `tables()`: members, centroids,
            layers, hierarchy, near_duplicates, condensed_tree, where there are these.

        Raises
        ------
        InvalidField
            For a table there is not.
        """
        if table == _DOCUMENTS:
            return documents_table(self.analysis, self.document_ids)
        if table == _CLUSTERS:
            return clusters_table(self.clusters, self.document_ids)
        if table == _REPRESENTATIVES:
            texts = None if self.kept is None else self.kept.texts
            return representatives_table(self.analysis, self.document_ids, texts)
        tables = self.tables()
        if table not in tables:
            names = ", ".join([_DOCUMENTS, _CLUSTERS, _REPRESENTATIVES, *tables])
            raise InvalidField("table", "is not a table of this clustering", value=table, remedy=f"There are {names}.")
        return tables[table]

    def to_pandas(self, table: str = _DOCUMENTS) -> "pd.DataFrame":
        """Return `to_arrow` as a data frame of pandas.

        The documents have the index of the data frame that was clustered, so that `df.join(clustering.to_pandas())`
        puts each row beside its own.

        Parameters
        ----------
        table : str, default "documents"
            Name of the table, as in `to_arrow`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        InvalidField
            There is no such table.
        ShoalError
            pandas is not installed.
        """
        return as_pandas(self.to_arrow(table), self.index if table == _DOCUMENTS else None)

    def to_polars(self, table: str = _DOCUMENTS) -> "pl.DataFrame":
        """Return `to_arrow` as a data frame of polars.

        Parameters
        ----------
        table : str, default "documents"
            Name of the table, as in `to_arrow`.

        Returns
        -------
        polars.DataFrame

        Raises
        ------
        InvalidField
            There is no such table.
        ShoalError
            polars is not installed.
        """
        return as_polars(self.to_arrow(table))

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        without: Sequence[str] = (),
        overwrite: bool = False,
        progress: Progress = ignore_progress,
    ) -> Path:
        """Write the file that was clustered again, every row and column in its order, with the cluster of each row
        beside them, as `shoal cluster --write` does.

        The columns are cluster_id, cluster_label, strength, x, y; one that the file has itself stays, and Shoal's is
        then called shoal_NAME.

        Parameters
        ----------
        path : str or path
            Its ending is the format: .csv, .tsv, .jsonl, .json, .parquet, .arrow; text also .gz. What was read is never
            overwritten.
        without : sequence of str, default ()
            Columns that are left out, such as the vectors.
        overwrite : bool, default False
            Whether any other file may be replaced; one that this wrote earlier is.
        progress : callable, optional
            Called with (stage, fraction).

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InvalidField
            Where the clustering is not of a file or a table, or was loaded, and for a file that was changed since.
        Conflict
            For a place where nothing may be written.
        """
        from shoal.library.output.write_back import write_clustered  # imports all formats, which few callers need

        return write_clustered(
            cast("ClusteredRows", self), Path(path), without=without, overwrite=overwrite, progress=progress
        )

    # ── probabilities ────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def probabilities(
        self,
        vectors: object = None,
        *,
        vector: str | None = None,
        top: None = None,
        progress: Progress = ignore_progress,
    ) -> NDArray[np.float32]: ...

    @overload
    def probabilities(
        self, vectors: object = None, *, vector: str | None = None, top: int, progress: Progress = ignore_progress
    ) -> TopClusters: ...

    def probabilities(
        self,
        vectors: object = None,
        *,
        vector: str | None = None,
        top: int | None = None,
        progress: Progress = ignore_progress,
    ) -> NDArray[np.float32] | TopClusters:
        """How probable each cluster is for each document, if it is in one of them.

        The clusters count as spherical Gaussians of one size about their centroids, in as many dimensions as members
        really differ in (see `shoal.engine.cluster_probabilities`). For k-means the most probable cluster is that of
        the label. A method that goes by density may have put a document elsewhere than with the nearest centroid, and
        noise has probabilities too: `strengths` says how firmly a document belongs at all.

        Parameters
        ----------
        vectors : (m, d) numbers, table or path, optional
            Of m documents, as `assign` takes them. None takes those that were clustered.
        vector : str, optional
            The column of vectors, where `vectors` is a table.
        top : int, optional
            Only the so many most probable clusters of each document: memory for m × top numbers. Without it there are
            m × k of 4 bytes, and more than 2 GiB are refused; beside them 8 MiB a thread are needed either way.
        progress : callable, optional
            Called with (stage, fraction).

        Returns
        -------
        array or TopClusters
            (m, k) float32 in the order of `clusters`, each row summing to 1; with `top` the `labels` and
            `probabilities`, both (m, top), most probable first.

        Raises
        ------
        InvalidField
            For wrong vectors, none that were kept, and a table that would be too large.
        """
        points = self._prepare_points(vectors, vector)
        mixture = Mixture.of(self.analysis.outcome)
        if top is not None:
            return mixture.top(points, parse_integer("top", top, 1), self.plan.threads, progress)
        needed = 4 * len(points) * len(self.clusters)
        if needed > _MAX_BYTES:
            problem = (
                f"is needed: {len(points):,} documents in {len(self.clusters):,} clusters make {needed / 2**30:.1f} GiB"
            )
            raise InvalidField("top", problem, remedy="Such as top=10 for the ten most probable clusters of each.")
        return mixture.probabilities(points, self.plan.threads, progress)

    # ── by time and by class ─────────────────────────────────────────────────────────────────────────────────────────

    def over_time(self, timestamps: object, bins: int | str | None = None) -> pa.Table:
        """Clusters over time: one row for each bin of time and each cluster, noise last.

        Parameters
        ----------
        timestamps : (n,) times
            One a document, in their order: datetime objects, NumPy's, a column of pandas, polars or Arrow, or text in
            ISO 8601. Of times with a zone the local time there counts. Beside a data frame of pandas a series goes by
            its index.
        bins : int or str, optional
            So many bins of one width, or calendar units: minute, hour, day, week (from Monday), month, quarter, year.
            None takes the finest unit that makes at most 40 bins.

        Returns
        -------
        Table
            start and end of the bin (end not included, but in the last of so many bins), cluster_id, cluster_label,
            count of documents, share of the documents of that bin, and words: up to 5 that distinguish the cluster's
            documents of that time from its others, null without texts. Bins without documents are there; documents
            without a time stand in a bin without start.

        Raises
        ------
        InvalidField
            For another number of times, a series with another index, values that are none, and a unit that makes more
            than 10,000 bins.
        """
        outcome, texts = self.analysis.outcome, None if self.kept is None else self.kept.texts
        timestamps = align("timestamps", timestamps, self.index)
        return count_by_time(timestamps, bins, outcome.labels, self.clusters, texts)

    def per_class(self, classes: object) -> pa.Table:
        """Clusters by class: one row for each class and each cluster that meet, the largest class first, noise last.

        Parameters
        ----------
        classes : (n,) values
            One a document, in their order: text, numbers, or a column of such; or a list of tags, of which each counts,
            so that counts may sum to more than n. A missing one, or an empty list, is a class of its own. Beside a data
            frame of pandas a series goes by its index.

        Returns
        -------
        Table
            class, cluster_id, cluster_label, count of documents, share of the documents of that class, lift (that
            share over the share of the cluster in all documents: 2 is twice as frequent), and words: up to 5 that
            distinguish the cluster's documents of that class from its others, null without texts.

        Raises
        ------
        InvalidField
            For another number of values, and for a series with another index.
        """
        outcome, texts = self.analysis.outcome, None if self.kept is None else self.kept.texts
        classes = align("classes", classes, self.index)
        return count_by_class(classes, outcome.labels, self.clusters, texts)

    # ── shown ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _repr_html_(self) -> str:
        outcome = self.analysis.outcome
        silhouette = outcome.metrics.get("silhouette_score")
        facts = [
            self.plan.algorithm,
            "" if silhouette is None else f"silhouette {silhouette:.2f}",
            f"{self.seconds:.1f} s",
        ]
        lines = [
            ClusterRow(
                cluster.label,
                cluster.keywords,
                cluster.size,
                cluster.share,
                cluster.examples[0] if cluster.examples else "",
            )
            for cluster in self.clusters
        ]
        others = [f"{len(layer.clusters):,}" for layer in self.layers if not layer.chosen and len(layer.clusters) > 1]
        if others:
            facts.append(f"clustering.layers has {', '.join(others)} clusters too")
        facts += self._describe_columns()
        noise = self.analysis.noise
        return render_page(Page(len(outcome.labels), lines, noise, [fact for fact in facts if fact], self.warnings))

    def _describe_columns(self) -> list[str]:
        """Which columns are what, where they were columns."""
        columns = (
            ("vector", self.vector_column),
            ("encoded by", self.encoder),
            ("named from", ", ".join(self.text_columns)),
            ("id", self.id_column),
        )
        return [f"{role} {column}" for role, column in columns if column]

    def _prepare_points(self, vectors: object, vector: str | None) -> Points:
        """Rows where the clusters are: those given, or those that were clustered. Raises InvalidField."""
        origin = self.analysis.outcome.origin
        if vectors is not None:
            points, rest = split_vectors(vectors, vector)
        elif self.kept is not None:
            points, rest = self.kept.vectors
        else:
            raise InvalidField(
                "vectors", "were not kept with this clustering", remedy="Give them: the rows in their order."
            )
        points = check_new_points(points, self.analysis.outcome.centroids.shape[1])
        if origin is not None:
            points, _ = center_on_mean(points, rest, origin)
        return unit_rows(points, self.plan.threads) if self.plan.normalize else points
