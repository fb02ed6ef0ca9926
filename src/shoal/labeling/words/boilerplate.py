"""Removal of boilerplate from long texts: notices, signatures, navigation."""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from shoal.columns import Labels

__all__ = ["drop_boilerplate"]

_SENTENCE = re.compile(r"[^.!?\n。！？]+[.!?\n。！？]*")
_READ = 100_000
"""Characters read of a text."""
_FEWEST, _SHARE_OF_DOCUMENTS, _SHARE_OF_CLUSTER = 3, 0.05, 0.6


def drop_boilerplate(texts: Sequence[str], labels: Labels, length: int) -> list[str]:
    """Remove sentences from long texts that are repeated or occur in documents of many clusters.

    A sentence is boilerplate if at least three, and 5 %, of the long texts contain it, and no cluster has more than 60
    % of these. The order of sentences stays; a text of nothing but boilerplate is unchanged.

    Parameters
    ----------
    texts : sequence of str, length n
        One text a document; only the first 100,000 characters of each are read.
    labels : int32 array of shape (n,)
        The cluster of each document; no noise.
    length : int
        Texts of at most this many characters are returned unchanged.
    """
    rows = [row for row, text in enumerate(texts) if len(text) > length]
    boilerplate = _find_boilerplate([texts[row][:_READ] for row in rows], labels[rows])
    out = list(texts)
    for row in rows:
        out[row] = _distinct_sentences(texts[row], boilerplate)
    return out


def _find_boilerplate(texts: Sequence[str], labels: Labels) -> set[int]:
    """Return the digests of boilerplate sentences.

    Works on arrays: there are millions of sentences, of 12 bytes each.
    """
    marks = [np.fromiter(set(map(_digest, _SENTENCE.findall(text))), np.uint64) for text in texts]
    if not marks:
        return set()
    digests, clusters = np.concatenate(marks), np.repeat(labels, [len(mark) for mark in marks])
    order = np.lexsort((clusters, digests))
    digests, clusters = digests[order], clusters[order]
    starts = np.flatnonzero(np.concatenate([[True], digests[1:] != digests[:-1]]))
    pairs = np.flatnonzero(np.concatenate([[True], (digests[1:] != digests[:-1]) | (clusters[1:] != clusters[:-1])]))
    totals = np.diff(np.append(starts, len(digests)))
    largest = np.maximum.reduceat(np.diff(np.append(pairs, len(digests))), np.searchsorted(pairs, starts))
    fewest = max(_FEWEST, _SHARE_OF_DOCUMENTS * len(texts))
    spread = (totals >= fewest) & (largest <= _SHARE_OF_CLUSTER * totals)
    return set(digests[starts[spread]].tolist())


def _distinct_sentences(text: str, boilerplate: set[int]) -> str:
    digests, sentences = set[int](), list[str]()
    for sentence in _SENTENCE.findall(text[:_READ]):
        if (digest := _digest(sentence)) not in digests and digest not in boilerplate:
            digests.add(digest)
            sentences.append(sentence)
    return "".join(sentences) if "".join(sentences).strip() else text


def _digest(sentence: str) -> int:
    digest = blake2b(sentence.strip().casefold().encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
