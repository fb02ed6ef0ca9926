"""Sentences of long texts that say nothing about a cluster: notices, signatures, navigation."""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from shoal.columns import Labels

__all__ = ["drop_boilerplate"]

_SENTENCE = re.compile(r"[^.!?\n。！？]+[.!?\n。！？]*")
_READ = 100_000
"""Characters of a text."""
_FEWEST, _SHARE_OF_DOCUMENTS, _SHARE_OF_CLUSTER = 3, 0.05, 0.6


def drop_boilerplate(texts: Sequence[str], labels: Labels, length: int) -> list[str]:
    """Leave sentences out of long texts that repeat themselves or stand in documents of many clusters.

    A sentence is boilerplate where at least three and 5 % of the long texts hold it and no cluster has more than
    60 % of these. What is left of a text is in its order; a text of boilerplate alone stays as it is.

    Parameters
    ----------
    texts : sequence of str, length n
        One text a document; only the first 100,000 characters of each are read.
    labels : int32 array of shape (n,)
        The cluster of each document; no noise.
    length : int
        Texts of at most so many characters are returned unchanged: they are read whole.
    """
    rows = [row for row, text in enumerate(texts) if len(text) > length]
    boilerplate = _repeated([texts[row][:_READ] for row in rows], labels[rows])
    out = list(texts)
    for row in rows:
        out[row] = _distinct_sentences(texts[row], boilerplate)
    return out


def _repeated(texts: Sequence[str], labels: Labels) -> set[int]:
    """The digests of sentences that are boilerplate. As arrays: a sentence takes 12 bytes, and there are millions."""
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
    seen, kept = set[int](), list[str]()
    for sentence in _SENTENCE.findall(text[:_READ]):
        if (digest := _digest(sentence)) not in seen and digest not in boilerplate:
            seen.add(digest)
            kept.append(sentence)
    return "".join(kept) if "".join(kept).strip() else text


def _digest(sentence: str) -> int:
    digest = blake2b(sentence.strip().casefold().encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
