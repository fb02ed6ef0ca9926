"""Sentence encoders as ONNX files, read by onnxruntime: `model.onnx` and `tokenizer.json` in one folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.encoders.base import Progress
from shoal.encoders.batches import encode_batches
from shoal.encoders.missing import import_optional
from shoal.encoders.model_files import name_model
from shoal.encoders.windows import average_windows
from shoal.errors import InvalidField

__all__ = ["OnnxEncoder", "open_folder"]

PLACES: Final = ("model.onnx", "onnx/model.onnx")
MOST_TOKENS: Final = 256
MOST_TEXTS: Final = 512


def open_folder(address: str) -> "OnnxEncoder":
    """Open a folder. Raises InvalidField if a package or a file is missing, or can't be read."""
    runtime = import_optional("onnxruntime", "onnx")
    tokenizers = import_optional("tokenizers", "onnx")
    folder = Path(address)
    model = next((folder / place for place in PLACES if (folder / place).is_file()), None)
    if model is None or not (folder / "tokenizer.json").is_file():
        raise InvalidField("encoder", "needs a folder with model.onnx and tokenizer.json", value=address)
    try:
        session = runtime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # noqa: BLE001 - both packages raise classes of their own
        raise InvalidField("encoder", f"can't be loaded ({type(error).__name__})", value=address) from None
    return OnnxEncoder(name_model("onnx", address), session, tokenizer)


class OnnxEncoder:
    """A model from token ids to a vector for each token, whose mean is a text's vector.

    Parameters
    ----------
    name : str
    session : onnxruntime.InferenceSession
    tokenizer : tokenizers.Tokenizer
    """

    def __init__(self, name: str, session: Any, tokenizer: Any) -> None:
        self.name = name
        self.session = session
        self.tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.enable_truncation(MOST_TOKENS)
        self.inputs = {entry.name for entry in session.get_inputs()}

    @property
    def dimension(self) -> int:
        return int(self.run([[0]]).shape[1])

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts: long ones in windows of 256 tokens, whose vectors are averaged. See `Encoder`."""
        return encode_batches(texts, self.dimension, self.encode_batch, progress, most_texts=MOST_TEXTS)

    def encode_batch(self, texts: Sequence[str]) -> Points:
        """Windows one by one, so that no padding changes a bit."""
        windows: list[list[int]] = []
        owners: list[int] = []
        for row, encoding in enumerate(self.tokenizer.encode_batch(list(texts))):
            parts = [part.ids for part in (encoding, *encoding.overflowing) if texts[row].strip() and part.ids]
            windows += parts
            owners += [row] * len(parts)
        if not windows:
            return np.zeros((len(texts), self.dimension), np.float32)
        vectors = np.concatenate([self.run([window]) for window in windows])
        return average_windows(vectors, [len(window) for window in windows], owners, len(texts))

    def run(self, ids: list[list[int]]) -> Points:
        """(n, d): the mean over the tokens of texts of equal length."""
        tokens = np.array(ids, np.int64)
        offered: dict[str, NDArray[np.int64]] = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        states = self.session.run(None, {name: offered[name] for name in offered if name in self.inputs})[0]
        return np.asarray(states.mean(axis=1) if states.ndim == 3 else states, np.float32)
