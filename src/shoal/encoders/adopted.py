"""Objects of the caller's as encoders: whatever has `encode(texts)`, such as a model of sentence-transformers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.columns import Points
from shoal.encoders.base import Encoder, Progress
from shoal.encoders.batches import text_batches
from shoal.errors import InvalidField

__all__ = ["AdoptedEncoder", "adopt_encoder"]

_MOST_TEXTS = 1024


class AdoptedEncoder:
    """An object of the caller's, checked and called batch by batch.

    Parameters
    ----------
    model : object
        Its `encode` takes a list of texts and returns (n, d) numbers; what it cuts of a text is its own affair.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._dimension = 0

    @property
    def name(self) -> str:
        """What the object calls itself, else its class."""
        own = getattr(self._model, "name", None)
        return own if isinstance(own, str) and own else type(self._model).__name__

    @property
    def dimension(self) -> int:
        if not self._dimension:
            self._dimension = self._call(["word"]).shape[1]
        return self._dimension

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode texts. Raises InvalidField where the object does not return one row of finite numbers a text."""
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for rows in text_batches(texts, _MOST_TEXTS):
            block = self._call(list(texts[rows]))
            if block.shape[1] != self.dimension:
                problem = f"returned rows of {block.shape[1]} numbers after rows of {self.dimension}"
                raise InvalidField("encoder", problem)
            vectors[rows] = block
            if progress is not None:
                progress(rows.stop / len(texts))
        return vectors

    def _call(self, texts: list[str]) -> Points:
        answer = self._model.encode(texts)
        try:
            block = np.asarray(answer, np.float32)
        except (TypeError, ValueError):
            raise _answer_error(len(texts), type(answer).__name__) from None
        if block.ndim != 2 or len(block) != len(texts) or not block.shape[1]:
            raise _answer_error(len(texts), f"an array of shape {block.shape}")
        if not np.isfinite(block).all():
            raise InvalidField("encoder", "returned numbers that are not finite")
        return block


def adopt_encoder(model: object) -> Encoder:
    """Return an object of the caller's as an encoder. Raises InvalidField for one without `encode`."""
    if not callable(getattr(model, "encode", None)):
        remedy = 'Name one, such as "static" or "corpus", or give an object whose encode(texts) returns (n, d) numbers.'
        raise InvalidField("encoder", "is neither a URI nor an encoder", value=type(model).__name__, remedy=remedy)
    if getattr(model, "uri", None) is not None:
        encoder: Any = model
        own: Encoder = encoder
        return own
    return AdoptedEncoder(model)


def _answer_error(count: int, received: str) -> InvalidField:
    return InvalidField("encoder", f"must return {count:,} rows of numbers, one a text, not {received}")
