"""Which column holds ids although it is not called so: its values are all different, and are codes or keys."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.scalars import format_cell

__all__ = ["DifferentColumns", "is_named_as_ids", "likely_ids", "repeating_ids", "taken_for_ids"]

_NAMES: Final = re.compile(
    r"(?:.*[_\-. ])?(?:ids?|uuid|guid|key|code|sku|asin|isbn|ean|gtin|ticket|number|no|nr|ref|reference|hash|slug|url|"
    r"uri|doi|pmid)",
    re.IGNORECASE,
)
_CAMEL: Final = re.compile(r".*[a-z](?:Id|ID|Uuid|UUID)")
_INDEX: Final = re.compile(r"Unnamed: \d+|__index_level_\d+__|index|level_0")
_CODE: Final = re.compile(r"(?=.*\d)[A-Za-z0-9_][\w.:/#@+\-]{0,127}")
_NO_CODE: Final = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*")
"""Amounts and dates: they may be all different, and are nobody's names."""
_LONGEST: Final = 256
_FEWEST: Final = 2


def likely_ids(columns: Mapping[str, Sequence[object]]) -> list[str]:
    """The columns that may hold ids by these first values, the likeliest first.

    A column is likely where it has no gap, no value twice, and a name as ids have them (`ticket`, `order_no`, `sku`,
    `articleId`) or, whatever its name, nothing but codes: short texts without spaces that have a digit.
    """
    ranked = [(rank, name) for name, values in columns.items() if (rank := _rank(name, values)) is not None]
    return [name for _, name in sorted(ranked, key=lambda one: one[0])]


class DifferentColumns:
    """The columns, of those with these names, that have had no gap and no value twice in the rows so far.

    It keeps 8 bytes of a digest for each value. Two values with one digest count as a value twice: of 10 million rows
    that happens in one of 370,000 files, and costs the column its place, not the rows.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._seen: dict[str, list[NDArray[np.uint64]]] = {name: [] for name in names}
        self._checked = dict.fromkeys(names, 0)

    @property
    def names(self) -> list[str]:
        """Those that are left."""
        return list(self._seen)

    def add(self, rows: Mapping[str, Sequence[object]]) -> None:
        """Look at the values of further rows, by column."""
        for name in self.names:
            values = rows[name]
            if not all(isinstance(value, (str, int, float)) for value in values):
                del self._seen[name]
                continue
            self._seen[name].append(np.array([_digest(value) for value in values], np.uint64))
            if sum(map(len, self._seen[name])) >= 2 * self._checked[name]:
                self._check(name)

    def ended(self) -> list[str]:
        """Those that are left after the last row."""
        for name in self.names:
            self._check(name)
        return self.names

    def _check(self, name: str) -> None:
        together = np.sort(np.concatenate(self._seen[name] or [np.zeros(0, np.uint64)]))
        self._seen[name], self._checked[name] = [together], len(together)
        if (together[1:] == together[:-1]).any():
            del self._seen[name]


def _digest(value: object) -> int:
    text = format_cell(value).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def taken_for_ids(name: str) -> str:
    """The note on a column that was chosen."""
    return f"Column {name!r} has another value in every row and was taken for the ids."


def is_named_as_ids(name: str) -> bool:
    """Whether a column has a name as ids have them."""
    return bool(_NAMES.fullmatch(name) or _CAMEL.fullmatch(name))


def repeating_ids(name: str) -> str:
    """The note on a column that looks like ids and is none."""
    return f"Column {name!r} looks like ids, but has values twice; the rows are numbered instead."


def _rank(name: str, values: Sequence[object]) -> int | None:
    if len(values) < _FEWEST or not _are_different(values):
        return None
    texts = [value for value in values if isinstance(value, str)]
    named = is_named_as_ids(name)
    if len(texts) == len(values):
        short = all(0 < len(text.strip()) <= _LONGEST and "\n" not in text for text in texts)
        if named:
            return 0 if short else None
        codes = all(_CODE.fullmatch(text) and not _NO_CODE.fullmatch(text) for text in texts)
        return (1 if _INDEX.fullmatch(name) else 2) if codes else None
    return 0 if named and not texts and _are_whole(values) else None


def _are_different(values: Sequence[object]) -> bool:
    try:
        return None not in values and len(set(values)) == len(values)
    except TypeError:  # lists and objects
        return False


def _are_whole(values: Iterable[object]) -> bool:
    return all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and value % 1 == 0
        for value in values
    )
