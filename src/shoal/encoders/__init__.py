"""Encoders: texts to vectors, so that documents without vectors can be clustered."""

from shoal.encoders.adopted import adopt_encoder
from shoal.encoders.base import Encoder, FittedEncoder, Parts, Progress
from shoal.encoders.cached import cache_vectors
from shoal.encoders.choice import Choice, choose_encoder
from shoal.encoders.registry import (
    estimate_encoding,
    fit_encoder,
    needs_fit,
    open_encoder,
    restore_encoder,
)

__all__ = [
    "Choice",
    "Encoder",
    "FittedEncoder",
    "Parts",
    "Progress",
    "adopt_encoder",
    "cache_vectors",
    "choose_encoder",
]
__all__ += ["estimate_encoding", "fit_encoder", "needs_fit", "open_encoder", "restore_encoder"]
