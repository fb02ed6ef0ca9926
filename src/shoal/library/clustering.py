"""What a clustering in memory shows of itself: arrays, clusters, tables, a summary, a folder of results."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shoal.analysis.named_clusters import Analysis, NamedCluster, NamedLayer
from shoal.analysis.recounted import with_outcome
from shoal.analysis.tables import (
    centroids_table,
    condensed_tree_table,
    further_tables,
    hierarchy_table,
    layers_table,
    members_table,
    near_duplicates_table,
)
from shoal.columns import Labels, Points
from shoal.engine.outlier_reduction import assign_noise
from shoal.engine.plan import Plan, Progress, ignore_progress
from shoal.errors import InvalidField
from shoal.library.assignment import Assignment, NewInput, assign_known, read_new_documents
from shoal.library.checksums import find_changed_rows
from shoal.library.input.document_ids import DocumentIds, Id, Ids
from shoal.library.input.pandas_index import index_table
from shoal.library.results import write_folder
from shoal.library.text_encoding import TextEncoding
from shoal.library.views.cluster_summary import append_columns, summarize_clustering
from shoal.library.views.exploration import Exploration, Kept
from shoal.precision import center_on_mean
from shoal.quantities import plural
from shoal.records.clusters.ids import NOISE_ID

if TYPE_CHECKING:
    from shoal.library.output.write_back import FileRows

__all__ = ["Assignment", "Clustering", "Kept"]

_MAX_SHOWN: Final = 20
_SAME_ROWS: Final = "Give the same rows in the same order, which is that of `clustering.ids`."


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Clustering(Exploration):
    """Named clusters of n documents. Rows are in the order in which the vectors were given."""

    analysis: Analysis
    document_ids: DocumentIds
    plan: Plan
    warnings: Sequence[str] = ()
    """Sentences about what was tolerated or chosen."""
    seconds: float = 0.0
    checksums: NDArray[np.float32] | None = None
    """(n,) checksums that show whether vectors given later are those of the same rows; see `library.checksums`."""
    file_rows: "FileRows | None" = None
    """Where the rows stand in what was clustered, a file or a table; None where that is gone, or was an array."""
    kept: Kept | None = None
    """The vectors and texts, for what is asked of them later; None where they were not kept."""
    index: object = None
    """Of the pandas data frame that the rows came in."""
    member_columns: pa.Table | None = None
    """(n,) columns of the caller's that `members` shows as well."""
    text_columns: Sequence[str] = ()
    """Columns that the clusters were named from, in order; empty if texts were given directly or there were none."""
    vector_column: str = ""
    """Column of vectors; empty if vectors were given directly."""
    id_column: str = ""
    """Column of ids; empty if ids were given directly or rows are numbered."""
    encoding: TextEncoding | None = None
    """What made the vectors from the texts; None if vectors were given."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else the summary says, such as the file it came from."""
    _ids: Ids = field(init=False)
    _clusters: Sequence[NamedCluster] = field(init=False)
    _layers: Sequence[NamedLayer] = field(init=False)

    def __post_init__(self) -> None:
        clusters = [self.document_ids.restore_cluster(cluster) for cluster in self.analysis.clusters]
        restore = self.document_ids.restore_cluster
        layers = [replace(cluster, clusters=list(map(restore, cluster.clusters))) for cluster in self.analysis.layers]
        object.__setattr__(self, "_ids", self.document_ids.to_array())
        object.__setattr__(self, "_clusters", clusters)  # as dataclasses do where they are frozen
        object.__setattr__(self, "_layers", layers)

    @property
    def ids(self) -> Ids:
        """(n,) ids in their original type: objects for texts, int64 or uint64 for integers, row numbers from 0 if there
        were no ids.
        """
        return self._ids

    @property
    def labels(self) -> Labels:
        """(n,) int32 positions in `clusters`; -1 for documents in no cluster."""
        return self.analysis.outcome.labels

    @property
    def encoder(self) -> str | None:
        """The encoder that made the vectors from the texts, and its version, such as `static@1`; None if vectors were
        given.
        """
        return None if self.encoding is None else self.encoding.name

    @property
    def facet(self) -> str | None:
        """The question whose answers were clustered, which are the column `answer` of `members`; None without one."""
        facet = self.about.get("facet")
        return str(facet["question"]) if isinstance(facet, dict) and "question" in facet else None

    @property
    def vectors(self) -> Points | None:
        """(n, d) float32 vectors of the documents; None if they were not kept, as in a clustering that was loaded."""
        return None if self.kept is None else self.kept.vectors.points

    @property
    def strengths(self) -> NDArray[np.float32]:
        """(n,) float32, 0 to 1: how firmly each document belongs to its cluster; 0 for noise."""
        return self.analysis.outcome.strengths

    @property
    def distances(self) -> NDArray[np.float32]:
        """(n,) float32 distances to the centroid of the document's cluster; NaN for noise."""
        return self.analysis.outcome.distances

    @property
    def coordinates(self) -> NDArray[np.float32] | None:
        """(n, 2) float32 places on the map; None without a map."""
        return self.analysis.outcome.coordinates

    @property
    def outlier_scores(self) -> NDArray[np.float32] | None:
        """(n,) float32 GLOSH scores, 0 to 1; 1 for documents far sparser than the densest around them, NaN for those
        outside the sample. None for methods without a density tree.
        """
        density = self.analysis.outcome.density
        return None if density is None else density.outlier_scores

    @property
    def exemplars(self) -> Sequence[Sequence[Id]] | None:
        """Ids of the densest documents of each cluster; None for methods without a density tree."""
        density = self.analysis.outcome.density
        return (
            None
            if density is None
            else [[self.document_ids.values[row] for row in rows.tolist()] for rows in density.exemplars]
        )

    def condensed_tree(self) -> pa.Table | None:
        """HDBSCAN's condensed tree: parent, child (a row if below n), lambda_val, child_size, cluster_id (of selected
        clusters). None for other methods.
        """
        return condensed_tree_table(self.analysis)

    def near_duplicates(self) -> pa.Table | None:
        """Documents that are almost the same: document_id, duplicate_group, representative_id, distance; None without a
        map.
        """
        return self._restore_ids(near_duplicates_table(self.analysis))

    @property
    def layers(self) -> Sequence[NamedLayer]:
        """Granularities, coarse to fine and nested; one for methods other than `auto`. Each has `labels` (n,), named
        `clusters` (whose `parent` is in the previous layer), and `chosen`, true for the layer of this clustering.
        """
        return self._layers

    def layers_table(self) -> pa.Table | None:
        """The id of each document's cluster in every layer, `layer_0` the coarsest; None for methods with one layer."""
        return self._restore_ids(layers_table(self.analysis))

    def hierarchy(self) -> pa.Table | None:
        """One row a cluster of each layer: layer, cluster_id, label, keywords, size, share, parent, chosen,
        representative_ids, examples; None for methods with one granularity."""
        return self._restore_ids(hierarchy_table(self.analysis))

    @property
    def clusters(self) -> Sequence[NamedCluster]:
        """Clusters, largest first."""
        return self._clusters

    @property
    def noise(self) -> int:
        """Number of documents in no cluster."""
        return self.analysis.noise

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """Silhouette and other measures by name; None where one is undefined."""
        return self.analysis.outcome.metrics

    def assign(
        self,
        vectors: object = None,
        *,
        vector: str | None = None,
        texts: object = None,
        text: str | Sequence[str] | None = None,
        id: str | Iterable[object] | None = None,
        progress: Progress = ignore_progress,
    ) -> Assignment:
        """Assign new documents to the clusters, -1 for those that fit none; the clusters do not change.

        A document gets the same answer alone and in a batch. Density and graph methods decide what fits by their own
        rule; k-means and similar methods by the distance of ordinary members to the centroid.

        Parameters
        ----------
        vectors : (m, d) numbers, table or path, optional
            As in `shoal.cluster`; each row must have a vector, or text if this clustering was made from texts.
        vector : str, optional
            Column of vectors, if `vectors` is a table.
        texts : (m,) texts, optional
            Texts to encode as those of this clustering were, in place of `vectors`. One without any word that the
            encoder knows fits no cluster. Where a `facet` was clustered, what `shoal.derive` returns for its question.
        text : str or sequence of str, optional
            Columns of text, if `vectors` is a table without vectors. None takes those of this clustering.
        id : str, or (m,) values, optional
            The column of ids, or the ids themselves, which the answer repeats. Without it a column `document_id`, `id`
            or `_id`, else rows are numbered from 0.
        progress : callable, optional
            Called with (stage, fraction).

        Raises
        ------
        InvalidField
            The vectors have another dimension or no direction, or there is no encoder for the texts.
        """
        model = self.analysis.outcome.model
        assert model is not None, "the library keeps the model of every clustering"
        documents = read_new_documents(
            NewInput(vectors, vector, texts, text or self.text_columns, id, self.facet), self.encoding, progress
        )
        points, rest = documents.vectors
        origin = self.analysis.outcome.origin
        if origin is not None and points.shape[1] == len(origin):
            points, _ = center_on_mean(points, rest, origin)
        labels, strengths = assign_known(model, points, documents.encodable, self.plan.threads, progress)
        ids = [*(cluster.cluster_id for cluster in self.clusters), NOISE_ID]  # -1 is the last place
        names = [*(cluster.label for cluster in self.clusters), None]
        return Assignment(
            labels,
            strengths,
            [ids[label] for label in labels.tolist()],
            [names[label] for label in labels.tolist()],
            documents.ids,
            documents.index,
        )

    def reduce_outliers(
        self, vectors: object = None, *, vector: str | None = None, progress: Progress = ignore_progress
    ) -> "Clustering":
        """Put every document in a cluster: those in none join the nearest one.

        Nearest is what the method's own rule says, whatever the distance: with auto and leiden the vote of the nearest
        documents that are in a cluster, with HDBSCAN the member at the smallest mutual reachability, with DBSCAN and
        OPTICS the nearest core or member, else the nearest centroid. Clusters keep their ids, names, order, medoids and
        representatives; sizes, shares, distances, metrics and layers count the documents that came.

        Parameters
        ----------
        vectors : (n, d) numbers, table or path, optional
            The rows that were clustered, as `shoal.cluster` takes them; None takes those that were kept.
        vector : str, optional
            The column of vectors, if `vectors` is a table.
        progress : callable, optional
            Called with (stage, fraction).

        Returns
        -------
        Clustering
            A new one; this one stays as it is. Where there is no cluster to join, noise stays noise.

        Raises
        ------
        InvalidField
            The vectors are of other rows, or were not kept.
        """
        points = self._prepare_points(vectors, vector)
        if len(points) != len(self):
            problem = f"must be the {len(self):,} documents that were clustered, not {len(points):,}"
            raise InvalidField("vectors", problem, remedy=_SAME_ROWS)
        if vectors is not None:
            self._check_same_rows(points)
        noise, outcome = self.noise, assign_noise(self.analysis.outcome, points, self.plan, progress)
        joined = noise - int(np.count_nonzero(outcome.labels < 0))
        warning = f"{joined:,} documents that were in no cluster were put into the nearest one."
        warnings = [*self.warnings, warning] if joined else self.warnings
        return replace(self, analysis=with_outcome(self.analysis, outcome), warnings=warnings)

    def _check_same_rows(self, points: Points) -> None:
        """Raises InvalidField where these are other rows than those that were clustered, or in another order."""
        if self.checksums is None:
            return
        changed = find_changed_rows(points, self.checksums, normalize=self.plan.normalize)
        if len(changed):
            problem = f"is not the document that was clustered there ({len(changed):,} of {len(self):,} rows differ)"
            raise InvalidField(f"vectors[{changed[0]}]", problem, remedy=_SAME_ROWS)

    def members(self) -> pa.Table:
        """One row per document: id, cluster, distance, strength, with HDBSCAN the outlier score, x, y, kept columns;
        one whose name is taken becomes `file_NAME`.
        """
        members = self.document_ids.restore_table(members_table(self.analysis))
        return members if self.member_columns is None else append_columns(members, self.member_columns)

    def centroids(self) -> pa.Table:
        """One row per cluster: label, keywords, size, medoid, vector."""
        return self.document_ids.restore_table(centroids_table(self.analysis))

    def tables(self) -> dict[str, pa.Table]:
        """Every table of this clustering by name."""
        further = {
            name: self.document_ids.restore_table(table) for name, table in further_tables(self.analysis).items()
        }
        return {"members": self.members(), "centroids": self.centroids(), **further}

    def summary(self) -> dict[str, object]:
        """Everything about this clustering except its rows, ready for JSON: parameters with their defaults, seed,
        versions, metrics, warnings, clusters.
        """
        return summarize_clustering(self)

    def save(self, folder: str | os.PathLike[str], *, model: bool = True, **about: object) -> Path:
        """Write every table as Parquet, summary.json and clustering.npz, from which `shoal.load` makes this clustering
        again; earlier results there are replaced whole, at one moment.

        Parameters
        ----------
        folder : str or path
            Absent, empty, or with earlier results in it.
        model : bool, default True
            Whether `shoal.load` is to work. Density and graph methods place new documents by the vectors they were
            made of, so this takes about as much room as those.
        **about
            Goes into the summary as it is.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        Conflict
            The folder holds anything other than results of Shoal.
        """
        path = Path(folder)
        context = {**self.about, **about}
        write_folder(path, self.tables(), {**context, **self.summary()}, self._to_parts(context) if model else None)
        return path

    def _to_parts(self, about: Mapping[str, object]) -> dict[str, object]:
        return {
            "analysis": self.analysis,
            "whole_ids": not pa.types.is_string(self.document_ids.type),
            "plan": self.plan,
            "warnings": list(self.warnings),
            "seconds": self.seconds,
            "text_columns": list(self.text_columns),
            "vector_column": self.vector_column,
            "id_column": self.id_column,
            "member_columns": self.member_columns,
            "checksums": self.checksums,
            "encoding": None if self.encoding is None else self.encoding.to_parts(),
            "index": index_table(self.index),
            "about": orjson.loads(orjson.dumps(dict(about))),
        }

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        documents, clusters = plural(len(self), "document"), plural(len(self.clusters), "cluster")
        columns = "".join(f"; {cluster}" for cluster in self._describe_columns())
        head = f"<Clustering of {documents}: {clusters}, {self.noise:,} in none{columns}>"
        lines = [f"  {cluster.size:>7,}  {cluster.label}" for cluster in self.clusters[:_MAX_SHOWN]]
        return "\n".join([head, *lines, *self._format_rest()])

    def _restore_ids(self, table: pa.Table | None) -> pa.Table | None:
        return None if table is None else self.document_ids.restore_table(table)

    def _format_rest(self) -> list[str]:
        more = len(self.clusters) - _MAX_SHOWN
        return [f"  … and {more:,} more"] if more > 0 else []
