"""What a column of text holds, judged by its writing: a number is one only if it would be written as it stands.

So `01234`, `+49`, `1e5`, `1_000`, `NaN` and numbers that a double rounds stay text. A column is of one kind from its
first row to its last.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from shoal.files.faults import first_unfit

__all__ = ["Writing"]

_EXACT: Final = 2**53
"""Up to here every whole number is a double of its own; larger ones, identifiers mostly, stay text."""
_SURE: Final = 15
"""Characters up to which a decimal fraction has no more digits than a double keeps."""
_TRUTHS: Final = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"))
_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"
"""A number that people may mean as one, however many decimals it has."""
_MARKERS: Final = frozenset({"na", "nan", "n/a", "#n/a", "null", "none", "nil", "inf", "-inf", "infinity", "-", "?"})
"""What programs write for a number that is missing, or none."""


class Writing:
    """How the values of a column are written, as far as it was seen, with a decimal `comma` or without; `odd` is the
    marker among numbers, if any, and `uneven` a number that is written in another way than those before it, where all
    are numbers."""

    def __init__(self, *, fixed: bool, comma: bool = False) -> None:
        numbers: list[_Reading] = [_Whole(), _Bare(), _Repr(), _Fixed(), *([_Comma()] if comma else [])]
        self._readings: list[_Reading] = [] if fixed else [*numbers, *map(_Truth, _TRUTHS)]
        self._seen = False
        self.odd: str | None = None
        self.uneven: str | None = None

    @property
    def kind(self) -> pa.DataType:
        """Of the column once it was read."""
        return self._readings[0].kind if self._readings and self._seen else pa.string()

    def look_at(self, column: pa.Array) -> None:
        """Drop the readings under which a value would not be written again as it is. `column` is text."""
        filled = column.filter(pc.not_equal(column, ""))
        if self.uneven is not None and not _all(filled, _NUMBER):
            self.uneven = None
        if not self._readings or not len(filled):
            return
        left = [reading for reading in self._readings if reading.keeps(filled)]
        if not left:
            self.odd = _marker_among(filled, self._readings)
            self.uneven = _uneven_among(filled, self._readings)
        self._readings, self._seen = left, True

    def read(self, column: pa.Array) -> pa.Array:
        """The values under the first reading that is left; an empty one is missing where the column is no text."""
        if not self._readings or not self._seen:
            return column
        return self._readings[0].read(pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column))


class _Reading(Protocol):
    kind: pa.DataType

    def keeps(self, texts: pa.Array) -> bool:
        """Whether all of these texts would be written again as they are; none of them is empty."""

    def read(self, texts: pa.Array) -> pa.Array: ...


class _Whole:
    """Whole numbers: `7`, `-12`."""

    kind = pa.int64()

    def keeps(self, texts: pa.Array) -> bool:
        if not _all(texts, r"^(0|-?[1-9][0-9]{0,15})$"):
            return False
        numbers = pc.abs(texts.cast(pa.int64()))
        return bool(pc.all(pc.less_equal(numbers, _EXACT)).as_py())

    def read(self, texts: pa.Array) -> pa.Array:
        return texts.cast(pa.int64())


class _Decimal:
    """What the readings of fractions share."""

    kind = pa.float64()
    pattern = ""

    def keeps(self, texts: pa.Array) -> bool:
        if not _all(texts, self.pattern):
            return False
        long = texts.filter(pc.greater(pc.utf8_length(texts), _SURE))
        return all(self.written(text) == text for text in long.to_pylist())

    def written(self, text: str) -> str:
        """How the number of a text is written."""
        return repr(float(text))

    def read(self, texts: pa.Array) -> pa.Array:
        return texts.cast(pa.float64())


class _Bare(_Decimal):
    """The shortest writing, whole numbers without a point: `1`, `2.5`."""

    pattern = r"^(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9])$"

    def written(self, text: str) -> str:
        return super().written(text).removesuffix(".0")


class _Repr(_Decimal):
    """Python's writing: `1.0`, `2.5`, `1e-05`."""

    pattern = r"^-?((0|[1-9][0-9]*)\.(0|[0-9]*[1-9])|[1-9](\.[0-9]*[1-9])?e[+-][0-9]{2,3})$"

    def keeps(self, texts: pa.Array) -> bool:
        exponents = texts.filter(pc.match_substring(texts, "e"))
        return super().keeps(texts) and all(self.written(text) == text for text in exponents.to_pylist())


class _Fixed(_Decimal):
    """As many decimals everywhere: `1.50`, `12.00`."""

    def __init__(self) -> None:
        self._decimals: int | None = None

    def keeps(self, texts: pa.Array) -> bool:
        if self._decimals is None:
            self._decimals = len(str(texts[0]).partition(".")[2])
            self.pattern = rf"^-?(0|[1-9][0-9]*)\.[0-9]{{{self._decimals}}}$"
        return 0 < self._decimals < _SURE and super().keeps(texts)

    def written(self, text: str) -> str:
        return f"{float(text):.{self._decimals}f}"


class _Comma:
    """One of the writings of fractions, with a comma for the point: `0,25`."""

    kind = pa.float64()

    def __init__(self) -> None:
        self._inner: list[_Decimal] = [_Bare(), _Repr(), _Fixed()]

    def keeps(self, texts: pa.Array) -> bool:
        if pc.any(pc.match_substring(texts, ".")).as_py():
            return False
        points = _pointed(texts)
        self._inner = [one for one in self._inner if one.keeps(points)]
        return bool(self._inner)

    def read(self, texts: pa.Array) -> pa.Array:
        return _pointed(texts).cast(pa.float64())


class _Truth:
    """True and false in one spelling."""

    kind = pa.bool_()

    def __init__(self, words: Sequence[str]) -> None:
        self._words = pa.array(words, pa.string())

    def keeps(self, texts: pa.Array) -> bool:
        return bool(pc.all(pc.is_in(texts, self._words)).as_py())

    def read(self, texts: pa.Array) -> pa.Array:
        return pc.equal(texts, self._words[1])


def _pointed(texts: pa.Array) -> pa.Array:
    return pc.replace_substring(texts, ",", ".")


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _uneven_among(texts: pa.Array, readings: Sequence[_Reading]) -> str | None:
    """The first of these numbers that is written in another way than those before it; None where not all are
    numbers."""
    if all(isinstance(reading, _Truth) for reading in readings) or not _all(texts, _NUMBER):
        return None
    fitting = [reading for reading in readings if reading.keeps(texts.slice(0, 1))]
    return str(texts[first_unfit(texts, lambda part: any(reading.keeps(part) for reading in fitting))])


def _marker_among(texts: pa.Array, readings: Sequence[_Reading]) -> str | None:
    """The marker for a missing number that alone keeps a column from being read as numbers."""
    listed: list[str] = texts.to_pylist()
    markers = [text for text in listed if text.strip().casefold() in _MARKERS]
    rest = pa.array([text for text in listed if text.strip().casefold() not in _MARKERS], pa.string())
    numbers = [reading for reading in readings if not isinstance(reading, _Truth)]
    whole = bool(markers) and len(rest) > 0 and any(reading.keeps(rest) for reading in numbers)
    return markers[0] if whole else None
