"""Vectors that cost time or money, kept by content."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from shoal.columns import Points
from shoal.content_cache import ContentCache
from shoal.encoders.base import Encoder, Progress
from shoal.encoders.batches import encode_batches

__all__ = ["CachedEncoder", "cache_vectors"]

CHEAP: Final = ("static", "corpus", "model2vec")
"""Faster to compute than to look up."""
FILE: Final = "vectors.sqlite"
MOST_TEXTS: Final = 512


def cache_vectors(encoder: Encoder, folder: Path, largest: int = 2 << 30) -> Encoder:
    """An encoder that keeps its vectors in a folder, unless it is faster than a disk.

    Parameters
    ----------
    encoder : Encoder
    folder : Path
    largest : int, default 2 GiB
        Bytes on disk.

    Returns
    -------
    Encoder
    """
    if encoder.name.partition("@")[0].partition(":")[0] in CHEAP:
        return encoder
    return CachedEncoder(encoder, ContentCache(folder / FILE, largest))


class CachedEncoder:
    """Asks an encoder only for the vectors of texts that it has not encoded before.

    Parameters
    ----------
    encoder : Encoder
    cache : ContentCache
    """

    def __init__(self, encoder: Encoder, cache: ContentCache) -> None:
        self.encoder = encoder
        self.cache = cache

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def dimension(self) -> int:
        return self.encoder.dimension

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts, each distinct one once at most, each batch kept as soon as it is there. See `Encoder`."""
        return encode_batches(texts, self.dimension, self.encode_batch, progress, most_texts=MOST_TEXTS)

    def encode_batch(self, texts: Sequence[str]) -> Points:
        keys = [content_key(self.name, text) for text in texts]
        size = 4 * self.dimension
        entries = {key: value for key, value in self.cache.get_many(keys).items() if len(value) == size}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in entries}
        if missing:
            rows = self.encoder.encode(list(missing.values())).astype("<f4")
            fresh = {key: row.tobytes() for key, row in zip(missing, rows, strict=True)}
            self.cache.put_many(fresh)
            entries |= fresh
        return np.frombuffer(b"".join(entries[key] for key in keys), "<f4").reshape(len(keys), -1)


def content_key(name: str, text: str) -> bytes:
    """SHA-256 of the encoder and the text."""
    return hashlib.sha256(f"{name}\0{text}".encode("utf-8", "surrogatepass")).digest()
