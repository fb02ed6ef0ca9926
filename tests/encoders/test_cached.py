"""Vectors by content: what was encoded once isn't encoded again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shoal.columns import Points
from shoal.encoders import Progress, cache_vectors, open_encoder


class CountingEncoder:
    """Counts texts that it encodes, as a model that costs money would."""

    dimension = 3

    def __init__(self, name: str = "costly@1") -> None:
        self.name = name
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        self.encoded += texts
        return np.array([[len(text), 1, 2] for text in texts], np.float32)


def test_each_distinct_text_is_encoded_once_ever(tmp_path: Path) -> None:
    first, second = CountingEncoder(), CountingEncoder()
    vectors = cache_vectors(first, tmp_path).encode(["a", "bb", "a"])
    again = cache_vectors(second, tmp_path).encode(["bb", "ccc", "a"])
    assert first.encoded == ["a", "bb"] and second.encoded == ["ccc"]
    assert vectors[:, 0].tolist() == [1, 2, 1] and again[:, 0].tolist() == [2, 3, 1]


def test_vectors_of_another_encoder_are_not_taken(tmp_path: Path) -> None:
    other = CountingEncoder("costly@2")
    cache_vectors(CountingEncoder(), tmp_path).encode(["a"])
    cache_vectors(other, tmp_path).encode(["a"])
    assert other.encoded == ["a"]


def test_batches_before_a_failure_are_not_paid_twice(tmp_path: Path) -> None:
    class Failing(CountingEncoder):
        def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
            if len(self.encoded) >= 512:
                raise InterruptedError
            return super().encode(texts)

    texts = [f"text {number}" for number in range(1000)]
    broken, whole = Failing(), CountingEncoder()
    try:
        cache_vectors(broken, tmp_path).encode(texts)
    except InterruptedError:
        cache_vectors(whole, tmp_path).encode(texts)
    assert len(broken.encoded) == 512 and len(whole.encoded) == 488


def test_the_encoder_in_the_box_is_faster_than_a_disk(tmp_path: Path) -> None:
    encoder = open_encoder("static")
    assert cache_vectors(encoder, tmp_path) is encoder
