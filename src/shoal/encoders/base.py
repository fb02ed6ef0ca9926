"""The interface of encoders."""

from collections.abc import Callable, Sequence
from typing import Protocol

from shoal.columns import Points

__all__ = ["Encoder", "Progress"]

Progress = Callable[[float], None]
"""Receives the fraction that is done; may raise to stop."""


class Encoder(Protocol):
    """Turns texts into vectors. The same text gives the same vector, whatever other texts are encoded with it."""

    @property
    def name(self) -> str:
        """The encoder and its version, as results record it, such as `static@1`."""
        ...

    @property
    def dimension(self) -> int:
        """The numbers of a vector."""
        ...

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts; nothing is cut.

        Parameters
        ----------
        texts : sequence of str, length n
        progress : callable, optional
            Receives the fraction that is done, and may raise to stop.

        Returns
        -------
        (n, d) float32
            Rows of norm 1; 0 for a text without any known word.

        Raises
        ------
        ShoalError
            If the encoder cannot be reached or its answer is not valid.
        """
        ...
