"""Schema inference for columns of text: a value is a number only if it would be written back unchanged.

So `01234`, `+49`, `1e5`, `1_000`, `NaN` and numbers that a double would round stay text. A column has one type from its
first row to its last.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from shoal.files.faults import find_first_invalid

__all__ = ["ColumnNotation"]

_EXACT: Final = 2**53
"""Up to here every integer is exact as a double; larger ones, mostly identifiers, stay text."""
_SURE: Final = 15
"""The number of characters up to which a decimal fraction has no more digits than a double keeps."""
_BOOLEANS: Final = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"))
_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"
"""A number as people write it, with any number of decimals."""
_MARKERS: Final = frozenset({"na", "nan", "n/a", "#n/a", "null", "none", "nil", "inf", "-inf", "infinity", "-", "?"})
"""How programs write a missing number."""


class ColumnNotation:
    """How the values of a column are written, as observed so far, with a decimal `comma` or a point.

    `odd` is a missing-value marker among numbers, if any; `uneven` a number written unlike those before it, where all
    are numbers.
    """

    def __init__(self, *, fixed: bool, comma: bool = False) -> None:
        numbers: list[_Notation] = [
            _Integer(),
            _ShortestDecimal(),
            _ReprDecimal(),
            _FixedDecimal(),
            *([_DecimalComma()] if comma else []),
        ]
        self._candidates: list[_Notation] = [] if fixed else [*numbers, *map(_Boolean, _BOOLEANS)]
        self._observed = False
        self.odd: str | None = None
        self.uneven: str | None = None

    @property
    def kind(self) -> pa.DataType:
        """The type of the column once all rows were observed."""
        return self._candidates[0].kind if self._candidates and self._observed else pa.string()

    def observe(self, column: pa.Array) -> None:
        """Drop the notations that would not write a value of this text column back unchanged."""
        filled = column.filter(pc.not_equal(column, ""))
        if self.uneven is not None and not _all_match(filled, _NUMBER):
            self.uneven = None
        if not self._candidates or not len(filled):
            return
        remaining = [notation for notation in self._candidates if notation.preserves(filled)]
        if not remaining:
            self.odd = _find_marker(filled, self._candidates)
            self.uneven = _find_uneven(filled, self._candidates)
        self._candidates, self._observed = remaining, True

    def read(self, column: pa.Array) -> pa.Array:
        """Parse the values in the first notation that is left; empty text is null unless the column is text."""
        if not self._candidates or not self._observed:
            return column
        return self._candidates[0].read(pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column))


class _Notation(Protocol):
    kind: pa.DataType

    def preserves(self, texts: pa.Array) -> bool:
        """Return whether all of these texts, none of them empty, would be written back unchanged."""

    def read(self, texts: pa.Array) -> pa.Array: ...


class _Integer:
    """Integers: `7`, `-12`."""

    kind = pa.int64()

    def preserves(self, texts: pa.Array) -> bool:
        if not _all_match(texts, r"^(0|-?[1-9][0-9]{0,15})$"):
            return False
        numbers = pc.abs(texts.cast(pa.int64()))
        return bool(pc.all(pc.less_equal(numbers, _EXACT)).as_py())

    def read(self, texts: pa.Array) -> pa.Array:
        return texts.cast(pa.int64())


class _Decimal:
    """Base of the notations of decimal fractions."""

    kind = pa.float64()
    pattern = ""

    def preserves(self, texts: pa.Array) -> bool:
        if not _all_match(texts, self.pattern):
            return False
        long = texts.filter(pc.greater(pc.utf8_length(texts), _SURE))
        return all(self.format_number(text) == text for text in long.to_pylist())

    def format_number(self, text: str) -> str:
        """Format the number that a text stands for."""
        return repr(float(text))

    def read(self, texts: pa.Array) -> pa.Array:
        return texts.cast(pa.float64())


class _ShortestDecimal(_Decimal):
    """The shortest form, whole numbers without a point: `1`, `2.5`."""

    pattern = r"^(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9])$"

    def format_number(self, text: str) -> str:
        return super().format_number(text).removesuffix(".0")


class _ReprDecimal(_Decimal):
    """Python's repr: `1.0`, `2.5`, `1e-05`."""

    pattern = r"^-?((0|[1-9][0-9]*)\.(0|[0-9]*[1-9])|[1-9](\.[0-9]*[1-9])?e[+-][0-9]{2,3})$"

    def preserves(self, texts: pa.Array) -> bool:
        exponents = texts.filter(pc.match_substring(texts, "e"))
        return super().preserves(texts) and all(self.format_number(text) == text for text in exponents.to_pylist())


class _FixedDecimal(_Decimal):
    """The same number of decimals throughout: `1.50`, `12.00`."""

    def __init__(self) -> None:
        self._decimals: int | None = None

    def preserves(self, texts: pa.Array) -> bool:
        if self._decimals is None:
            self._decimals = len(str(texts[0]).partition(".")[2])
            self.pattern = rf"^-?(0|[1-9][0-9]*)\.[0-9]{{{self._decimals}}}$"
        return 0 < self._decimals < _SURE and super().preserves(texts)

    def format_number(self, text: str) -> str:
        return f"{float(text):.{self._decimals}f}"


class _DecimalComma:
    """One of the decimal notations with a comma instead of the point: `0,25`."""

    kind = pa.float64()

    def __init__(self) -> None:
        self._inner: list[_Decimal] = [_ShortestDecimal(), _ReprDecimal(), _FixedDecimal()]

    def preserves(self, texts: pa.Array) -> bool:
        if pc.any(pc.match_substring(texts, ".")).as_py():
            return False
        points = _commas_to_points(texts)
        self._inner = [notation for notation in self._inner if notation.preserves(points)]
        return bool(self._inner)

    def read(self, texts: pa.Array) -> pa.Array:
        return _commas_to_points(texts).cast(pa.float64())


class _Boolean:
    """True and false in one spelling."""

    kind = pa.bool_()

    def __init__(self, words: Sequence[str]) -> None:
        self._words = pa.array(words, pa.string())

    def preserves(self, texts: pa.Array) -> bool:
        return bool(pc.all(pc.is_in(texts, self._words)).as_py())

    def read(self, texts: pa.Array) -> pa.Array:
        return pc.equal(texts, self._words[1])


def _commas_to_points(texts: pa.Array) -> pa.Array:
    return pc.replace_substring(texts, ",", ".")


def _all_match(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _find_uneven(texts: pa.Array, notations: Sequence[_Notation]) -> str | None:
    """Return the first number that is written unlike those before it; None where not all are numbers."""
    if all(isinstance(notation, _Boolean) for notation in notations) or not _all_match(texts, _NUMBER):
        return None
    fitting = [notation for notation in notations if notation.preserves(texts.slice(0, 1))]
    return str(texts[find_first_invalid(texts, lambda part: any(notation.preserves(part) for notation in fitting))])


def _find_marker(texts: pa.Array, notations: Sequence[_Notation]) -> str | None:
    """Return the missing-value marker that alone keeps a column from being read as numbers."""
    values: list[str] = texts.to_pylist()
    markers = [text for text in values if text.strip().casefold() in _MARKERS]
    rest = pa.array([text for text in values if text.strip().casefold() not in _MARKERS], pa.string())
    numbers = [notation for notation in notations if not isinstance(notation, _Boolean)]
    only_markers = bool(markers) and len(rest) > 0 and any(notation.preserves(rest) for notation in numbers)
    return markers[0] if only_markers else None
