"""`shoal.cluster(...)`: from what a program holds, or a file, to named clusters, without a server."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from shoal.engine.algorithms import parameter_names
from shoal.engine.plan import CentroidMethod, Progress, ignore_progress
from shoal.errors import InvalidField
from shoal.files.ids.ids import NO_COLUMN
from shoal.files.layout import PYTHON
from shoal.files.paths.addresses import Places
from shoal.labeling import Budget, Namer, read_stop_words
from shoal.library.clustering import Clustering, Kept
from shoal.library.facets import open_facet
from shoal.library.from_columns import ClusterOptions, cluster_columns
from shoal.library.from_file import cluster_file
from shoal.library.input.alignment import align
from shoal.library.input.arguments import (
    Argument,
    find_texts,
    find_vectors,
    parse_argument,
    series_to_frame,
    split_vectors,
)
from shoal.library.input.conversion import to_ids, to_texts
from shoal.library.input.frames import Frame, read_frame
from shoal.library.input.places import parse_places
from shoal.library.input.table_values import flatten_ids, flatten_texts
from shoal.library.input.text_data import name_texts, take_texts
from shoal.library.namers import open_naming
from shoal.library.output.write_back import FileRows
from shoal.library.parameter_names import unknown_parameter_error
from shoal.library.request import InMemoryInput, Request
from shoal.precision import Split
from shoal.scalars import parse_bool, parse_integer, unwrap

__all__ = ["Column", "cluster"]

Column: TypeAlias = str | Iterable[object]
"""The name of a column, names of several, or one value a row: a list, an array, a column of a data frame."""

_LABEL: Final = "data"
_MAX_NAMES: Final = 64
_ARGUMENTS: Final = (
    "data", "vector", "text", "id", "algorithm", "n_clusters", "normalize", "centroid_method", "sample_size", "seed",
    "threads", "encoder", "stop_words", "encoding", "like", "facet", "namer", "budget", "progress",
)  # fmt: skip


def cluster(
    data: object = None,
    vector: Column | None = None,
    *,
    text: Column | Literal[False] | None = None,
    id: Column | Literal[False] | None = None,
    texts: Column | None = None,
    encoder: object = None,
    ids: Column | None = None,
    algorithm: str = "auto",
    n_clusters: int | None = None,
    normalize: bool = True,
    centroid_method: CentroidMethod = "mean",
    sample_size: int | None = None,
    seed: int = 42,
    threads: int = 0,
    stop_words: Iterable[str] | str | os.PathLike[str] | None = None,
    encoding: str | None = None,
    like: Clustering | None = None,
    facet: str | None = None,
    namer: str | Namer | None = None,
    budget: float | Budget | None = None,
    progress: Progress | bool = False,
    **params: object,
) -> Clustering:
    """Group documents by their vectors, or by their texts, and name the groups.

    Parameters
    ----------
    data : data frame, table, array, sequence or path, optional
        What to cluster: a table of pandas, polars or Arrow, columns by name, or a list of records; vectors (n, d) of
        any number type, as an array, as lists or as one column; texts; or the path of a file or of several, read as
        `shoal cluster` reads them. Texts are encoded where there are no vectors. None takes `texts`.
    vector : str, sequence of str, or (n, d) vectors, optional
        Column of vectors, the columns that hold one dimension each, or the vectors themselves. None takes the only
        column of vectors, or the one named embedding or vector.
    text : str, sequence of str, (n,) texts or False, optional
        Columns to name the clusters from, or the texts themselves; None, NaN and masked values count as empty. None
        takes the columns that read most like text; False (or "none") leaves the clusters numbered. Where there are no
        vectors, these texts are encoded.
    id : str, (n,) ids or False, optional
        Column of ids, or the ids themselves: unique texts or whole numbers, which make the result independent of the
        order of the rows. None takes a column `document_id`, `id` or `_id`, or one of unique short texts; without
        any, and for False (or "none"), rows are numbered from 0. A pandas series given for `vector`, `text` or `id`
        beside a pandas data frame is matched by index.
    texts : (n,) texts, optional
        Another name for `text`; giving both is an error. All that is needed: `shoal.cluster(texts=texts)`.
    encoder : str or object, optional
        What turns the texts into vectors, even where there are some: "static", the encoder in the package; "corpus",
        which learns from the texts themselves, in any language; a URI such as
        "sentence-transformers:all-MiniLM-L6-v2"; or an object whose `encode(texts)` returns (n, d) numbers. None
        encodes only where there are no vectors, with the encoder for the language of the texts.
    ids : (n,) ids, optional
        Another name for `id`; giving both is an error.
    algorithm : str, default "auto"
        Method: auto, kmeans, hdbscan, leiden, agglomerative, spectral, gaussian_mixture, mean_shift, dbscan or
        optics.
    n_clusters : int, optional
        Number of clusters, whatever the method calls it. None lets the data decide.
    normalize : bool, default True
        Compare directions (cosine) instead of lengths.
    centroid_method : {"mean", "median", "medoid"}, default "mean"
        How the centroid of a cluster is made.
    sample_size : int, optional
        Rows to fit on; the others are assigned. None fits on all.
    seed : int, default 42
        The same data, parameters and seed give the same clusters.
    threads : int, default 0
        Number of threads; 0 uses all cores. The result does not depend on it.
    stop_words : sequence of str or path, optional
        Words that no name or keyword contains, or a text file with a word on each line.
    encoding : str, optional
        Encoding of a text file that is not UTF-8, such as "cp1252" for CSV files saved by Excel. Only for files.
    like : Clustering, optional
        An earlier clustering of some of the same ids, whose places on its map they keep.
    facet : str, optional
        A question about each document, such as "What did the person want?". The language model of `namer` answers it,
        and documents are clustered and named by the answers in place of their texts and vectors; `members` has them as
        the column `answer`. A document without an answer has its own text.
    namer : str or Namer, optional
        A language model that names the clusters, such as "openai:gpt-4o-mini" (see `docs/language-models.md`), or any
        namer. None names them from their words, offline.
    budget : float or Budget, optional
        What names by a model, and the answers of `facet`, may cost, in US dollars; clusters beyond it are named from
        their words. None is one dollar, and for names two million tokens.
    progress : bool or callable, default False
        True writes the current stage to standard error; a callable is called with (stage, fraction), and an exception
        that it raises stops the work.
    **params
        Parameters of the method, such as `min_cluster_size=30`.

    Returns
    -------
    Clustering
        Its rows are those of `data`, in their order. Rows of a file without a vector, or without text where texts are
        encoded, are left out; every row of a table in memory must have one.

    Raises
    ------
    InvalidField
        An argument, a row or a column is wrong; the message names it, its value and the remedy.

    Examples
    --------
    A data frame, an array with texts beside it, a file::

        shoal.cluster(df, vector="embedding", text=["title", "body"], id="ticket")
        shoal.cluster(embeddings, text=df["body"])
        shoal.cluster("tickets.parquet", text="body")
        shoal.cluster(texts=df["body"])

    >>> import numpy as np, shoal
    >>> shoal.cluster(np.eye(4).repeat(5, axis=0), algorithm="kmeans", n_clusters=4).labels.tolist()[:6]
    [0, 0, 0, 0, 0, 1]
    """
    if like is not None and not isinstance(like, Clustering):
        remedy = "Load a folder of results first: like=shoal.load(FOLDER)."
        raise InvalidField("like", "must be a clustering", value=like, remedy=remedy)
    text, id = _to_column_name(_merge_aliases("text", text, texts)), _to_column_name(_merge_aliases("id", id, ids))
    vector = _to_column_name(vector)
    _check_params(algorithm, params)
    excluded = read_stop_words(stop_words)
    options = ClusterOptions(
        algorithm=algorithm,
        n_clusters=None if n_clusters is None else parse_integer("n_clusters", n_clusters, 1),
        params={name: unwrap(value) for name, value in params.items()},
        normalize=parse_bool("normalize", normalize),
        centroid_method=centroid_method,
        sample_size=None if sample_size is None else parse_integer("sample_size", sample_size, 1),
        seed=parse_integer("seed", seed, 0),
        threads=parse_integer("threads", threads, 0),
        stop_words=excluded,
        naming=open_naming(namer, budget, stop_words=excluded),
    )
    question = open_facet(facet, namer, budget)
    on_progress = _print_progress if progress is True else ignore_progress if progress is False else progress
    names_clusters = text is not False and not _is_none_keyword(text)
    text_columns = text if names_clusters and text is not False else None
    if data is None:
        data, text_columns = take_texts(text_columns), None
    places = parse_places(data)
    if places is None and (vector is None or not isinstance(vector, str)):
        data, column = name_texts(data)
        text_columns = column if text_columns is None and vector is None else text_columns
    ids = NO_COLUMN if id is False else id
    if places is not None:
        request = replace(_build_file_request(places, vector, text_columns, ids), encoding=encoding)
    elif encoding is not None:
        raise InvalidField("encoding", "belongs to a file", value=encoding, remedy="Leave it out.")
    elif (frame := series_to_frame(data) or read_frame(data)) is not None:
        request = _build_frame_request(
            frame, vector, text_columns, ids, encodes=encoder is not None or facet is not None
        )
    elif encoder is not None or question is not None:
        name = "facet" if encoder is None else "encoder"
        remedy = f"Leave it out, or give the texts alone: shoal.cluster(texts=texts, {name}=…)."
        raise InvalidField(name, "is given beside vectors", remedy=remedy)
    else:
        return _clear_progress(_cluster_array(data, vector, text_columns, ids, options, like, on_progress), progress)
    in_memory = replace(request.in_memory, like=like)
    request = replace(
        request,
        cluster_options=options,
        in_memory=in_memory,
        labels=names_clusters,
        keep=True,
        encoder=encoder,
        facet=question,
    )
    result = cluster_file(request, on_progress)
    file_rows = FileRows(result.opened, result.rows, result.total)
    return _clear_progress(replace(result.clustering, file_rows=file_rows), progress)


def _merge_aliases(
    name: str, value: Column | Literal[False] | None, alias_value: Column | None
) -> Column | Literal[False] | None:
    """Return the value of an argument given under either name. Raises InvalidField for both."""
    if alias_value is None:
        return value
    if value is not None:
        raise InvalidField(f"{name}s", f"is given beside {name}", remedy="They mean the same: give one of them.")
    return alias_value


def _to_column_name(column: Any) -> Any:
    """Convert an integer column name, as pandas has them without a header, to text; anything else is returned
    unchanged."""
    number = unwrap(column)
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else column


def _is_none_keyword(column: object) -> bool:
    return isinstance(column, str) and column == NO_COLUMN


def _clear_progress(clustering: Clustering, progress: Progress | bool) -> Clustering:
    """Clear the progress line, and return the clustering."""
    if progress is True:
        sys.stderr.write(f"\r{'':<16}\r")
    return clustering


def _check_params(algorithm: str, params: Mapping[str, object]) -> None:
    """Raise InvalidField for a name that is neither an argument nor a parameter of the algorithm."""
    valid_names = parameter_names(algorithm)
    for name, value in params.items():
        if name not in valid_names:
            raise unknown_parameter_error(algorithm, name, value, _ARGUMENTS)


def _build_file_request(path: Places, vector: Column | None, text: Column | None, id: Column | None) -> Request:
    """Build the request for files, whose columns are looked up when they are read."""
    names = {
        "vector": _parse_file_argument(vector),
        "text": _parse_file_argument(text),
        "id": _parse_file_argument(id, most=1),
    }
    return _fill_request(Request(path=path, option_names=PYTHON), names)


def _build_frame_request(
    frame: Frame, vector: Column | None, text: Column | None, id: Column | None, *, encodes: bool
) -> Request:
    rows = frame.rows
    if rows == 0:
        raise InvalidField(_LABEL, "has no rows", remedy="Clustering needs at least two.")
    arguments = {
        name: align(name, value, frame.index) for name, value in (("vector", vector), ("text", text), ("id", id))
    }
    names = {name: parse_argument(name, value, frame, rows=rows) for name, value in arguments.items()}
    request = _fill_request(
        Request(path=Path(_LABEL), option_names=PYTHON, in_memory=InMemoryInput(table=frame.table)), names, rows
    )
    if request.in_memory.vectors is None and not encodes:
        used = [column for name in ("text", "id") for column in names[name].columns or ()]
        vectors = find_vectors(frame, names["vector"].columns, used, names["text"].columns or ())
        request = replace(request, in_memory=replace(request.in_memory, vectors=vectors))
    return replace(request, in_memory=replace(request.in_memory, index=frame.index))


def _fill_request(request: Request, names: dict[str, Argument], rows: int | None = None) -> Request:
    """Add the columns that the arguments name, and the values that they hold."""
    vector, text, id = names["vector"], names["text"], names["id"]
    if id.columns is not None and len(id.columns) > 1:
        raise InvalidField("id", "names several columns", value=list(id.columns), remedy="Ids are in a single column.")
    if rows is None and vector.columns is not None and len(vector.columns) > 1:
        remedy = "Name one: shoal.cluster reads columns such as emb_0, emb_1, … of a file by what they begin with, emb."
        raise InvalidField("vector", "names several columns of a file", value=list(vector.columns), remedy=remedy)
    vectors = None if vector.values is None else split_vectors(vector.values, name="vector")
    count = len(vectors.points) if vectors is not None else rows
    in_memory = replace(
        request.in_memory,
        vectors=vectors,
        texts=to_texts(flatten_texts(text.values), count),
        ids=None if id.values is None else to_ids(flatten_ids(id.values), count),
    )
    column = vector.columns[0] if vector.columns is not None and len(vector.columns) == 1 else None
    return replace(
        request,
        vector=column,
        text=text.columns or (),
        id=None if id.columns is None else id.columns[0],
        in_memory=in_memory,
    )


def _parse_file_argument(argument: Column | None, most: int = _MAX_NAMES) -> Argument:
    """Parse an argument for a file, whose columns are not known yet: a long list is not a list of names."""
    if isinstance(argument, str):
        return Argument((argument,))
    if (
        isinstance(argument, (list, tuple))
        and 0 < len(argument) <= most
        and all(isinstance(name, str) for name in argument)
    ):
        return Argument(tuple(argument))
    return Argument(values=argument)


def _cluster_array(
    data: object,
    vector: Column | None,
    text: Column | None,
    id: Column | None,
    options: ClusterOptions,
    like: Clustering | None,
    progress: Progress,
) -> Clustering:
    id = None if _is_none_keyword(id) else id
    for name, value in (("vector", vector), ("text", text), ("id", id)):
        if isinstance(value, str) or (name == "vector" and value is not None):
            problem = f"belongs to a table, and data is a {type(data).__name__} of vectors"
            remedy = "Give the values themselves, or a data frame." if name != "vector" else "Leave it out."
            if name == "vector" and find_texts(value) is not None:
                remedy = "Texts go with their name: shoal.cluster(vectors, text=texts)."
            raise InvalidField(name, problem, value=value if isinstance(value, str) else None, remedy=remedy)
    vectors = split_vectors(data, name=_LABEL)
    _check_directions(vectors, options)
    count = len(vectors.points)
    ids, texts = to_ids(flatten_ids(id), count), to_texts(flatten_texts(text), count)
    clustering = cluster_columns(
        vectors.points,
        ids.texts,
        texts,
        options,
        progress,
        sort=id is not None,
        like=like,
        rest=vectors.rest,
        whole_ids=ids.whole,
    )
    return replace(clustering, kept=Kept(vectors, texts))


def _print_progress(stage: str, fraction: float) -> None:
    sys.stderr.write(f"\r{stage:<10} {fraction:4.0%} ")
    sys.stderr.flush()


def _check_directions(vectors: Split, options: ClusterOptions) -> None:
    if not options.normalize or vectors.points.any(axis=1).all():
        return
    row = int(np.flatnonzero(~vectors.points.any(axis=1))[0])
    remedy = "Leave the row out, or compare lengths too: normalize=False."
    raise InvalidField(f"{_LABEL}[{row}]", "is all zero, and such a vector has no direction", remedy=remedy)
