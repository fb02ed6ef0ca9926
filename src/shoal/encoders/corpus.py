"""The encoder of the corpus itself: TF-IDF of words and runs of characters, and their SVD. Any language and script."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from threadpoolctl import threadpool_limits

from shoal.columns import Points
from shoal.encoders.base import Parts, Progress
from shoal.encoders.batches import encode_batches
from shoal.encoders.features import count_features, word_features
from shoal.encoders.sums import add_rows, unit_rows
from shoal.encoders.words import TextWords, split_words
from shoal.errors import InvalidRequest

__all__ = ["CorpusEncoder"]

MOST_TEXTS: Final = 20_000
"""Texts to learn from; of more, those whose checksums are lowest."""
MOST_CHARACTERS: Final = 5_000_000
ENCODED_CHARACTERS: Final = 1_000_000
"""Characters that are encoded together: each is in three runs or more."""
MOST_COUNTED: Final = 500_000
"""Distinct features that are counted together; the rarest go first."""
MOST_FEATURES: Final = 30_000
MOST_DIMENSIONS: Final = 256
RUN_WEIGHT: Final = 0.5
"""Of a run of characters beside a word's 1: words have many."""
FLOOR: Final = 0.1
"""Of the inverse document frequency, so that what every text has counts a little."""
SPARE, ROUNDS = 10, 4
"""Of the randomized SVD (Halko, Martinsson and Tropp 2011): more directions than asked for, and power iterations."""
STEPS = 8
"""Weights of repeated features are whole numbers in steps of an eighth."""


class CorpusEncoder:
    """Learns from the texts themselves which words and runs of characters go together.

    The same texts give the same encoder, in any order and on any number of threads; a later text is placed in the same
    space.

    Parameters
    ----------
    dimension : int, default 256
        At most; a small corpus has fewer.
    """

    uri = "corpus"

    def __init__(self, dimension: int = MOST_DIMENSIONS) -> None:
        self.most = dimension
        self.vocabulary: dict[str, int] = {}
        self.factors = np.zeros(0, np.uint16)
        self.numbers = np.zeros((0, 0), np.int8)

    @property
    def name(self) -> str:
        """The version and what was learned, because vectors of two corpora are not comparable."""
        digest = hashlib.sha256(self.numbers.tobytes() + self.factors.tobytes() + "\n".join(self.vocabulary).encode())
        return f"corpus@1-{digest.hexdigest()[:12]}"

    @property
    def dimension(self) -> int:
        return int(self.numbers.shape[1]) or self.most

    def fit(self, texts: Sequence[str], progress: Progress | None = None) -> Self:
        """Learn from a corpus, or from 20,000 texts of a larger one.

        Parameters
        ----------
        texts : sequence of str
        progress : callable, optional
            Receives the fraction that is done, and may raise to stop.

        Returns
        -------
        Self
        """
        advance = progress or (lambda done: None)
        words = split_words(learning_texts(texts))
        advance(0.1)
        self.vocabulary = choose_features(words)
        counts = weigh(*self.feature_counts(words), len(self.vocabulary))
        advance(0.3)
        frequencies = np.bincount(counts.indices, minlength=len(self.vocabulary))
        idf = np.log((1 + counts.shape[0]) / (1 + frequencies)) + FLOOR
        idf *= np.where([feature.startswith("=") for feature in self.vocabulary], 1, RUN_WEIGHT)
        with threadpool_limits(1):
            directions = main_directions(unit_csr(counts @ diags_array(idf)), self.most, advance)
        self.factors, self.numbers = quantize(directions * idf[:, None])
        return self

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts. See `Encoder`."""
        if not self.numbers.size:
            raise InvalidRequest("The corpus encoder encodes nothing before it has learned: call fit(texts) first.")
        table = self.numbers * self.factors.astype(np.int32)[:, None]

        def encode(batch: Sequence[str]) -> Points:
            features, bounds = self.feature_counts(split_words(batch))
            counts = weigh(features, bounds, len(self.vocabulary))
            steps = np.rint(counts.data * STEPS).astype(np.int32)
            return unit_rows(add_rows(table, counts.indices, counts.indptr.astype(np.int64), steps))

        return encode_batches(texts, self.dimension, encode, progress, most_characters=ENCODED_CHARACTERS)

    def feature_counts(self, words: TextWords) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The features of each text, repeated as often as they occur."""
        numbers, starts = count_features(words.distinct, self.vocabulary)
        lengths = np.diff(starts)[words.places]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        chosen = np.repeat(starts[words.places] - ends[:-1], lengths) + np.arange(ends[-1])
        return numbers[chosen], ends[words.bounds]

    def parts(self) -> Parts:
        """The features, and a vector for each.

        Returns
        -------
        mapping of str to array
        """
        features = np.frombuffer("\n".join(self.vocabulary).encode(), np.uint8)
        return {"features": features, "factors": self.factors, "numbers": self.numbers}

    @classmethod
    def restore(cls, parts: Parts) -> Self:
        """An encoder that has learned, from what `parts` returned.

        Parameters
        ----------
        parts : mapping of str to array

        Returns
        -------
        Self
        """
        encoder = cls()
        features = parts["features"].tobytes().decode().split("\n")
        encoder.vocabulary = {feature: row for row, feature in enumerate(features)}
        encoder.factors, encoder.numbers = parts["factors"], parts["numbers"]
        encoder.most = encoder.dimension
        return encoder


