"""Fits a vector to each piece, so that the mean over a text's pieces points where the teacher's vector does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float32]

BATCH = 256
WARM_UP = 100
MEMORY, SQUARED_MEMORY = 0.9, 0.99
TEMPERATURE = 0.05
RANKING = 0.3
"""Of the loss over the likeness of a batch's texts to one another, beside that over directions."""


@dataclass(frozen=True)
class Plan:
    """Passes over all texts, the highest rate of learning, and the seed of the order."""

    passes: float
    rate: float
    seed: int


@dataclass
class Adam:
    """Adam whose moments change only where a batch has a gradient: most pieces are in few batches."""

    vectors: Floats
    steps: int
    rate: float

    def __post_init__(self) -> None:
        self.mean = np.zeros_like(self.vectors)
        self.square = np.zeros_like(self.vectors)
        self.step = 0

    def update(self, rows: NDArray[np.integer[Any]], gradient: Floats) -> None:
        self.step += 1
        self.mean[rows] = MEMORY * self.mean[rows] + (1 - MEMORY) * gradient
        self.square[rows] = SQUARED_MEMORY * self.square[rows] + (1 - SQUARED_MEMORY) * gradient**2
        mean = self.mean[rows] / (1 - MEMORY**self.step)
        square = self.square[rows] / (1 - SQUARED_MEMORY**self.step)
        rate = self.rate * min(1, self.step / WARM_UP) * max(0.02, 1 - self.step / self.steps)
        self.vectors[rows] -= rate * mean / (np.sqrt(square) + 1e-8)


def fit_vectors(counts: csr_array, targets: Floats, start: Floats, plan: Plan) -> Floats:
    """Fit.

    Parameters
    ----------
    counts : (n, p) sparse
        How often each text has each piece.
    targets : (n, d) float32
        Rows of norm 1.
    start : (p, d) float32
    plan : Plan

    Returns
    -------
    (p, d) float32
    """
    rows = np.flatnonzero(np.diff(counts.indptr) > 0)
    steps = int(plan.passes * (len(rows) // BATCH))
    adam = Adam(start.copy(), steps, plan.rate)
    batches = draw_batches(rows, np.random.default_rng(plan.seed))
    for _ in range(steps):
        batch = next(batches)
        chosen = csr_array(counts[batch])
        gradient = batch_gradient(np.asarray(chosen @ adam.vectors), targets[batch])
        pieces = np.unique(chosen.indices)
        adam.update(pieces, np.asarray(csr_array(chosen.T)[pieces] @ gradient))
    return adam.vectors


def draw_batches(rows: NDArray[np.int64], chance: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    while True:
        order = chance.permutation(rows)
        for first in range(0, len(order) - BATCH + 1, BATCH):
            yield order[first : first + BATCH]


def batch_gradient(sums: Floats, targets: Floats) -> Floats:
    """Of 1 - cosine to the targets, and of the cross-entropy between the teacher's and our nearest texts."""
    norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    units = sums / norms
    excess = likeness(units) - likeness(targets)
    gradient = (-targets + RANKING * (excess + excess.T) @ units) / len(sums)
    gradient -= units * (units * gradient).sum(1, keepdims=True)
    return np.asarray(gradient / norms, np.float32)


def likeness(units: Floats) -> Floats:
    """Each text's shares of likeness to the others of its batch."""
    scores = units @ units.T / TEMPERATURE
    np.fill_diagonal(scores, -np.inf)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
