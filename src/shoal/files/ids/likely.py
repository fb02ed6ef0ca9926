"""Infers which column holds ids although its name does not say so: distinct values that are codes or keys."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.scalars import format_cell

__all__ = ["DistinctColumns", "has_id_name", "note_chosen", "note_repeating", "rank_id_columns"]

_NAMES: Final = re.compile(
    r"(?:.*[_\-. ])?(?:ids?|uuid|guid|key|code|sku|asin|isbn|ean|gtin|ticket|number|no|nr|ref|reference|hash|slug|url|"
    r"uri|doi|pmid)",
    re.IGNORECASE,
)
_CAMEL: Final = re.compile(r".*[a-z](?:Id|ID|Uuid|UUID)")
_INDEX: Final = re.compile(r"Unnamed: \d+|__index_level_\d+__|index|level_0")
_CODE: Final = re.compile(r"(?=.*\d)[A-Za-z0-9_][\w.:/#@+\-]{0,127}")
_NO_CODE: Final = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*")
"""Amounts and dates: they may be distinct, but identify nothing."""
_LONGEST: Final = 256
_FEWEST: Final = 2


def rank_id_columns(columns: Mapping[str, Sequence[object]]) -> list[str]:
    """Return the columns that may hold ids, judged by these first values, the likeliest first.

    A column is likely where it has no nulls, no duplicates, and a name typical of ids (`ticket`, `order_no`, `sku`,
    `articleId`) or, whatever its name, nothing but codes: short texts without spaces that contain a digit.
    """
    ranked = [(rank, name) for name, values in columns.items() if (rank := _rank_column(name, values)) is not None]
    return [name for _, name in sorted(ranked, key=lambda pair: pair[0])]


class DistinctColumns:
    """Of the columns with these names, those without nulls and duplicates in the rows so far.

    It keeps 8 bytes of a hash per value. A hash collision counts as a duplicate: with 10 million rows that happens in
    one of 370,000 files, and only excludes the column.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._digests: dict[str, list[NDArray[np.uint64]]] = {name: [] for name in names}
        self._checked = dict.fromkeys(names, 0)

    @property
    def names(self) -> list[str]:
        """The columns that are left."""
        return list(self._digests)

    def add(self, rows: Mapping[str, Sequence[object]]) -> None:
        """Add further rows, by column."""
        for name in self.names:
            values = rows[name]
            if not all(isinstance(value, (str, int, float)) for value in values):
                del self._digests[name]
                continue
            self._digests[name].append(np.array([_hash_value(value) for value in values], np.uint64))
            if sum(map(len, self._digests[name])) >= 2 * self._checked[name]:
                self._check(name)

    def finish(self) -> list[str]:
        """Return the columns that are left after the last row."""
        for name in self.names:
            self._check(name)
        return self.names

    def _check(self, name: str) -> None:
        together = np.sort(np.concatenate(self._digests[name] or [np.zeros(0, np.uint64)]))
        self._digests[name], self._checked[name] = [together], len(together)
        if (together[1:] == together[:-1]).any():
            del self._digests[name]


def _hash_value(value: object) -> int:
    text = format_cell(value).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def note_chosen(name: str) -> str:
    """Return the note on a column that was chosen."""
    return f"Column {name!r} has a different value in every row and was taken as the ids."


def has_id_name(name: str) -> bool:
    """Return whether a column has a name typical of ids."""
    return bool(_NAMES.fullmatch(name) or _CAMEL.fullmatch(name))


def note_repeating(name: str) -> str:
    """Return the note on a column that looks like ids and has duplicates."""
    return f"Column {name!r} looks like ids, but has duplicates; the rows are numbered instead."


def _rank_column(name: str, values: Sequence[object]) -> int | None:
    if len(values) < _FEWEST or not _all_distinct(values):
        return None
    texts = [value for value in values if isinstance(value, str)]
    has_name = has_id_name(name)
    if len(texts) == len(values):
        short = all(0 < len(text.strip()) <= _LONGEST and "\n" not in text for text in texts)
        if has_name:
            return 0 if short else None
        codes = all(_CODE.fullmatch(text) and not _NO_CODE.fullmatch(text) for text in texts)
        return (1 if _INDEX.fullmatch(name) else 2) if codes else None
    return 0 if has_name and not texts and _all_whole(values) else None


def _all_distinct(values: Sequence[object]) -> bool:
    try:
        return None not in values and len(set(values)) == len(values)
    except TypeError:  # lists and objects
        return False


def _all_whole(values: Iterable[object]) -> bool:
    return all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and value % 1 == 0
        for value in values
    )
