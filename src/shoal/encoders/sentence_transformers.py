"""Models of sentence-transformers, from their hub or a folder."""

from collections.abc import Sequence
from typing import Any, Final

from shoal.columns import Points
from shoal.encoders.base import Progress
from shoal.encoders.batches import encode_batches
from shoal.encoders.missing import import_optional, load_model
from shoal.encoders.model_files import name_model
from shoal.encoders.windows import average_windows, split_windows

__all__ = ["SentenceTransformersEncoder", "open_model"]

MOST_WINDOWS: Final = 256
CHARACTERS_IN_TOKEN: Final = 2
"""Fewer than in most languages: a window is rather too short than cut."""
USUAL_TOKENS: Final = 256


def open_model(address: str) -> "SentenceTransformersEncoder":
    """Open a model by name or folder. Raises InvalidField if the package is missing or the model can't be loaded."""
    package = import_optional("sentence_transformers", "sentence-transformers")
    return SentenceTransformersEncoder(
        name_model("sentence-transformers", address), load_model(package.SentenceTransformer, address)
    )


class SentenceTransformersEncoder:
    """A model with `encode`, `max_seq_length` and `get_sentence_embedding_dimension`.

    Parameters
    ----------
    name : str
    model : object
    """

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self.model = model

    @property
    def dimension(self) -> int:
        return int(self.model.get_sentence_embedding_dimension())

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts: long ones in windows, whose vectors are averaged. See `Encoder`."""
        size = (self.model.max_seq_length or USUAL_TOKENS) * CHARACTERS_IN_TOKEN
        windows, owners = split_windows(texts, size)

        def encode(batch: Sequence[str]) -> Points:
            vectors: Points = self.model.encode(batch, show_progress_bar=False, convert_to_numpy=True)
            return vectors

        vectors = encode_batches(windows, self.dimension, encode, progress, most_texts=MOST_WINDOWS)
        return average_windows(vectors, [len(window) for window in windows], owners, len(texts))
