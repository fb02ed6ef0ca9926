"""The ways in which files encode vectors (lists, text, bytes, structs), and their conversion to lists of numbers."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.records.documents.vectors import Place
from shoal.tables import is_text

__all__ = [
    "VectorForm",
    "check_vectors",
    "decode_lists",
    "detect_form",
    "is_list",
    "is_missing_text",
    "is_number",
    "is_number_list",
    "parse_vector",
    "parse_vectors",
]

Encoding: TypeAlias = Literal["lists", "text", "bytes", "base64"]

_SIZES: Final = (np.dtype("<f4"), np.dtype("<f8"), np.dtype("<f2"))
_LARGE, _SMALL, _PLAUSIBLE = 1e6, 1e-12, 0.9
"""Components of embeddings lie between these bounds; bytes decoded with the wrong width seldom do."""
_BRACKETS: Final = {"[": "]", "(": ")", "{": "}"}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_REPR: Final = re.compile(
    r"(?s)\s*(?:(?:np\.|numpy\.|torch\.)?(?:array|tensor|Vector|c)\s*\((.*?)(?:,\s*[a-z_]+\s*=\s*[\w.'\":<>=]+)*\s*\))\s*"
)
_SCALARS: Final = re.compile(r"(?:np\.|numpy\.)?(?:float\d+|Decimal)\(['\"]?([^()'\"]*)['\"]?\)")
"""Numbers in the repr of a list of NumPy scalars: `np.float32(0.1)`."""
_MISSING: Final = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "\\n", "nat"})
"""How programs write a missing vector."""
_LONGEST_MARKER: Final = 8
_STARTS: Final = re.compile(r"\s*([\[({]|[-+.]?\d|(?:np\.|numpy\.|torch\.)?(?:array|tensor|Vector|c)\s*\()")
_COMMA_NUMBER: Final = re.compile(r"[-+]?\d+(?:,\d+)?(?:[eE][-+]?\d+)?")
_LEADING_ZERO: Final = re.compile(r"(?:^|[\s,;])[-+]?0\d")
"""A whole number with a leading zero, which can only be the digits after a decimal comma."""
_MIN_DIMENSION: Final = 8
"""The minimum length of vectors that are detected in ambiguous encodings: coordinates, amounts, hashes."""
_EXAMPLES: Final = 'Such as "[0.1, 0.2]", or "[0,1; 0,2]" where fractions have a comma.'


@dataclass(frozen=True, slots=True)
class VectorForm:
    """How the vectors of a column are encoded. `dimension` is the most common length, `share` the fraction that has
    it."""

    dimension: int
    encoding: Encoding
    share: float = 1.0
    dtype: np.dtype[Any] = _SIZES[0]
    """The dtype of vectors stored as bytes."""


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is a list in one of the layouts of `shoal.tables.to_plain`."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number_list(kind: pa.DataType) -> bool:
    return is_list(kind) and is_number(kind.value_type)


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def detect_form(column: pa.Array, *, requested: bool = False) -> VectorForm | None:
    """Infer from a sample how the vectors of a column are encoded; None where it holds none.

    Ambiguous encodings count only if the column was `requested`.
    """
    if is_text(column.type):
        return _detect_text_form(
            [text for text in column.to_pylist() if not is_missing_text(text)], requested=requested
        )
    if _is_binary(column.type):
        return _detect_binary_form([raw for raw in column.to_pylist() if raw], "bytes", requested=requested)
    lists = _to_number_lists(column)
    if lists is None or (pa.types.is_struct(column.type) and not requested and not _is_vector_struct(column.type)):
        return None
    lengths = pc.list_value_length(lists.drop_null()).to_pylist()
    fixed = lists.type.list_size if pa.types.is_fixed_size_list(lists.type) else None
    dimension, share = (fixed, 1.0) if fixed else _most_common_length(lengths)
    return None if not dimension else VectorForm(dimension, "lists", share)


def decode_lists(column: pa.Array, form: VectorForm, place: Place) -> pa.Array:
    """Decode vectors that are not text to a column of number lists, null where one is missing. Raises InvalidField
    naming a row."""
    if form.encoding == "lists":
        lists = _to_number_lists(column)
        assert lists is not None, "the form was seen on this column"
        return lists
    rows: list[Any] = [value or None for value in column.to_pylist()]
    if form.encoding == "base64":
        rows = [None if value is None else _decode_base64(value, place(i)) for i, value in enumerate(rows)]
    return pa.array(
        [_decode_numbers(value, form, place(i)) for i, value in enumerate(rows)], pa.large_list(pa.float64())
    )


def is_missing_text(text: str | None) -> bool:
    """Return whether a text stands for a missing vector: empty, or a marker such as `NaN`."""
    return text is None or not text.strip() or (len(text) < _LONGEST_MARKER and text.strip().lower() in _MISSING)


def parse_vector(text: str) -> list[float] | None:
    """Parse a text that holds one vector, as written by JSON, NumPy, PostgreSQL or by hand; None where it does not."""
    if "(" in text:
        text = _SCALARS.sub(r"\1", text)
    printed = _REPR.fullmatch(text)
    inner = (text if printed is None else printed[1]).strip()
    while inner[:1] in _BRACKETS and inner.endswith(_BRACKETS[inner[0]]):
        inner = inner[1:-1].strip()
    inner = inner.rstrip(",; \n")
    if "," in inner and "." not in inner:
        if (fractions := _parse_decimal_commas(inner)) is not None:
            return fractions
        if _LEADING_ZERO.search(inner):
            return None
    parts = re.split(r"\s*[,;]\s*|\s+", inner)
    try:
        return None if "_" in inner else [float(part) for part in parts]
    except ValueError:
        return None


def _parse_decimal_commas(inner: str) -> list[float] | None:
    """Parse numbers with decimal commas, as in German or French, between other separators; None for others.

    Numbers separated by a comma and a space may be integers, unless a fraction starts with 0.
    """
    separator = r"\s*;\s*" if ";" in inner else r",\s+" if _LEADING_ZERO.search(inner) and ", " in inner else r"\s+"
    parts = re.split(separator, inner)
    if len(parts) < 2 or "," not in "".join(parts) or not all(map(_COMMA_NUMBER.fullmatch, parts)):
        return None
    return [float(part.replace(",", ".")) for part in parts]


def _to_number_lists(column: pa.Array) -> pa.Array | None:
    """Convert lists or structs of numbers to lists of numbers."""
    kind = column.type
    if is_number_list(kind):
        return column
    if is_list(kind) and is_number_list(kind.value_type):
        lengths = pc.list_value_length(column)
        alone = pc.all(pc.equal(lengths, 1)).as_py()
        return pc.list_element(column, 0) if alone and len(column) else None
    return _struct_to_lists(column) if pa.types.is_struct(kind) and kind.num_fields else None


def _struct_to_lists(column: pa.Array) -> pa.Array | None:
    names = [field.name for field in column.type]
    fields = dict(zip(names, column.flatten(), strict=True))
    if all(is_number(part.type) for part in fields.values()):
        if len(names) < 2:
            return None
        numbers = np.stack(
            [part.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) for part in fields.values()], 1
        )
        gaps = np.stack([np.asarray(part.is_null()) for part in fields.values()], 1)
        flat = pa.array(numbers.ravel(), mask=gaps.ravel())
        return pa.FixedSizeListArray.from_arrays(flat, len(names), mask=column.is_null())
    values = fields.get("values")
    sparse = fields.get("indices")
    if values is None or not is_number_list(values.type) or (sparse is not None and sparse.null_count < len(sparse)):
        return None
    return values


def _is_vector_struct(kind: pa.StructType) -> bool:
    """Return whether a struct can only be a vector: Spark's, `values` and nothing else, or many numbers."""
    names = {field.name for field in kind}
    return names == {"values"} or {"values", "indices"} <= names or kind.num_fields >= _MIN_DIMENSION


