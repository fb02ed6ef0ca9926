"""Documents without vectors: those that have text, with vectors made from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.plan import Progress
from shoal.errors import InvalidField
from shoal.library.documents.selection import SelectedDocuments
from shoal.library.documents.texts import read_texts
from shoal.library.facets import ANSWER
from shoal.library.request import Request
from shoal.library.text_encoding import TextEncoding, encode_texts
from shoal.quantities import plural

__all__ = ["EncodedDocuments", "encode_documents", "no_text_error"]


@dataclass(frozen=True, slots=True)
class EncodedDocuments:
    """The documents that have text, with their vectors, and their whole texts."""

    selected: SelectedDocuments
    points: Points
    texts: list[str]
    encoding: TextEncoding
    warnings: Sequence[str] = ()
    answers: Sequence[str | None] | None = None
    """Those to the question about the documents, None for one without an answer; without a question None."""


def encode_documents(
    request: Request, selected: SelectedDocuments, fields: Sequence[str], progress: Progress
) -> EncodedDocuments:
    """Encode the documents that have text, or what a model answers about them, and leave the others out.

    Raises InvalidField where none has any, and for a row of a table in memory without.
    """
    columns = ", ".join(fields) or "text"
    texts = read_texts(request, selected, fields, whole=True)
    if texts is None:
        raise no_text_error(request, selected)
    selected, texts = _drop_empty(request, selected, texts, columns)
    answers: Sequence[str | None] | None = None
    warnings = list[str]()
    if request.facet is not None:
        derived = request.facet.write(texts, progress)
        texts, answers, warnings, columns = derived.texts, derived.answers, request.facet.warn(derived), ANSWER
    points, encoding, notes = encode_texts(texts, request.encoder, progress)
    usable = np.asarray(points.any(axis=1))
    if not usable.all():
        selected, texts = _drop_unknown(request, selected, texts, usable, columns, encoding.name)
        points = points[usable]
        answers = None if answers is None else [answers[row] for row in np.flatnonzero(usable).tolist()]
    return EncodedDocuments(selected, points, texts, encoding, [*warnings, *notes], answers)


def no_text_error(request: Request, selected: SelectedDocuments) -> InvalidField:
    names = request.option_names
    remedy = f"Name a column of text with {names.text_column}, or one of number lists with {names.vector}."
    problem = (
        f"has neither vectors nor text that says what a row is about; its columns are {', '.join(selected.columns)}"
    )
    return InvalidField(request.label, problem, remedy=remedy)


def _drop_empty(
    request: Request, selected: SelectedDocuments, texts: list[str], columns: str
) -> tuple[SelectedDocuments, list[str]]:
    """Leave out the documents without text."""
    rows = np.flatnonzero([bool(text and not text.isspace()) for text in texts])
    if len(rows) == len(texts):
        return selected, texts
    missing = len(texts) - len(rows)
    if not len(rows):
        remedy = f"Name a column of words: {request.option_names.text_column}."
        raise InvalidField(request.label, f"has no text in {columns} in any row", remedy=remedy)
    if request.in_memory.table is not None:
        row = int(np.setdiff1d(np.arange(len(texts)), rows)[0])
        problem = f"has no text; {plural(missing, 'row has', 'rows have')} none"
        raise InvalidField(f"{request.label}: row {row}, column {columns!r}", problem, remedy="Leave such rows out.")
    have = plural(missing, "document has", "documents have")
    return selected.take(rows, f"{have} no text in {columns}; left out."), [texts[row] for row in rows]


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))


def _drop_unknown(
    request: Request,
    selected: SelectedDocuments,
    texts: list[str],
    usable: NDArray[np.bool_],
    columns: str,
    encoder: str,
) -> tuple[SelectedDocuments, list[str]]:
    """Leave out the documents without any word that the encoder knows."""
    first, count = int(np.flatnonzero(~usable)[0]), int(np.count_nonzero(~usable))
    if not usable.any() or request.in_memory.table is not None:
        problem = f"has no word that {encoder} knows" + ("" if usable.any() else ", like every other row")
        remedy = f"Leave such rows out, or take another encoder: {request.option_names.encoder} corpus."
        if not usable.any() and not any(map(_has_word, texts)):
            remedy = "No row has a letter or a digit, so there is nothing to encode: name another column."
        elif encoder.startswith("corpus@"):
            remedy = "Leave such rows out." if usable.any() else "Name another column."
        place = f"{request.label}: row {int(selected.rows[first])}, column {columns!r}"
        raise InvalidField(place, problem, value=texts[first][:80], remedy=remedy)
    have = plural(count, "document has", "documents have")
    rows = np.flatnonzero(usable)
    return selected.take(rows, f"{have} no word that {encoder} knows; left out."), [texts[row] for row in rows]
