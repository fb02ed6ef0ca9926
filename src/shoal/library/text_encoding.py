"""What made the vectors of a clustering from its texts, and encodes further ones in the same way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from shoal.columns import Points
from shoal.encoders import (
    Encoder,
    FittedEncoder,
    adopt_encoder,
    cache_vectors,
    choose_encoder,
    estimate_encoding,
    fit_encoder,
    open_encoder,
    restore_encoder,
)
from shoal.engine.plan import Progress, ignore_progress
from shoal.errors import InvalidField
from shoal.labeling import readable
from shoal.library.cache_folder import cache_folder
from shoal.scalars import unwrap

__all__ = ["EncodingPlan", "TextEncoding", "encode_texts", "plan_encoding", "prepare_encoder"]

_CALLERS_OWN: Final = "object"
"""The URI of an encoder that is an object of the caller, which cannot be opened again."""


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """What made the vectors of a clustering, and what encodes further texts in the same way.

    Parameters
    ----------
    uri : str
        As `shoal.encoders.open_encoder` takes it; "object" for an encoder of the caller's.
    name : str
        The encoder and its version.
    dimension : int
    parts : mapping
        What an encoder that was fitted to the texts learned; empty for others.
    opened : Encoder, optional
        None where it was saved, until it is needed.
    """

    uri: str
    name: str
    dimension: int
    parts: Mapping[str, Any] = field(default_factory=dict)
    opened: Encoder | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, uri: str, encoder: Encoder) -> "TextEncoding":
        """Describe an encoder that is ready."""
        parts = dict(encoder.parts()) if isinstance(encoder, FittedEncoder) else {}
        return cls(uri, encoder.name, encoder.dimension, parts, encoder)

    @property
    def can_reopen(self) -> bool:
        """Whether it can be opened again from what is saved."""
        return self.uri != _CALLERS_OWN

    @property
    def phrase_encoder(self) -> Encoder | None:
        """What compares names with documents; None for one that learned from whole texts of this corpus alone."""
        return None if self.parts else self.opened

    def open(self) -> Encoder:
        """Return the encoder. Raises InvalidField where it cannot be opened, or is another version."""
        if self.opened is not None:
            return self.opened
        if not self.can_reopen:
            remedy = "Encode the texts with it, and give the vectors."
            raise InvalidField("texts", f"were encoded by an object in memory, {self.name}", remedy=remedy)
        encoder = restore_encoder(self.uri, self.parts) if self.parts else _open_cached(self.uri)
        if (encoder.name, encoder.dimension) != (self.name, self.dimension):
            problem = f"were encoded by {self.name}, and {self.uri} is {encoder.name} here"
            raise InvalidField("texts", problem, remedy="Cluster again, or give vectors.")
        return encoder

    def encode(self, texts: Sequence[str], progress: Callable[[float], None] | None = None) -> Points:
        """Return the vectors of what is readable in the texts. Raises InvalidField as `open` does."""
        return self.open().encode(list(map(readable, texts)), progress)

    def to_parts(self) -> dict[str, Any]:
        """Return what is saved of it."""
        return {"uri": self.uri, "name": self.name, "dimension": self.dimension, "parts": dict(self.parts)}

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any] | None) -> "TextEncoding | None":
        """Restore what `to_parts` returned. Raises TypeError, KeyError or ValueError for anything else."""
        if parts is None:
            return None
        uri, name, dimension, learned = parts["uri"], parts["name"], parts["dimension"], parts["parts"]
        if not (isinstance(uri, str) and isinstance(name, str) and isinstance(learned, dict)):
            raise TypeError("the encoder has no URI, name or parts")
        if not isinstance(dimension, int) or dimension < 1:
            raise ValueError("the encoder has no dimension")
        return cls(uri, name, dimension, learned)


def encode_texts(
    texts: Sequence[str], encoder: object, progress: Progress = ignore_progress
) -> tuple[Points, TextEncoding, list[str]]:
    """Encode texts with an encoder, by URI or an object; None chooses one for the language of the texts.

    Returns the vectors, what made them, and sentences for the user. Raises InvalidField for an encoder that does not
    exist or is not installed, and ShoalError where it fails.
    """
    progress("encode", 0.0)
    read = list(map(readable, texts))
    encoding, notes = _prepare(read, encoder)
    return encoding.open().encode(read, partial(progress, "encode")), encoding, notes


def prepare_encoder(texts: Sequence[str], encoder: object) -> tuple[TextEncoding, list[str]]:
    """Open an encoder, and let it learn from the texts if it does; None chooses one. Also returns sentences for the
    user. Raises InvalidField."""
    return _prepare(list(map(readable, texts)), encoder)


def _prepare(texts: Sequence[str], encoder: object) -> tuple[TextEncoding, list[str]]:
    """As `prepare_encoder`, for texts that are `readable` already."""
    notes = list[str]()
    encoder = unwrap(encoder)
    if encoder is None:
        choice = choose_encoder(texts)
        encoder, notes = choice.uri, [choice.reason] if choice.reason else []
    if isinstance(encoder, str):
        return TextEncoding.of(encoder, fit_encoder(_open_cached(encoder), texts)), notes
    return TextEncoding.of(
        str(getattr(encoder, "uri", _CALLERS_OWN)), fit_encoder(adopt_encoder(encoder), texts)
    ), notes


def _open_cached(uri: str) -> Encoder:
    """Open an encoder that keeps the vectors it made, by content, where that takes less time than making them."""
    return cache_vectors(open_encoder(uri), cache_folder())


@dataclass(frozen=True, slots=True)
class EncodingPlan:
    """What encoding texts would cost: `cpu_seconds` on one core, and `bytes` beside the vectors."""

    name: str
    dimension: int
    cpu_seconds: float
    bytes: float


def plan_encoding(texts: Sequence[str], encoder: object) -> EncodingPlan:
    """Estimate what `encode_texts` would cost. Raises InvalidField as it does."""
    encoder = unwrap(encoder)
    uri = choose_encoder(texts, readable).uri if encoder is None else encoder
    opened = open_encoder(uri) if isinstance(uri, str) else adopt_encoder(uri)
    seconds, size = estimate_encoding(opened, len(texts), sum(map(len, texts)))
    return EncodingPlan(opened.name, opened.dimension, seconds, size)