def _most_common_length(lengths: Sequence[int | None]) -> tuple[int, float]:
    """Return the most common length, the first of equally common ones, and the share that has it; (0, 0) for none."""
    counts = Counter(length for length in lengths if length)
    if not counts:
        return 0, 0.0
    ((dimension, count),) = counts.most_common(1)
    return dimension, count / len(lengths)


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _detect_text_form(texts: Sequence[str], *, requested: bool) -> VectorForm | None:
    if not texts:
        return None
    if _BASE64.fullmatch(texts[0].strip()) and parse_vector(texts[0]) is None:
        raw = [_try_base64(text) for text in texts]
        return (
            None if None in raw else _detect_binary_form([part for part in raw if part], "base64", requested=requested)
        )
    if not _STARTS.match(texts[0]):
        return None
    dimension, share = _most_common_length([len(vector) if (vector := parse_vector(text)) else 0 for text in texts])
    clear = requested or texts[0].lstrip().startswith("[") or (dimension >= _MIN_DIMENSION and share == 1)
    return VectorForm(dimension, "text", share) if dimension and clear else None


def parse_vectors(texts: Sequence[str], place: Place) -> list[object]:
    """Parse texts that hold a vector each. Raises InvalidField for one that holds none."""
    try:  # all as one JSON array, which is much faster
        lists = orjson.loads("[" + ",".join(texts) + "]")
    except orjson.JSONDecodeError:
        lists = []
    if len(lists) == len(texts) and set(map(type, lists)) <= {list}:
        return [vector[0] if len(vector) == 1 and isinstance(vector[0], list) else vector for vector in lists]
    return [_parse_text(text, place(row)) for row, text in enumerate(texts)]


