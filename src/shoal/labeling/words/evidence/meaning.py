"""The meaning of candidate phrases as vectors: a name should lie near its cluster, and away from the nearest others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points
from shoal.errors import Cancelled
from shoal.labeling.base import PhraseEncoder, Progress
from shoal.labeling.words.candidates import Candidate
from shoal.labeling.words.phrases import Phrases

__all__ = ["EncodedSpace", "OwnEncoder", "OwnEncoderError", "PointSpace", "Space", "find_directions"]

_SHRINKAGE = 3.0
"""Documents at the overall mean that are added to those of a phrase: a phrase of two documents says little."""

Vectors = NDArray[np.float64]


class Space(Protocol):
    """Vectors of documents and of phrases that can be compared."""

    @property
    def documents(self) -> Points:
        """(r, d) the documents that were read, minus their mean."""
        ...

    @property
    def weight(self) -> float:
        """What the space counts when candidates are ranked."""
        ...

    def phrases(self, candidates: Sequence[Candidate], counted: Phrases) -> Vectors:
        """Return (m, d) unit rows, one a candidate."""
        ...

    def labels(self, texts: Sequence[str], holders: Sequence[NDArray[np.int64]]) -> Vectors:
        """Return (k, d) unit rows, one a label; `holders` are the documents with the words of each."""
        ...


class OwnEncoderError(Exception):
    """The encoder of the vectors failed, such as a server that is gone; holds the class of its error."""


@dataclass(frozen=True, slots=True)
class OwnEncoder:
    """The encoder of the vectors, whose errors differ from those of naming."""

    encoder: PhraseEncoder

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode texts. Raises OwnEncoderError, or Cancelled."""
        try:
            return self.encoder.encode(texts, progress)
        except Cancelled:
            raise
        except Exception as error:  # whatever a caller's own model raises
            raise OwnEncoderError(type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class EncodedSpace:
    """Documents and phrases as an encoder sees them, whatever vectors made the clusters."""

    documents: Points
    encoder: PhraseEncoder
    weight: float

    @classmethod
    def of(cls, texts: Sequence[str], encoder: PhraseEncoder, weight: float) -> "EncodedSpace":
        return cls(_centre(encoder.encode(texts)), encoder, weight)

    def phrases(self, candidates: Sequence[Candidate], counted: Phrases) -> Vectors:
        distinct = sorted({each.keyword for each in candidates})
        place = {keyword: number for number, keyword in enumerate(distinct)}
        encoded = self.encoder.encode(distinct).astype(np.float64)
        return self._directions(encoded)[[place[each.keyword] for each in candidates]]

    def labels(self, texts: Sequence[str], holders: Sequence[NDArray[np.int64]]) -> Vectors:
        return self._directions(self.encoder.encode(texts).astype(np.float64))

    @staticmethod
    def _directions(encoded: Vectors) -> Vectors:
        """Centre vectors, except those of texts without known words."""
        mask = np.abs(encoded).max(1, keepdims=True, initial=0) > 0
        return np.asarray(_unit(encoded - encoded.mean(0)) * mask)


@dataclass(frozen=True, slots=True)
class PointSpace:
    """The vectors of the clustering: a phrase lies at the mean of the documents that contain it."""

    documents: Points
    weight: float

    @classmethod
    def of(cls, points: Points, rows: NDArray[np.int64], weight: float) -> "PointSpace":
        return cls(_centre(points[rows]), weight)

    def phrases(self, candidates: Sequence[Candidate], counted: Phrases) -> Vectors:
        distinct = np.unique([each.phrase for each in candidates])
        of_phrase, documents = counted.held
        starts = np.searchsorted(of_phrase, distinct)
        ends = np.searchsorted(of_phrase, distinct, "right")
        vectors = self._means([documents[start:end] for start, end in zip(starts, ends, strict=True)])
        place = np.searchsorted(distinct, [each.phrase for each in candidates])
        return np.asarray(vectors[place], np.float64)

    def labels(self, texts: Sequence[str], holders: Sequence[NDArray[np.int64]]) -> Vectors:
        return self._means(holders)

    def _means(self, groups: Sequence[NDArray[np.int64]]) -> Vectors:
        means = np.zeros((len(groups), self.documents.shape[1]))
        for number, rows in enumerate(groups):
            means[number] = self.documents[rows].sum(0, dtype=np.float64) / (len(rows) + _SHRINKAGE)
        return _unit(means)


def find_directions(documents: Points, labels: Labels, clusters: int) -> Vectors:
    """Return (k, d) the directions of the mean documents of the clusters; documents labelled -1 count for none."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(clusters + 1))
    means = np.zeros((clusters, documents.shape[1]))
    for cluster, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if end > start:
            means[cluster] = documents[order[start:end]].mean(0, dtype=np.float64)
    return _unit(means)


def _centre(vectors: Points) -> Points:
    """Subtract the mean in place: these may be gigabytes."""
    vectors -= vectors.mean(0, dtype=np.float64).astype(np.float32)
    return vectors


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))
