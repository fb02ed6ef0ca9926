"""Detection of languages, by function words and script."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shoal.labeling.languages import LANGUAGES

__all__ = ["detect_languages"]

_BLOCK = 65_536
"""Documents that are scored at once, to bound memory."""
_PRIOR = 0.5
"""Weight of the share of a language in all texts, in words of evidence."""
_SCRIPTS = (
    (0x0370, 0x03FF, "el"),
    (0x0590, 0x05FF, "he"),
    (0x0900, 0x097F, "hi mr"),
    (0x0980, 0x09FF, "bn"),
    (0x0A80, 0x0AFF, "gu"),
    (0x0E00, 0x0E7F, "th"),
    (0x0E80, 0x0EFF, "lo"),
    (0x1000, 0x109F, "my"),
    (0x1780, 0x17FF, "km"),
    (0x3040, 0x30FF, "ja"),
    (0x0400, 0x052F, "ru uk bg"),
    (0x0600, 0x06FF, "ar fa ur"),
    (0x3400, 0x9FFF, "zh ja"),
    (0xAC00, 0xD7AF, "ko"),
)
"""First and last character of a script, and the languages written in it."""
_NUMBERS = {language.code: number for number, language in enumerate(LANGUAGES)}
_OF_SCRIPT = tuple((first, last, [_NUMBERS[code] for code in codes.split()]) for first, last, codes in _SCRIPTS)
_LATIN = sorted(set(range(len(LANGUAGES))) - {number for *_, own in _OF_SCRIPT for number in own})


def detect_languages(
    forms: Sequence[str], tokens: NDArray[np.int64], documents: NDArray[np.int64], texts: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (forms,) for each word the position in LANGUAGES of the language of most texts that contain it, and
    (texts,) the language of each text.

    The language of a text is the one with most of its function words. Texts without any get the language of most
    texts, and a word in another script than its language gets the main language of that script.

    Parameters
    ----------
    forms : sequence of str, length f
        Case-folded words.
    tokens, documents : int64 arrays of shape (t,)
        The words of all texts as positions in `forms`, and their texts, ascending.
    texts : int
        How many texts there are.
    """
    member = _membership(forms)
    votes = np.bincount(tokens, minlength=len(forms)) @ member
    prior = _PRIOR * votes / max(float(votes.sum()), 1.0)
    spoken = np.zeros(texts, np.int64)
    for first in range(0, texts, _BLOCK):
        part = slice(*np.searchsorted(documents, [first, first + _BLOCK]))
        inside = (np.ones(len(tokens[part])), (documents[part] - first, tokens[part]))
        counts = sp.csr_matrix(inside, shape=(min(_BLOCK, texts - first), len(forms)))
        spoken[first : first + _BLOCK] = np.asarray((counts @ member).todense() + prior).argmax(1)
    return _match_scripts(forms, _main_languages(spoken[documents], tokens, len(forms)), votes), spoken


def _main_languages(languages: NDArray[np.int64], tokens: NDArray[np.int64], forms: int) -> NDArray[np.int64]:
    """Return for each form the language of most of its occurrences, the first one of ties."""
    most, main = np.zeros(forms, np.int64), np.zeros(forms, np.int64)
    for language in np.unique(languages).tolist():
        held = np.bincount(tokens[languages == language], minlength=forms)
        main[held > most] = language
        most = np.maximum(most, held)
    return main


def _membership(forms: Sequence[str]) -> "sp.csr_matrix[np.float64]":
    """Return (forms, languages) whether a word is a function word or a negation of a language."""
    number = {form: row for row, form in enumerate(forms)}
    pairs = [
        (number[word], column)
        for column, language in enumerate(LANGUAGES)
        for word in language.function | language.negations | language.trailing_negations
        if word in number
    ]
    rows, columns = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(forms), len(LANGUAGES)))


def _match_scripts(forms: Sequence[str], languages: NDArray[np.int64], votes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Replace languages that are not written in the script of the word."""
    out = languages.copy()
    for position, form in enumerate(forms):
        if form.isascii():
            continue
        own = _languages_of(ord(form[0]))
        if out[position] not in own:
            out[position] = max(own, key=lambda number: (votes[number], -number))
    return out


def _languages_of(character: int) -> Sequence[int]:
    return next((own for first, last, own in _OF_SCRIPT if first <= character <= last), _LATIN)
