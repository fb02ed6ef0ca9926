"""The encoder that made the vectors of the documents compares names with them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from shoal.analysis.naming import choose_phrase_encoder
from shoal.columns import Points
from shoal.encoders import open_encoder
from shoal.errors import Cancelled, Unavailable
from shoal.labeling import Brief, Budget, Partition, WordNamer
from shoal.labeling.base import Progress

TEXTS = [
    f"{verb} my {thing}" for thing in ("credit card", "savings account") for verb in ("block", "open", "find", "see")
]
NAMER = WordNamer(choose_encoder=choose_phrase_encoder)


class Recorder:
    """The bundled encoder, which keeps what it is given, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.texts = list[str]()
        self._error, self._encoder = error, open_encoder("static")

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        self.texts += texts
        if self._error is not None:
            raise self._error
        return self._encoder.encode(texts)


def brief(encoder: Recorder | None) -> Brief:
    points = open_encoder("static").encode(TEXTS)
    labels = np.repeat(np.arange(2, dtype=np.int32), 4)
    return Brief(TEXTS, [Partition(labels, 2, np.stack([points[:4].mean(0), points[4:].mean(0)]))], 0, points, encoder)


def test_the_encoder_of_the_vectors_reads_phrases_and_no_document_again() -> None:
    encoder = Recorder()
    names = NAMER.name(brief(encoder), Budget())

    assert any(name.label.casefold() in encoder.texts or name.label in encoder.texts for name in names[0])
    assert not set(TEXTS) & set(encoder.texts)


@pytest.mark.parametrize("error", [Unavailable("The server of the encoder is gone.", 1), RuntimeError("out of memory")])
def test_names_are_made_without_an_encoder_that_fails(error: Exception) -> None:
    failing = Recorder(error)

    assert NAMER.name(brief(failing), Budget()) == NAMER.name(brief(None), Budget())
    assert failing.texts


def test_without_vectors_names_are_compared_by_the_bundled_encoder() -> None:
    with_encoder, without = (replace(brief(encoder), points=None) for encoder in (Recorder(), None))

    assert NAMER.name(with_encoder, Budget()) == NAMER.name(without, Budget())


def test_an_error_of_progress_is_not_one_of_the_encoder() -> None:
    def fail(fraction: float) -> None:
        raise Unavailable("The store is gone.", 1)

    with pytest.raises(Unavailable):
        NAMER.name(brief(Recorder()), Budget(), fail)


def test_a_cancelled_run_is_not_named() -> None:
    with pytest.raises(Cancelled):
        NAMER.name(brief(Recorder(Cancelled("Stopped."))), Budget())
