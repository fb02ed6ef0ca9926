"""Long texts in windows that a model can read, and the average of their vectors."""

from collections.abc import Sequence

import numpy as np

from shoal.columns import Points

__all__ = ["average_windows", "split_windows"]


def split_windows(texts: Sequence[str], size: int) -> tuple[list[str], list[int]]:
    """Cut texts at spaces, or within a word that is longer than a window. Empty texts have no window.

    Parameters
    ----------
    texts : sequence of str
    size : int
        Characters of a window, at most.

    Returns
    -------
    list of str, list of int
        Windows, and the text that each is of.
    """
    windows: list[str] = []
    owners: list[int] = []
    for row, text in enumerate(texts):
        parts = cut(text, size)
        windows += parts
        owners += [row] * len(parts)
    return windows, owners


def cut(text: str, size: int) -> list[str]:
    """Every character but the spaces between windows is in one of them."""
    parts = []
    start = 0
    while start < len(text):
        end = start + size
        space = text.rfind(" ", start + size // 2, end + 1) if end < len(text) else -1
        end = space if space > start else min(end, len(text))
        if part := text[start:end].strip():
            parts.append(part)
        start = end
    return parts


def average_windows(vectors: Points, weights: Sequence[float], owners: Sequence[int], count: int) -> Points:
    """The mean of each text's windows by their lengths, of norm 1.

    Parameters
    ----------
    vectors : (w, d) float32
    weights : sequence of float, length w
    owners : sequence of int, length w
        The text of each window, ascending.
    count : int
        Texts.

    Returns
    -------
    (count, d) float32
        0 for a text without a window.
    """
    sums = np.zeros((count, vectors.shape[1]))
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)[:, None]
    np.add.at(sums, np.asarray(owners, np.int64), vectors / np.maximum(norms, 1e-12) * np.asarray(weights)[:, None])
    lengths = np.linalg.norm(sums, axis=1)[:, None]
    return np.asarray(sums / np.maximum(lengths, 1e-12), np.float32)
