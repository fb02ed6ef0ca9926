"""The texts of the documents to cluster: which fields hold them, and what they say."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from shoal.errors import InvalidField
from shoal.files.layout import PYTHON, format_names
from shoal.labeling import choose_text_fields, document_text, whole_text
from shoal.library.documents.selection import SelectedDocuments
from shoal.library.input.arguments import suggest_columns
from shoal.library.input.conversion import to_texts
from shoal.library.request import Request
from shoal.records.documents.document import RESULT_FIELDS, own_fields
from shoal.records.queries.fields import find_field, key_paths

__all__ = ["choose_fields", "read_texts", "reinterpret_text", "warn_no_text"]

_SAMPLED_DOCUMENTS: Final = 200  # documents, to choose the text fields


def reinterpret_text(request: Request, selected: SelectedDocuments) -> Request:
    """Treat `text` as values where it was taken for column names: none of it is a column, and its length is that of the
    file.

    Only in Python, where both are one argument.
    """
    if request.option_names is not PYTHON or len(request.text) != selected.total:
        return request
    if any(path[0] in selected.columns for text in request.text for path in key_paths(text)):
        return request
    return replace(request, text=(), in_memory=replace(request.in_memory, texts=to_texts(request.text, selected.total)))


def choose_fields(request: Request, selected: SelectedDocuments) -> list[str]:
    """Return the named fields, else those that read most like text; none where no text is needed."""
    if request.in_memory.texts is not None or not (request.labels or selected.points is None):
        return []
    if request.text:
        return list(request.text)
    sample = heapq.nsmallest(_SAMPLED_DOCUMENTS, range(len(selected.ids)), key=selected.ids.__getitem__)
    payloads = [own_fields(document) for document in selected.documents.take(np.sort(sample)).read()]
    return choose_text_fields(payloads, without=RESULT_FIELDS)


def warn_no_text(request: Request, selected: SelectedDocuments, fields: Sequence[str]) -> list[str]:
    """Return a warning where no column of a file holds prose."""
    others = [name for name in selected.columns if name not in (selected.vector, request.id)]
    if fields or request.in_memory.texts is not None or not request.labels or not others:
        return []
    read = request.option_names.text
    return [f"No column reads like text ({format_names(others)}), so clusters are numbered; {read} reads one anyway."]


def read_texts(
    request: Request, selected: SelectedDocuments, fields: Sequence[str], *, whole: bool = False
) -> list[str] | None:
    """Return one text per row, uncut if `whole`; None where no field holds any.

    Raises InvalidField for a field that no document has.
    """
    if request.in_memory.texts is not None:
        return [request.in_memory.texts[row] for row in selected.rows.tolist()]
    if not fields:
        return None
    join: Callable[[Sequence[object]], str] = whole_text if whole else document_text
    missing, texts = set(fields) - set(selected.columns), []
    for document in selected.documents.read(fields):
        values = [find_field(document, field) for field in fields]
        texts.append(join([value for _, value in values]))
        missing -= {field for field, (exists, _) in zip(fields, values, strict=True) if exists and field in missing}
    if missing:
        name = min(missing)
        raise InvalidField(
            request.option_names.text,
            "is not a field of the file",
            value=name,
            remedy=suggest_columns(name, selected.columns),
        )
    if request.text and not any(texts):
        remedy = "Name a column of words" + (", or leave it out." if selected.points is not None else ".")
        raise InvalidField(
            request.option_names.text, "holds no text in any row", value=", ".join(request.text), remedy=remedy
        )
    return texts
