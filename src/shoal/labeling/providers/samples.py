"""The documents that a model is shown of a cluster: some members, and the nearest documents outside it."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.labeling.base import Brief, Media, Partition
from shoal.labeling.providers.hostile_text import Vocabulary, read_vocabulary, split_instructions
from shoal.labeling.providers.instructions import Instructions
from shoal.labeling.providers.stop_words import STOP_WORDS
from shoal.labeling.text import GAP, clean

__all__ = ["Document", "Sample", "Sampler"]

_POOL: Final = 400
_DENSE: Final = 200
"""Members that are looked at: evenly spaced, so that the order of rows hardly matters."""
_READ: Final = 120
"""Members whose words are counted."""
_SIBLINGS, _EACH = 3, 2
_LONGEST_MEDIA: Final = 5 * 2**20
_MOST_MEDIA: Final = 8
_SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What all providers take."""
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}")
_FEWEST, _MOST = 3, 20
_ORDINARY: Final = 0.2
"""A model is asked if at least so many members do not read like instructions to it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as a model is shown it. `id` is its name in the prompt, `row` its row in the brief."""

    id: str
    row: int
    text: str
    media: tuple[Media, ...] = ()
    unseen: tuple[str, ...] = ()
    """The types of media that it has and no model is shown."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is shown of a cluster, and the words of more of its members.

    `hostile` says that nearly every member that was looked at reads like an instruction to a model.
    """

    members: Sequence[Document]
    outsiders: Sequence[Document]
    vocabulary: Vocabulary
    size: int
    hostile: bool


