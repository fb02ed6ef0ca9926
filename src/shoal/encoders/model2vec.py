"""Static models of model2vec, from their hub or a folder: several languages, one vector for each token."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from shoal.columns import Points
from shoal.encoders.base import Progress
from shoal.encoders.batches import encode_batches
from shoal.encoders.missing import import_optional, load_model
from shoal.encoders.model_files import name_model

__all__ = ["Model2VecEncoder", "open_model"]

MOST_TEXTS: Final = 4_096


def open_model(address: str) -> "Model2VecEncoder":
    """Open a model by name or folder. Raises InvalidField if the package is missing or the model can't be loaded."""
    package = import_optional("model2vec", "model2vec")
    return Model2VecEncoder(name_model("model2vec", address), load_model(package.StaticModel.from_pretrained, address))


class Model2VecEncoder:
    """A static model; it reads a text of any length.

    Parameters
    ----------
    name : str
    model : object
        With `encode` and `dim`.
    """

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self.model = model

    @property
    def dimension(self) -> int:
        return int(self.model.dim)

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts. See `Encoder`."""

        def encode(batch: Sequence[str]) -> Points:
            vectors: Points = self.model.encode(list(batch), max_length=None, use_multiprocessing=False)
            return vectors

        vectors = encode_batches(texts, self.dimension, encode, progress, most_texts=MOST_TEXTS)
        norms = np.linalg.norm(vectors, axis=1)[:, None]
        return np.asarray(vectors / np.maximum(norms, np.float32(1e-12)), np.float32)
