"""The static encoder: the same bits for a text, whatever is beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from shoal.encoders import static
from shoal.encoders.batches import text_batches
from shoal.encoders.static import StaticEncoder
from shoal.encoders.sums import LONGEST_WINDOW
from shoal.encoders.table import BUNDLED_TABLE, load_bundled_table, read_table

TEXTS = [
    "How do I return a broken kettle?",
    "I want to send this kettle back, it doesn't work",
    "What's the weather like in Lisbon tomorrow?",
    "Übermäßig naïve café",
    "",
    "日本語だけ",
    "tax " * 5000,
    "\ud800 lone surrogate",
]


@pytest.fixture(scope="module")
def encoder() -> StaticEncoder:
    return StaticEncoder()


def test_texts_of_one_meaning_are_closer_than_others(encoder: StaticEncoder) -> None:
    back, same, weather = encoder.encode(TEXTS[:3])
    assert back @ same > 0.5 > back @ weather + 0.2


def test_a_vector_does_not_depend_on_the_texts_beside_it(encoder: StaticEncoder) -> None:
    together = encoder.encode(TEXTS)
    alone = np.concatenate([StaticEncoder().encode([text]) for text in TEXTS])
    assert np.array_equal(together, alone)
    assert np.array_equal(encoder.encode(TEXTS[::-1])[::-1], together)


def test_rows_have_norm_one_or_no_known_word(encoder: StaticEncoder) -> None:
    norms = np.linalg.norm(encoder.encode(TEXTS), axis=1)
    assert norms == pytest.approx([1, 1, 1, 1, 0, 0, 1, 1], abs=1e-6)


def test_the_order_of_words_changes_no_bit(encoder: StaticEncoder) -> None:
    words = ("the quick brown fox jumps over a lazy dog near reimbursement 1099 forms " * 300).split()
    first, second = encoder.encode([" ".join(words), " ".join(sorted(words))])
    assert np.array_equal(first, second)


def test_the_end_of_a_long_text_is_read(encoder: StaticEncoder) -> None:
    long = "kettle " * (LONGEST_WINDOW * 3)
    plain, tail = encoder.encode([long, long + "submarine " * LONGEST_WINDOW * 3])
    submarine = encoder.encode(["submarine"])[0]
    assert tail @ submarine > plain @ submarine + 0.3


def test_a_batch_is_bounded_by_texts_and_by_characters() -> None:
    texts = ["a" * 10] * 7 + ["b" * 100] + ["c"] * 5
    batches = list(text_batches(texts, most_texts=4, most_characters=30))
    assert [texts[rows] for rows in batches] == [
        ["a" * 10] * 3,
        ["a" * 10] * 3,
        ["a" * 10],
        ["b" * 100],
        ["c"] * 4,
        ["c"],
    ]


def test_encoding_can_be_stopped(encoder: StaticEncoder) -> None:
    def stop(done: float) -> None:
        assert 0 < done <= 1
        raise InterruptedError

    with pytest.raises(InterruptedError):
        encoder.encode(TEXTS, stop)


def test_the_bundled_table_is_the_published_one(encoder: StaticEncoder) -> None:
    table = load_bundled_table()
    assert (encoder.name, encoder.dimension) == ("static@1", 256)
    assert np.array_equal(read_table(BUNDLED_TABLE.read_bytes()).vectors, table.vectors)
    assert np.abs(table.vectors).max() * LONGEST_WINDOW < 2**31


def test_the_bundled_table_is_small_and_states_its_origin() -> None:
    assert BUNDLED_TABLE.stat().st_size < 10_000_000
    origin = (BUNDLED_TABLE.parent / "ORIGIN.md").read_text()
    assert "MiniLM" in origin and "Apache" in origin and (BUNDLED_TABLE.parent / "LICENSE-WordNet.txt").is_file()


def test_distinct_words_are_summed_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one card and two loans", "", "rain in the mountains, rain in town", "two cards"]
    whole = StaticEncoder().encode(texts)
    sizes = list[int]()
    vectors = StaticEncoder.word_vectors

    def measure(self: StaticEncoder, words: Sequence[str]) -> Any:
        sizes.append(len(words))
        return vectors(self, words)

    monkeypatch.setattr(static, "WORDS_AT_ONCE", 3)
    monkeypatch.setattr(StaticEncoder, "word_vectors", measure)

    assert StaticEncoder().encode(texts).tobytes() == whole.tobytes()
    assert len(sizes) > 2 and max(sizes) <= 3
