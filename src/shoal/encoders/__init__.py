"""Encoders: texts to vectors, so that documents without vectors can be clustered."""

from shoal.encoders.base import Encoder, Progress

__all__ = ["Encoder", "Progress"]
