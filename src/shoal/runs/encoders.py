"""The encoders that the operator permits, opened on first use, and what they make of documents."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from shoal.columns import Points, Rows
from shoal.encoders import Encoder, fit_encoder, needs_fit, open_encoder
from shoal.errors import Cancelled, EncoderFailed, InvalidField, ShoalError
from shoal.labeling import readable
from shoal.records.text_encoding import EncodingMark, TextEncoding

__all__ = ["FITTED_DIMENSION", "Encoded", "PermittedEncoders", "hash_text"]

FITTED_DIMENSION: Final = 256
"""Vectors of a fitted encoder are padded with zeros to this dimension, since that of a name never changes."""


@contextmanager
def _encoder_errors() -> Iterator[None]:
    """Raise EncoderFailed for errors of an encoder, so that those of a store are not taken for them."""
    try:
        yield
    except (Cancelled, EncoderFailed):
        raise
    except ShoalError as error:
        raise EncoderFailed(error.message) from error


def hash_text(text: str) -> str:
    """Return a short hash of a text, for detecting changes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Encoded:
    """The vectors of some documents: `rows` (m,) of those that have one, `points` (m, d) and their marks."""

    rows: Rows
    points: Points
    marks: Sequence[EncodingMark]


@dataclass(slots=True)
class PermittedEncoders:
    """The encoders that collections may name, by URI; the first one is the default.

    No request can name another, so that none makes the server load a model or call an address.
    """

    permitted: Sequence[str] = ("static", "corpus")
    _opened: dict[str, Encoder] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def resolve(self, uri: object, path: str) -> str:
        """Return a permitted URI, the first one for None. Raises InvalidField for any other, naming `path`."""
        if uri is None and self.permitted:
            return self.permitted[0]
        if not isinstance(uri, str) or uri not in self.permitted:
            shown = ", ".join(self.permitted) or "none"
            remedy = f"Permitted: {shown}. The operator of the server permits others with SHOAL_ENCODERS."
            raise InvalidField(path, "is not an encoder that this server permits", value=uri, remedy=remedy)
        return uri

    def open(self, uri: str) -> Encoder:
        """Return an encoder, opened once. Raises InvalidField for one that is not permitted any more, and ShoalError
        where it cannot be opened."""
        self.resolve(uri, "feature_extractor.params.encoder")
        with self._lock:
            if uri not in self._opened:
                self._opened[uri] = open_encoder(uri)
            return self._opened[uri]

    def load(self, uri: str) -> Encoder:
        """Return an encoder to work with, as `open`, but raise EncoderFailed where it cannot be opened."""
        with _encoder_errors():
            return self.open(uri)

    def is_fitted_at_runs(self, uri: str) -> bool:
        """Whether an encoder learns from the texts of a whole collection."""
        return needs_fit(self.open(uri))

    def dimension(self, uri: str) -> int:
        """Return the dimension of the vectors that are stored."""
        encoder = self.open(uri)
        return FITTED_DIMENSION if needs_fit(encoder) else encoder.dimension

    def encode(self, encoding: TextEncoding, texts: Sequence[str], encoder: Encoder | None = None) -> Encoded:
        """Encode texts; those that are empty, or without any word that the encoder knows, get no vector.

        Raises EncoderFailed.
        """
        encoder = encoder or self.load(encoding.encoder)
        present = np.flatnonzero([bool(text and not text.isspace()) for text in texts])
        points = np.zeros((0, 1), np.float32)
        if len(present):
            with _encoder_errors():
                points = encoder.encode([readable(texts[row]) for row in present.tolist()])
        nonzero = points.any(axis=1)
        rows, points = present[nonzero].astype(np.int64), points[nonzero]
        if points.shape[1] < encoding.dimension:
            points = np.pad(points, ((0, 0), (0, encoding.dimension - points.shape[1])))
        if len(rows) and points.shape[1] != encoding.dimension:
            problem = f"makes vectors of {points.shape[1]} numbers, and the collection has {encoding.dimension}"
            raise EncoderFailed(f"The encoder {encoder.name} {problem}.")
        marks = [EncodingMark(encoder=encoder.name, text=hash_text(texts[row])) for row in rows.tolist()]
        return Encoded(rows, np.ascontiguousarray(points, np.float32), marks)

    def fit(self, uri: str, texts: Sequence[str]) -> Encoder:
        """Return an encoder that learned from these texts. Its name differs from that of any other fit.

        Raises EncoderFailed.
        """
        with _encoder_errors():
            self.resolve(uri, "feature_extractor.params.encoder")
            return fit_encoder(open_encoder(uri), list(map(readable, texts)))  # a new one: learning changes it