def check_vectors(texts: Sequence[str | None], place: Place) -> None:
    """Raise InvalidField for the first text that looks like numbers and is not a vector, saying why."""
    for row, text in enumerate(texts):
        if text and not is_missing_text(text) and _STARTS.match(text):
            _parse_text(text, place(row))


def _parse_text(text: str, path: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        values = parse_vector(text)
    if values is not None:
        return values
    if "..." in text:
        remedy = "Write it whole: numpy.set_printoptions(threshold=sys.maxsize), or better as JSON."
        raise InvalidField(path, "was abbreviated by NumPy, which prints '...' in place of the middle", remedy=remedy)
    raise InvalidField(path, "is not a vector", value=text[:80], remedy=_EXAMPLES)


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _detect_binary_form(raw: Sequence[bytes], encoding: Encoding, *, requested: bool) -> VectorForm | None:
    """Return the width under which most numbers are plausible embeddings.

    Two-byte numbers look plausible too often to be taken by default.
    """
    for dtype in _SIZES if requested else _SIZES[:2]:
        whole = [part for part in raw if len(part) % dtype.itemsize == 0]
        dimension, share = _most_common_length([len(part) // dtype.itemsize for part in whole])
        if dimension >= (1 if requested else _MIN_DIMENSION) and _are_plausible(np.frombuffer(b"".join(whole), dtype)):
            return VectorForm(dimension, encoding, share * len(whole) / len(raw), dtype)
    return None


def _are_plausible(numbers: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        sizes = np.abs(numbers.astype(np.float64))
        usual = (sizes == 0) | ((sizes > _SMALL) & (sizes < _LARGE))
    return bool(np.isfinite(sizes).all() and usual.mean() >= _PLAUSIBLE and sizes.any())


def _try_base64(text: str) -> bytes | None:
    cleaned = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(cleaned + "=" * (-len(cleaned) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _decode_base64(text: str, path: str) -> bytes:
    raw = _try_base64(text)
    if raw is None:
        raise InvalidField(path, "is not base64", value=text[:80], remedy="Encode the bytes of float32 numbers.")
    return raw


def _decode_numbers(raw: bytes | None, form: VectorForm, path: str) -> NDArray[Any] | None:
    if raw is None:
        return None
    if len(raw) % form.dtype.itemsize:
        problem = f"has {len(raw):,} bytes, no whole number of {form.dtype.name} numbers"
        raise InvalidField(path, problem, remedy="Write the bytes of one array.")
    return np.frombuffer(raw, form.dtype).astype(np.float64)
