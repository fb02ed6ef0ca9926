"""MiniLM, the teacher, as a forward pass in NumPy: six layers, without torch."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Floats = NDArray[np.float32]

HEADS = 12
LONGEST = 96
TOKENS_IN_BATCH = 4096


def read_tensors(path: Path) -> dict[str, Floats]:
    """Read the float32 tensors of a safetensors file: a length, a JSON header, raw bytes."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            flat = np.frombuffer(content[8 + size + start : 8 + size + end], np.float32)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def normalize(rows: Floats, scale: Floats, shift: Floats) -> Floats:
    """Layer normalisation of BERT."""
    rows = rows - rows.mean(1, keepdims=True)
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows)[:, None] / rows.shape[1] + 1e-12)
    return rows * scale + shift


def activate(rows: Floats) -> Floats:
    """GELU by its usual tanh form, which differs from the exact one by less than 0.0005."""
    inner = rows * rows
    inner *= np.float32(0.044715)
    inner += 1
    inner *= rows
    inner *= np.float32(0.7978845608)
    np.tanh(inner, out=inner)
    inner += 1
    inner *= rows
    inner *= np.float32(0.5)
    return inner


class Teacher:
    """all-MiniLM-L6-v2 from a folder with `model.safetensors` and `tokenizer.json`."""

    def __init__(self, folder: Path) -> None:
        self.weights = read_tensors(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONGEST)

    def linear(self, name: str, rows: Floats) -> Floats:
        out: Floats = rows @ self.weights[f"{name}.weight"].T
        out += self.weights[f"{name}.bias"]
        return out

    def norm(self, name: str, rows: Floats) -> Floats:
        return normalize(rows, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def layer(self, number: int, rows: Floats, length: int) -> Floats:
        """One layer for texts of equal length, whose tokens follow one another in `rows`."""
        name = f"encoder.layer.{number}"
        query, key, value = (
            self.linear(f"{name}.attention.self.{part}", rows).reshape(-1, length, HEADS, 32).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        weights = query @ key.transpose(0, 1, 3, 2)
        weights /= np.float32(np.sqrt(32))
        weights -= weights.max(-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(-1, keepdims=True)
        mixed = np.asarray((weights @ value).transpose(0, 2, 1, 3), np.float32).reshape(len(rows), -1)
        added = self.linear(f"{name}.attention.output.dense", mixed)
        rows = self.norm(f"{name}.attention.output.LayerNorm", np.add(rows, added))
        inner = activate(self.linear(f"{name}.intermediate.dense", rows))
        return self.norm(f"{name}.output.LayerNorm", rows + self.linear(f"{name}.output.dense", inner))

    def forward(self, ids: NDArray[np.int64]) -> Floats:
        """Mean vectors of norm 1 for texts of equal length, (n, length) ids of tokens."""
        table = self.weights
        rows: Floats = (
            table["embeddings.word_embeddings.weight"][ids]
            + table["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + table["embeddings.token_type_embeddings.weight"][0]
        ).reshape(ids.size, -1)
        rows = self.norm("embeddings.LayerNorm", rows)
        for number in range(6):
            rows = self.layer(number, rows, ids.shape[1])
        means: Floats = rows.reshape(*ids.shape, -1).mean(1)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return means

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Rows and their vectors, batch by batch, texts of equal length together."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]
        lengths = np.array([len(row) for row in ids])
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            step = max(1, TOKENS_IN_BATCH // int(length))
            for first in range(0, len(rows), step):
                batch = rows[first : first + step]
                yield batch, self.forward(np.array([ids[row] for row in batch]))
