"""Sentences of long texts that say nothing about a cluster: notices, signatures, navigation."""

import re
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

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
    held: dict[bytes, Counter[int]] = {}
    for row in rows:
        for sentence in set(map(_digest, _SENTENCE.findall(texts[row][:_READ]))):
            held.setdefault(sentence, Counter())[int(labels[row])] += 1
    fewest = max(_FEWEST, _SHARE_OF_DOCUMENTS * len(rows))
    boilerplate = {sentence for sentence, clusters in held.items() if _is_spread(clusters, fewest)}
    out = list(texts)
    for row in rows:
        out[row] = _distinct_sentences(texts[row], boilerplate)
    return out


def _is_spread(clusters: Counter[int], fewest: float) -> bool:
    total = clusters.total()
    return total >= fewest and max(clusters.values()) <= _SHARE_OF_CLUSTER * total


def _distinct_sentences(text: str, boilerplate: set[bytes]) -> str:
    seen, kept = set(boilerplate), list[str]()
    for sentence in _SENTENCE.findall(text[:_READ]):
        if (digest := _digest(sentence)) not in seen:
            seen.add(digest)
            kept.append(sentence)
    return "".join(kept) if "".join(kept).strip() else text


def _digest(sentence: str) -> bytes:
    return blake2b(sentence.strip().casefold().encode("utf-8", "replace"), digest_size=8).digest()
