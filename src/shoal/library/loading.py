"""`shoal.load(folder)`: a saved clustering with all of its methods."""

import os
from pathlib import Path

from shoal.errors import InvalidField
from shoal.library.clustering import Clustering
from shoal.library.input.document_ids import DocumentIds
from shoal.library.results import read_summary
from shoal.library.saved import SAVED, read_saved
from shoal.library.saved_shape import check_parts
from shoal.library.text_encoding import TextEncoding

__all__ = ["load"]


def load(folder: str | os.PathLike[str]) -> Clustering:
    """Load a clustering that was saved.

    It can do what the saved one could: labels, ids, clusters, tables, summary and `assign` are the same. Vectors and
    texts are not saved.

    Parameters
    ----------
    folder : str or path
        Folder of results that `Clustering.save` or `shoal cluster` wrote.

    Returns
    -------
    Clustering

    Raises
    ------
    InvalidField
        The folder holds no results, or a file in it is damaged or of another version of Shoal; the message names it.

    Examples
    --------
    >>> import shoal, numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = shoal.cluster(np.eye(4).repeat(5, axis=0), algorithm="kmeans", n_clusters=4).save(f"{folder}/found")
    ...     found = shoal.load(f"{folder}/found")
    >>> found.assign(np.eye(4)).labels.tolist()
    [0, 1, 2, 3]
    """
    path = Path(folder)
    read_summary(path)
    if not (path / SAVED).exists():
        raise InvalidField(
            str(path), f"holds tables but no {SAVED} to go on with", remedy="Cluster without --no-model."
        )
    parts = read_saved(path / SAVED)
    try:
        check_parts(parts)
        analysis = parts["analysis"]
        if len(analysis.ids) != len(analysis.outcome.labels) or len(analysis.clusters) != analysis.outcome.clusters:
            raise ValueError("its parts do not fit together")
        return Clustering(
            analysis=analysis,
            document_ids=DocumentIds.from_texts(analysis.ids, whole=bool(parts["whole_ids"])),
            plan=parts["plan"],
            warnings=parts["warnings"],
            seconds=parts["seconds"],
            text_columns=parts.get("text_columns", []),
            vector_column=parts.get("vector_column", ""),
            id_column=parts.get("id_column", ""),
            member_columns=parts["member_columns"],
            checksums=parts.get("checksums"),
            encoding=TextEncoding.from_parts(parts.get("encoding")),
            index=parts.get("index"),
            about=parts["about"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidField(f"{path.name}/{SAVED}", f"is damaged ({error})", remedy="Cluster again.") from error