def learning_texts(texts: Sequence[str]) -> list[str]:
    """Distinct texts in an order of their own, so that the order of rows decides nothing; a bounded number of them."""
    distinct = sorted(set(texts), key=lambda text: (zlib.crc32(text.encode("utf-8", "replace")), text))
    chosen: list[str] = []
    characters = 0
    for text in distinct[:MOST_TEXTS]:
        characters += len(text)
        if chosen and characters > MOST_CHARACTERS:
            break
        chosen.append(text)
    return chosen


def choose_features(words: TextWords) -> dict[str, int]:
    """The features that most texts have, and at least two; all of them where there are few texts."""
    counts: Counter[str] = Counter()
    texts = np.repeat(np.arange(len(words.bounds) - 1), np.diff(words.bounds))
    pairs = np.unique(texts * (len(words.distinct) + 1) + words.places)
    spread = np.bincount(pairs % (len(words.distinct) + 1), minlength=len(words.distinct))
    for word, number in zip(words.distinct, spread.tolist(), strict=True):
        counts.update(dict.fromkeys(word_features(word), number))
        if len(counts) > MOST_COUNTED:
            counts = drop_rarest(counts)
    shared = {feature: number for feature, number in counts.items() if number > 1} or dict(counts)
    ranked = sorted(shared, key=lambda feature: (not feature.startswith("="), -shared[feature], feature))
    return {feature: row for row, feature in enumerate(halves(ranked) or ["="])}


def drop_rarest(counts: Counter[str]) -> Counter[str]:
    """The counts above the lowest level that leaves at most half as many features as are counted together."""
    levels = Counter(counts.values())
    left, level = len(counts), 0
    while left > MOST_COUNTED // 2:
        level += 1
        left -= levels[level]
    return Counter({feature: number for feature, number in counts.items() if number > level})


def halves(ranked: list[str]) -> list[str]:
    """As many words as runs of characters, where there are too many."""
    words = sum(feature.startswith("=") for feature in ranked)
    most = max(MOST_FEATURES // 2, MOST_FEATURES - (len(ranked) - words))
    return [*ranked[: min(words, most)], *ranked[words:]][:MOST_FEATURES]


def weigh(features: NDArray[np.int32], bounds: NDArray[np.int64], width: int) -> csr_array:
    """A feature that occurs often counts little more than one that occurs once: 1 + log2 of its count."""
    counts = csr_array((np.ones(len(features)), features, bounds), (len(bounds) - 1, width))
    counts.sum_duplicates()
    counts.data = np.rint((1 + np.log2(counts.data)) * STEPS) / STEPS
    return counts


def unit_csr(rows: csr_array) -> csr_array:
    norms = np.sqrt(rows.multiply(rows).sum(axis=1))
    return csr_array(diags_array(1 / np.maximum(norms, 1e-12)) @ rows)


def main_directions(rows: csr_array, most: int, advance: Progress) -> NDArray[np.float64]:
    """(f, d): the first right singular vectors, by a randomized SVD with a fixed seed, and with fixed signs."""
    size = min(most, *rows.shape)
    if not size:
        return np.zeros((rows.shape[1], 1))
    width = min(size + SPARE, *rows.shape)
    basis = np.random.default_rng(0).standard_normal((rows.shape[1], width))
    transposed = csr_array(rows.T)
    for number in range(ROUNDS):
        basis, _ = np.linalg.qr(transposed @ (rows @ basis))
        advance(0.3 + 0.6 * (number + 1) / ROUNDS)
    _, _, right = np.linalg.svd(rows @ basis, full_matrices=False)
    directions = basis @ right[:size].T
    largest = directions[np.abs(directions.round(8)).argmax(0), np.arange(directions.shape[1])]
    signed: NDArray[np.float64] = directions * np.where(largest < 0, -1.0, 1.0)
    return signed


def quantize(vectors: NDArray[np.float64]) -> tuple[NDArray[np.uint16], NDArray[np.int8]]:
    """A factor for each row and small whole numbers; their products are below 2**15, exact to add."""
    scales = np.abs(vectors).max(1, initial=0) / 127
    unit = max(scales.max(initial=0), 1e-12) / 255
    factors = np.clip(np.rint(scales / unit), 1, 255)
    numbers = np.clip(np.rint(vectors / (factors * unit)[:, None]), -127, 127)
    return factors.astype(np.uint16), numbers.astype(np.int8)
