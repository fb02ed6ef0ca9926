"""A summary of a cluster: its most central sentence of 6 to 25 words."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.examples import visible
from shoal.labeling.words.evidence.meaning import Space
from shoal.labeling.words.evidence.overlap import Overlap
from shoal.labeling.words.tokens import TokenTable

__all__ = ["summarize"]

_SENTENCE = re.compile(r"[^.!?\n。！？]+(?:[.!?。！？](?=\S)[^.!?\n。！？]+)*[.!?。！？]*")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NOT_PROSE = re.compile(r"://|www\.|\S@\S|[<>{}|\\\[\]=*#~^_]|`")
_FEWEST, _MOST = 6, 25
_LONGEST = 240
"""Characters of a sentence."""
_DOCUMENTS = 40
"""The most central documents of a cluster, in which sentences are compared."""
_SENTENCES = 20
"""Of one document."""
_DIGITS = 6


def summarize(
    texts: Sequence[str],
    table: TokenTable,
    overlap: Overlap,
    spaces: Sequence[Space],
    labels: Labels,
    clusters: int,
) -> list[str | None]:
    """Choose a sentence for each cluster, None where no document has one.

    It is from one of the forty most central documents, and has most of what is frequent in the cluster and rare
    elsewhere, for its length. Lines with addresses, markup or code are no sentences.
    """
    rates = overlap.rates(labels, clusters)
    stem_of = _stems_by_form(table)
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(clusters + 1))
    out: list[str | None] = []
    for cluster, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        row = rates[[cluster]]
        worth = dict(zip(row.indices.tolist(), (row.data * overlap.rarity[row.indices]).tolist(), strict=True))
        central = _most_central(order[start:end], overlap, row.toarray().ravel(), spaces)
        sentences = {sentence for document in central.tolist() for sentence in _sentences(texts[document])}
        best = max(sorted(sentences), key=lambda sentence: _worth(sentence, stem_of, worth), default=None)
        out.append(best)
    return out


def _most_central(
    rows: NDArray[np.int64], overlap: Overlap, rate: NDArray[np.float64], spaces: Sequence[Space]
) -> NDArray[np.int64]:
    """Return the documents nearest to the mean, or, without vectors, with most of the cluster's words."""
    if len(rows) <= _DOCUMENTS:
        return rows
    holds = overlap.holds[rows]
    near = np.asarray(holds @ (rate * overlap.rarity)) / np.sqrt(np.maximum(np.diff(holds.indptr), 1))
    if spaces:
        documents = spaces[0].documents[rows].astype(np.float64)
        documents /= np.maximum(np.linalg.norm(documents, axis=1, keepdims=True), 1e-9)
        near = documents @ documents.mean(0)
    return rows[np.lexsort((rows, -np.round(near, _DIGITS)))[:_DOCUMENTS]]


def _stems_by_form(table: TokenTable) -> Mapping[str, int]:
    vocabulary = table.vocabulary
    return {word.casefold(): stem for word, stem in zip(vocabulary.words, vocabulary.stems.tolist(), strict=True)}


def _sentences(text: str) -> list[str]:
    sentences = [" ".join(visible(each).split()) for each in _SENTENCE.findall(text[: _SENTENCES * _LONGEST])]
    return [each for each in sentences[:_SENTENCES] if _is_prose(each)]


def _is_prose(sentence: str) -> bool:
    if len(sentence) > _LONGEST or _NOT_PROSE.search(sentence):
        return False
    words = len(_WORD.findall(sentence))
    # A script without spaces has one "word" a clause: two characters count as one.
    spaced = sentence.isascii() or sentence.count(" ") * 12 > len(sentence)
    return _FEWEST <= (words if spaced else len(sentence) // 2) <= _MOST


def _worth(sentence: str, stem_of: Mapping[str, int], worth: Mapping[int, float]) -> float:
    words = [word.casefold() for word in _WORD.findall(sentence)]
    if len(words) < _FEWEST:
        words = list(sentence)
    stems = {stem_of[word] for word in words if word in stem_of}
    return round(sum(worth.get(stem, 0.0) for stem in sorted(stems)) / float(np.sqrt(len(words) + 1)), _DIGITS)
