"""Encoders by URI, such as `static` or `openai:MODEL@URL`."""

import difflib
from collections.abc import Callable, Sequence
from typing import Final

from shoal.encoders.base import Encoder, FittedEncoder, Parts, Progress
from shoal.errors import InvalidField

__all__ = ["ENCODERS", "estimate_encoding", "fit_encoder", "needs_fit", "open_encoder", "restore_encoder"]


def open_static(address: str) -> Encoder:
    from shoal.encoders.static import StaticEncoder

    return StaticEncoder()


def open_corpus(address: str) -> Encoder:
    from shoal.encoders.corpus import CorpusEncoder

    return CorpusEncoder()


def open_sentence_transformers(address: str) -> Encoder:
    from shoal.encoders.sentence_transformers import open_model

    return open_model(address)


def open_model2vec(address: str) -> Encoder:
    from shoal.encoders.model2vec import open_model

    return open_model(address)


def open_onnx(address: str) -> Encoder:
    from shoal.encoders.onnx import open_folder

    return open_folder(address)


def open_endpoint(address: str) -> Encoder:
    from shoal.encoders.endpoint import open_model

    return open_model(address)


ENCODERS: Final[dict[str, tuple[str, Callable[[str], Encoder]]]] = {
    "static": ("", open_static),
    "corpus": ("", open_corpus),
    "sentence-transformers": ("MODEL_OR_FOLDER", open_sentence_transformers),
    "model2vec": ("MODEL_OR_FOLDER", open_model2vec),
    "onnx": ("FOLDER", open_onnx),
    "openai": ("MODEL or MODEL@URL", open_endpoint),
}
"""What follows the colon, if anything does, and what opens it; nothing is imported before it is asked for."""
TEXTS_A_SECOND: Final = {"static": 25_000.0, "corpus": 8_000.0, "model2vec": 10_000.0, "openai": 200.0}
MODEL_TEXTS_A_SECOND: Final = 30.0
USUAL_CHARACTERS: Final = 100
FIXED_BYTES: Final = 200_000_000
LEARNED_CHARACTERS: Final = 5_000_000
LEARNING_SECONDS, LEARNING_BYTES = 2e-5, 400
"""For each character that a fitted encoder learns from: those of scripts without spaces, the costliest."""
MOST_CHARACTERS: Final = 20_000_000
"""That are read at a time."""


def open_encoder(uri: str) -> Encoder:
    """Open an encoder.

    Parameters
    ----------
    uri : str
        `static` (English, in the package), `corpus` (learned from the texts, any language; call its `fit` first),
        `sentence-transformers:MODEL_OR_FOLDER`, `model2vec:MODEL_OR_FOLDER`, `onnx:FOLDER` or `openai:MODEL@URL`.

    Returns
    -------
    Encoder

    Raises
    ------
    InvalidField
        If there is no such encoder, its package is not installed, or its model can't be read.
    """
    kind, _, address = uri.partition(":")
    if kind not in ENCODERS:
        raise InvalidField("encoder", "is not known", value=uri, remedy=suggest(kind))
    expected, opener = ENCODERS[kind]
    if bool(expected) != bool(address):
        usual = f"{kind}:{expected}" if expected else kind
        raise InvalidField(
            "encoder", "is not complete" if expected else "has too much", value=uri, remedy=f"Write {usual}."
        )
    return opener(address)


def suggest(kind: str) -> str:
    near = difflib.get_close_matches(kind.lower(), ENCODERS, 1)
    names = ", ".join(f"{name}:{rest}" if rest else name for name, (rest, _) in ENCODERS.items())
    return f"{f'Did you mean {near[0]}? ' if near else ''}Known are {names}."


def restore_encoder(uri: str, parts: Parts) -> Encoder:
    """An encoder as it was when vectors were made with it.

    Parameters
    ----------
    uri : str
    parts : mapping of str to array
        What a fitted encoder's `parts` returned; empty for the others.

    Returns
    -------
    Encoder
    """
    from shoal.encoders.corpus import CorpusEncoder

    return CorpusEncoder.restore(parts) if uri == CorpusEncoder.uri else open_encoder(uri)


def needs_fit(encoder: Encoder) -> bool:
    """Whether an encoder learns from the texts before it encodes any."""
    return isinstance(encoder, FittedEncoder)


def fit_encoder(encoder: Encoder, texts: Sequence[str], progress: Progress | None = None) -> Encoder:
    """An encoder that has learned from these texts; one that needs no fit, unchanged.

    Parameters
    ----------
    encoder : Encoder
    texts : sequence of str
    progress : callable, optional

    Returns
    -------
    Encoder
    """
    return encoder.fit(texts, progress) if isinstance(encoder, FittedEncoder) else encoder


def estimate_encoding(encoder: Encoder, count: int, characters: int) -> tuple[float, int]:
    """What encoding will cost on this machine, roughly.

    Parameters
    ----------
    encoder : Encoder
    count : int
        Texts.
    characters : int
        Of all texts together.

    Returns
    -------
    float, int
        Seconds of one core, and bytes beside the texts and vectors.
    """
    kind = encoder.name.partition("@")[0].partition(":")[0]
    rate = TEXTS_A_SECOND.get(kind, MODEL_TEXTS_A_SECOND)
    learned = min(characters, LEARNED_CHARACTERS) if needs_fit(encoder) else 0
    seconds = max(count, characters / USUAL_CHARACTERS) / rate + learned * LEARNING_SECONDS
    return seconds, FIXED_BYTES + 2 * min(characters, MOST_CHARACTERS) + learned * LEARNING_BYTES
