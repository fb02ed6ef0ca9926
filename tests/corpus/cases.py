"""The documents of the corpus, and what is expected of a file of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BODIES", "CASES", "DIMENSION", "IDS", "NUMBERS", "ROWS", "TITLES", "TOPICS", "UUIDS", "VECTORS", "Case", "case",
    "numpy_text",
]  # fmt: skip

_TITLES: Final = {
    "rain": ("Rain in the morning", "Will it rain today", "Rain and wind tonight", "How much rain fell"),
    "bread": ("How to bake bread", "Bake bread without yeast", "Bread to bake at home", "When is bread done"),
    "flight": ("Book a cheap flight", "Change my flight", "Which flight is late", "Flight to the coast"),
}
_BODIES: Final = {
    "rain": "The forecast says that rain comes over the hills, {}",
    "bread": "The oven is hot and the bread dough has risen, {}",
    "flight": "The flight leaves from the second gate, {}",
}
_ENDS: Final = ("once", "twice", "again", "soon", "later", "early", "perhaps", "surely")

ROWS: Final = 24
DIMENSION: Final = 12
TOPICS: Final = [list(_TITLES)[row % 3] for row in range(ROWS)]
TITLES: Final = [f"{_TITLES[topic][row // 3 % 4]}, {_ENDS[row // 3]}" for row, topic in enumerate(TOPICS)]
BODIES: Final = [_BODIES[topic].format(_ENDS[row // 3]) for row, topic in enumerate(TOPICS)]
IDS: Final = [f"T-{1000 + 7 * row % 24}" for row in range(ROWS)]
NUMBERS: Final = [5000 - 3 * row for row in range(ROWS)]
UUIDS: Final = [f"6f1c2a9{row % 10}-88{row:02d}-4c5e-9b7a-0123456789ab" for row in range(ROWS)]
VECTORS: Final = (
    np.eye(3, DIMENSION)[[row % 3 for row in range(ROWS)]]
    + np.random.default_rng(17).normal(0, 0.04, (ROWS, DIMENSION))
).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file of the corpus.

    Parameters
    ----------
    name
        What is special about it.
    write
        Writes it into a folder, and returns the arguments of the command that stand for it.
    ids
        The ids in the order of the rows; None where they are the numbers of the rows.
    text
        The columns that give the clusters their names; empty where there are none.
    rows
        Which of the documents are clustered.
    notes
        Words of each of the notes that the user sees, in their order; there are no others.
    refused
        Words of the one line on stderr; empty where the file is read.
    """

    name: str
    write: Callable[[Path], Sequence[str]]
    ids: Sequence[object] | None = None
    text: Sequence[str] = ()
    rows: Sequence[int] = range(ROWS)
    notes: Sequence[str] = ()
    refused: Sequence[str] = ()


CASES: Final[dict[str, Case]] = {}
Writer = Callable[[Path], str | Sequence[str]]


def case(
    *,
    ids: Sequence[object] | None = None,
    text: Sequence[str] = (),
    rows: Sequence[int] = range(ROWS),
    notes: Sequence[str] = (),
    refused: Sequence[str] = (),
) -> Callable[[Writer], Writer]:
    """Register a function that writes a file and returns its name, or the arguments of the command."""

    def register(write: Writer) -> Writer:
        name = write.__name__

        def arguments(folder: Path) -> Sequence[str]:
            path = write(folder)
            return [path] if isinstance(path, str) else path

        assert name not in CASES, name
        CASES[name] = Case(name=name, write=arguments, ids=ids, text=text, rows=rows, notes=notes, refused=refused)
        return write

    return register


def numpy_text(vector: NDArray[np.float32]) -> str:
    """As `str(array)` prints it: without commas, broken into lines, and cut beyond a thousand numbers."""
    return str(vector)
