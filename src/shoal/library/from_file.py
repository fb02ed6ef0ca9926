"""From a file to named clusters: `shoal cluster FILE` without the output."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shoal.columns import Points, Rows
from shoal.engine.cost import Cost, startup_seconds, wall_seconds
from shoal.engine.plan import Progress, ignore_progress
from shoal.files import Source
from shoal.labeling import LONGEST_READ, Volume, excerpt
from shoal.library.clustering import Kept
from shoal.library.documents.encoded import encode_documents, no_text_error
from shoal.library.documents.selection import SelectedDocuments, select_documents
from shoal.library.documents.texts import choose_fields, read_texts, reinterpret_text, warn_no_text
from shoal.library.facets import ANSWER, FacetPlan
from shoal.library.from_columns import Clustering, cluster_columns, estimate_clustering_cost, estimate_naming
from shoal.library.input.member_columns import find_columns, read_columns
from shoal.library.output.write_back import write_back
from shoal.library.request import Request
from shoal.library.results import estimate_bytes
from shoal.library.text_encoding import plan_encoding
from shoal.library.views.cluster_summary import append_columns
from shoal.precision import Split

if TYPE_CHECKING:
    from shoal.labeling.providers import Estimate

__all__ = ["FileClustering", "FilePlan", "cluster_file", "plan_file"]

_START_BYTES: Final = 256 * 2**20
_READING_TIMES, _READING_BASE, _READING_MOST = 5, 32 * 2**20, 400 * 2**20
"""Reading takes this many times the size of the attributes, plus a base, up to a maximum; half of it is not
returned."""


@dataclass(frozen=True, slots=True)
class FileClustering:
    """A clustering, and what was read for it."""

    clustering: Clustering
    source: Mapping[str, Any]
    """file, rows_read, rows_clustered, vector, dimension, text fields: ready for the summary."""
    opened: Source
    rows: Rows
    """(n,) row numbers of the documents in the file, ascending."""
    total: int
    """The number of rows in the file."""
    without: Sequence[str] = ()
    points: Points | None = None
    """(n, d) the vectors, where they are to be saved."""

    def write_back(self, path: Path, progress: Progress = ignore_progress) -> list[str]:
        """Write the file again with the cluster of each row; see `shoal.library.output.write_back`."""
        without = find_columns(self.opened, self.without, "--without")
        return write_back(self.opened, self.clustering, self.rows, self.total, path, progress, without=without)


@dataclass(frozen=True, slots=True)
class FilePlan:
    """The estimated cost of the whole command. `peak_memory_bytes` is that of the whole process."""

    rows: int
    dimension: int
    encoder: str | None
    """What makes the vectors; None where the file has them."""
    algorithm: str
    seconds: float
    peak_memory_bytes: int
    disk_bytes: int
    naming: "Estimate | None" = None
    """What names by a language model would take; None without one."""
    facet: FacetPlan | None = None
    """What the answers to the question about each document would take; None without one."""


def plan_file(
    request: Request, progress: Progress = ignore_progress, *, model: bool = True, write: bool = False
) -> FilePlan:
    """Read and select, and estimate the cost of clustering these rows.

    `model` and `write` say whether the model is saved and the file written again. Raises InvalidField as `cluster_file`
    does.
    """
    started_at = time.process_time()
    selected = select_documents(request, progress)
    seconds_so_far = time.process_time() - started_at + startup_seconds()
    texts = read_texts(request, selected, choose_fields(request, selected), whole=selected.points is None) or ()
    facet = None
    if request.facet is not None:
        from shoal.labeling.providers.facets import LONGEST_ANSWER

        facet = request.facet.plan([text for text in texts if text and not text.isspace()])
        texts = [text[:LONGEST_ANSWER] for text in texts]
    text = Volume.of(texts)
    rows, dimension, encoder, encoding = _plan_vectors(request, selected, texts)
    cost = estimate_clustering_cost(request.cluster_options, rows, dimension, text)
    reading = min(_READING_TIMES * selected.unfolded_bytes + _READING_BASE, _READING_MOST)
    # Peak memory: documents and texts at the end of reading, or texts, encoder, engine and naming later.
    later_bytes = max(cost.bytes, encoding.bytes)
    held_bytes = text.held_bytes + max(selected.documents.nbytes + reading, reading / 2 + later_bytes)
    seconds = wall_seconds(cost, request.cluster_options.threads) + wall_seconds(encoding, 1)
    seconds += 0.0 if facet is None else facet.estimate.seconds
    return FilePlan(
        rows=rows,
        dimension=dimension,
        encoder=encoder,
        algorithm=request.cluster_options.algorithm,
        seconds=seconds_so_far + seconds,
        peak_memory_bytes=int(held_bytes + 4 * rows * dimension) + _START_BYTES,
        disk_bytes=estimate_bytes(
            rows, dimension, request.cluster_options.algorithm, id_bytes=max(map(len, selected.ids)), model=model
        )
        + (sum(size for size, _ in selected.source.stamps.values()) if write else 0),
        naming=estimate_naming(request.cluster_options, rows),
        facet=facet,
    )


def _plan_vectors(
    request: Request, selected: SelectedDocuments, texts: Sequence[str]
) -> tuple[int, int, str | None, Cost]:
    """Return rows and dimension of the vectors, what will make them, and the cost of that."""
    if selected.points is not None:
        return *selected.points.shape, None, Cost(0, 0)
    texts = [text for text in texts if text and not text.isspace()]
    if not texts:
        raise no_text_error(request, selected)
    plan = plan_encoding(texts, request.encoder)
    return len(texts), plan.dimension, plan.name, Cost(plan.cpu_seconds, plan.bytes)


def _member_columns(
    request: Request, source: Source, rows: Rows, answers: Sequence[str | None] | None
) -> pa.Table | None:
    """Return what the members have beside the results: the answers about them, and columns of the file."""
    own = None if answers is None else pa.table({ANSWER: pa.array(answers, pa.string())})
    if not request.member_columns:
        return own
    columns = read_columns(source, rows, find_columns(source, request.member_columns))
    return columns if own is None else append_columns(own, columns)


def cluster_file(request: Request, progress: Progress = ignore_progress) -> FileClustering:
    """Read, select, encode, cluster and name. Raises InvalidField for a file or parameters that cannot be used."""
    selected = select_documents(request, progress)
    request = reinterpret_text(request, selected)
    fields = choose_fields(request, selected)
    warnings = warn_no_text(request, selected, fields)
    in_memory, facet, encoding, answers = request.in_memory, request.facet, None, None
    if selected.points is None:
        encoded = encode_documents(request, selected, fields, progress)
        selected, points, encoding = encoded.selected, encoded.points, encoded.encoding
        texts = [excerpt(text, LONGEST_READ) for text in encoded.texts] if request.labels else None
        warnings, answers = [*encoded.warnings, *warnings], encoded.answers
        del encoded
    else:
        points, texts = selected.points, read_texts(request, selected, fields)
    source_summary = {
        "file": request.label,
        "rows_read": selected.read,
        "vector": selected.vector,
        **({} if encoding is None else {"encoder": encoding.name}),
        "dimension": int(points.shape[1]),
        "text": fields,
    }
    ids, vector, rest, whole_ids = selected.ids, selected.vector, selected.rest, selected.whole_ids
    source, rows, total, warnings = selected.source, selected.rows, selected.total, [*selected.warnings, *warnings]
    del selected  # free its documents, which may be large
    options = request.cluster_options
    if facet is not None:
        options = replace(options, naming=facet.charge(options.naming))
    clustering = cluster_columns(
        points,
        ids,
        texts,
        options,
        progress,
        like=in_memory.like,
        rest=rest,
        whole_ids=whole_ids,
        encoder=None if encoding is None else encoding.phrase_encoder,
    )
    kept = Kept(Split(points, rest), texts) if request.keep else None
    clustering = replace(
        clustering,
        warnings=[*warnings, *clustering.warnings],
        text_columns=fields,
        kept=kept,
        index=in_memory.index,
        vector_column=vector if in_memory.vectors is None else "",
        id_column=source.info.id_column or "" if in_memory.ids is None else "",
        encoding=encoding,
        about=clustering.about if facet is None else {**clustering.about, "facet": facet.describe()},
        member_columns=_member_columns(request, source, rows, answers),
    )
    result = FileClustering(clustering, source_summary, source, rows, total, request.without)
    return replace(result, points=points) if request.keep_vectors else result