class Sampler:
    """Chooses documents of one layer of a brief. It reads no other rows than those of the brief.

    Parameters
    ----------
    brief : Brief
    layer : Partition
    instructions : Instructions
    """

    def __init__(self, brief: Brief, layer: Partition, instructions: Instructions) -> None:
        self._brief, self._layer, self._instructions = brief, layer, instructions
        order = np.argsort(layer.labels, kind="stable")
        bounds = np.searchsorted(layer.labels[order], np.arange(layer.clusters + 1))
        self._members = [order[bounds[cluster] : bounds[cluster + 1]] for cluster in range(layer.clusters)]
        self._central = dict[int, Rows]()

    def size(self, cluster: int) -> int:
        """Return the number of members."""
        return len(self._members[cluster])

    def key(self, cluster: int) -> bytes:
        """Return a digest of the rows of a cluster."""
        return hashlib.sha256(self._members[cluster].tobytes()).digest()

    def sample(self, cluster: int) -> Sample:
        """Choose what is shown of a cluster."""
        ranked = self._rank_members(cluster)
        count = self._instructions.max_samples or _auto(self.size(cluster))
        read, distinct = list[tuple[int, str]](), set[str]()
        texts = self._texts(ranked[:_READ])
        for row, text in zip(ranked[:_READ].tolist(), texts, strict=True):
            key = " ".join(text.casefold().split())
            if key and key not in distinct:
                distinct.add(key)
                read.append((row, text))
        parts = [split_instructions(text) for _, text in read]
        plain = [each for each, (ordinary, _) in zip(read, parts, strict=True) if ordinary]
        shown = (plain or read)[:count]
        outsiders = self._outsiders(cluster, max(2, count // 2))
        members = self._documents([row for row, _ in shown], "d")
        return Sample(
            members,
            self._documents(outsiders, "x"),
            read_vocabulary(parts, STOP_WORDS),
            self.size(cluster),
            bool(read) and len(plain) < max(min(len(read), 2), _ORDINARY * len(read)),
        )

    def _rank_members(self, cluster: int) -> Rows:
        """Return members in the order in which they are shown."""
        if cluster not in self._central:
            self._central[cluster] = self._rank(self._members[cluster], cluster)
        return self._central[cluster]

    def _rank(self, members: Rows, cluster: int) -> Rows:
        pool = members if len(members) <= _POOL else members[np.linspace(0, len(members) - 1, _POOL).astype(np.int64)]
        vectors = self._vectors(pool)
        if vectors is None or not len(pool):
            return pool
        center = vectors.mean(axis=0) if self._layer.centroids is None else self._layer.centroids[cluster]
        near = _order(_distances(vectors, center))
        if self._instructions.strategy == "nearest":
            return pool[near]
        return pool[_mix(vectors, near, self._instructions.max_samples or _auto(len(members)))]

    def _outsiders(self, cluster: int, most: int) -> list[int]:
        """Return the most central members of the nearest clusters of the layer."""
        centroids = self._layer.centroids
        if centroids is None or self._layer.clusters < 2:
            return []
        nearest = [other for other in _order(_distances(centroids, centroids[cluster])).tolist() if other != cluster]
        rows = [self._distinct(self._rank_members(other)[: 3 * _EACH])[:_EACH] for other in nearest[:_SIBLINGS]]
        return [row for turn in range(_EACH) for own in rows for row in own[turn : turn + 1]][:most]

    def _distinct(self, rows: Rows) -> list[int]:
        """Return the first row of each text."""
        first = dict[str, int]()
        for row, text in zip(rows.tolist(), self._texts(rows), strict=True):
            first.setdefault(" ".join(text.casefold().split()), row)
        return list(first.values())

    def _vectors(self, rows: Rows) -> Points | None:
        return None if self._brief.points is None else self._brief.points[rows]

    def _texts(self, rows: Rows) -> list[str]:
        """Return the texts of rows as they are shown, but not cut."""
        if self._brief.inputs is not None:
            return [_join(values) for values in self._brief.inputs(rows.tolist())]
        texts = self._brief.texts
        return ["" if texts is None else _visible(texts[row]) for row in rows.tolist()]

    def _documents(self, rows: Sequence[int], prefix: str) -> list[Document]:
        texts, media = self._texts(np.asarray(rows, np.int64)), self._media(rows if prefix == "d" else [])
        most = self._instructions.sample_text_length
        cut = [
            (row, _cut(split_instructions(text)[0], most), *own)
            for row, text, own in zip(rows, texts, media or [((), ())] * len(rows), strict=True)
        ]
        kept = [each for each in cut if prefix == "d" or each[1]]
        return [Document(f"{prefix}{number}", *each) for number, each in enumerate(kept, 1)]

    def _media(self, rows: Sequence[int]) -> list[tuple[tuple[Media, ...], tuple[str, ...]]]:
        """Return for each row the media that are shown, and the types of those that are not."""
        if self._brief.inputs is None or not rows:
            return []
        left, media = _MOST_MEDIA, list[tuple[tuple[Media, ...], tuple[str, ...]]]()
        for values in self._brief.inputs(list(rows)):
            own = [each for each in values.values() if isinstance(each, Media)]
            shown = [each for each in own if each.media_type in _SHOWN and len(each.data) <= _LONGEST_MEDIA][:left]
            unseen = {each.media_type for each in own if each not in shown and _MEDIA_TYPE.fullmatch(each.media_type)}
            media.append((tuple(shown), tuple(sorted(unseen))))
            left -= len(shown)
        return media


def _auto(size: int) -> int:
    """Return 3 for the smallest clusters to 20 for those of thousands."""
    return min(max(_FEWEST, round(3 + 2 * math.log2(max(size, 8) / 8))), _MOST)


def _distances(vectors: Points, center: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return distances of directions, rounded so that equal ones are equal on every processor."""
    vectors, center = vectors.astype(np.float64), center.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1) * max(float(np.linalg.norm(center)), 1e-30)
    distances: NDArray[np.float64] = np.round(1.0 - vectors @ center / np.maximum(lengths, 1e-30), 5)
    return distances


def _order(distances: NDArray[np.float64]) -> Rows:
    return np.argsort(distances, kind="stable")


def _mix(vectors: Points, near: Rows, count: int) -> Rows:
    """Return near members, then members that cover the extent, then members where it is densest, then the rest."""
    nearest, spread = max(1, round(0.4 * count)), max(1, round(0.4 * count))
    chosen = near[:nearest].tolist()
    reach = np.min([_distances(vectors, vectors[row]) for row in chosen], axis=0)
    for _ in range(min(spread, len(near) - len(chosen))):
        farthest = int(np.argmax(np.where(np.isin(np.arange(len(reach)), chosen), -1.0, reach)))
        chosen.append(farthest)
        reach = np.minimum(reach, _distances(vectors, vectors[farthest]))
    for row in _densest(vectors[:_DENSE]).tolist():
        if len(chosen) >= count:
            break
        if row not in chosen:
            chosen.append(row)
    rest = [row for row in near.tolist() if row not in set(chosen)]
    return np.asarray([*chosen, *rest], np.int64)


def _densest(vectors: Points) -> Rows:
    """Order rows by their mean distance to their five nearest, smallest first."""
    unit = vectors.astype(np.float64)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-30)
    distances = np.sort(np.round(1.0 - unit @ unit.T, 5), axis=1)
    return _order(np.round(distances[:, 1:6].mean(axis=1), 5) if len(unit) > 1 else np.zeros(len(unit)))


def _join(values: Mapping[str, object]) -> str:
    texts = [f"{key}: {_visible(value)}" for key, value in values.items() if isinstance(value, str) and value.strip()]
    return texts[0].partition(": ")[2] if len(texts) == 1 else "; ".join(texts)


def _visible(text: str) -> str:
    """Return a text without markup, addresses and identifiers, in one line."""
    return " ".join(clean(text).replace(" . ", " ").replace(GAP, " ").split()).strip(" .")


def _cut(text: str, most: int) -> str:
    """Cut a text to its head and tail."""
    if len(text) <= most:
        return text
    head = most * 3 // 4
    return f"{text[:head].rstrip()} … {text[-(most - head - 3) :].lstrip()}"
