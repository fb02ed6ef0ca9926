"""The ways in which files write vectors: lists, text, bytes, structs. Each is made into a column of number lists."""

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
from shoal.records.vectors import Place
from shoal.tables import is_text

__all__ = [
    "Form",
    "check_vectors",
    "form_of",
    "is_list",
    "is_missing_text",
    "is_number",
    "is_number_list",
    "listed",
    "parse_vector",
    "parse_vectors",
]

Writing: TypeAlias = Literal["lists", "text", "bytes", "base64"]

_SIZES: Final = (np.dtype("<f4"), np.dtype("<f8"), np.dtype("<f2"))
_LARGE, _SMALL, _PLAUSIBLE = 1e6, 1e-12, 0.9
"""Numbers of embeddings lie between these; bytes of another width seldom do, whatever they hold."""
_BRACKETS: Final = {"[": "]", "(": ")", "{": "}"}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_PRINTED: Final = re.compile(
    r"(?s)\s*(?:(?:np\.|numpy\.|torch\.)?(?:array|tensor|Vector|c)\s*\((.*?)(?:,\s*[a-z_]+\s*=\s*[\w.'\":<>=]+)*\s*\))\s*"
)
_SCALARS: Final = re.compile(r"(?:np\.|numpy\.)?(?:float\d+|Decimal)\(['\"]?([^()'\"]*)['\"]?\)")
"""Numbers as lists of NumPy's scalars are printed: `np.float32(0.1)`."""
_MISSING: Final = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "\\n", "nat"})
"""What programs write where there is no vector."""
_LONGEST_MARKER: Final = 8
_STARTS: Final = re.compile(r"\s*([\[({]|[-+.]?\d|(?:np\.|numpy\.|torch\.)?(?:array|tensor|Vector|c)\s*\()")
_COMMA_NUMBER: Final = re.compile(r"[-+]?\d+(?:,\d+)?(?:[eE][-+]?\d+)?")
_PADDED: Final = re.compile(r"(?:^|[\s,;])[-+]?0\d")
"""A whole number that begins with 0: the digits behind a decimal comma, as nobody writes numbers so."""
_CLEAR: Final = 8
"""Least numbers of what is taken for a vector unasked, in writings that are used for other things as well: coordinates,
amounts, hashes."""
_FORM: Final = 'Such as "[0.1, 0.2]", or "[0,1; 0,2]" where fractions have a comma.'


@dataclass(frozen=True, slots=True)
class Form:
    """How the vectors of a column are written. `dimension` is the length that most of them have, `share` how many."""

    dimension: int
    writing: Writing
    share: float = 1.0
    dtype: np.dtype[Any] = _SIZES[0]
    """Of numbers that come as bytes."""


def is_list(kind: pa.DataType) -> bool:
    """Lists in one of the layouts of `shoal.tables.plain`."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number_list(kind: pa.DataType) -> bool:
    return is_list(kind) and is_number(kind.value_type)


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def form_of(column: pa.Array, *, asked: bool = False) -> Form | None:
    """How the vectors of a column are written, seen by a sample of it; None where it holds none. What is used for other
    things as well counts only if it was `asked` for."""
    if is_text(column.type):
        return _form_of_text([text for text in column.to_pylist() if not is_missing_text(text)], asked=asked)
    if _is_binary(column.type):
        return _form_of_bytes([held for held in column.to_pylist() if held], "bytes", asked=asked)
    lists = _as_lists(column)
    if lists is None or (pa.types.is_struct(column.type) and not asked and not _is_vector_struct(column.type)):
        return None
    lengths = pc.list_value_length(lists.drop_null()).to_pylist()
    fixed = lists.type.list_size if pa.types.is_fixed_size_list(lists.type) else None
    dimension, share = (fixed, 1.0) if fixed else _usual(lengths)
    return None if not dimension else Form(dimension, "lists", share)


def listed(column: pa.Array, form: Form, place: Place) -> pa.Array:
    """Vectors that are no text as a column of number lists, null where there is none. Raises InvalidField naming a
    row."""
    if form.writing == "lists":
        lists = _as_lists(column)
        assert lists is not None, "the form was seen on this column"
        return lists
    rows: list[Any] = [held or None for held in column.to_pylist()]
    if form.writing == "base64":
        rows = [None if held is None else _decoded(held, place(i)) for i, held in enumerate(rows)]
    return pa.array([_numbers(held, form, place(i)) for i, held in enumerate(rows)], pa.large_list(pa.float64()))


def is_missing_text(text: str | None) -> bool:
    """Whether a text stands for no vector: empty, or as programs write a missing value."""
    return text is None or not text.strip() or (len(text) < _LONGEST_MARKER and text.strip().lower() in _MISSING)


def parse_vector(text: str) -> list[float] | None:
    """The numbers in a text that holds a vector and nothing else, as JSON, NumPy, PostgreSQL or people write it; None
    where it does not."""
    if "(" in text:
        text = _SCALARS.sub(r"\1", text)
    printed = _PRINTED.fullmatch(text)
    inner = (text if printed is None else printed[1]).strip()
    while inner[:1] in _BRACKETS and inner.endswith(_BRACKETS[inner[0]]):
        inner = inner[1:-1].strip()
    inner = inner.rstrip(",; \n")
    if "," in inner and "." not in inner:
        if (fractions := _with_decimal_commas(inner)) is not None:
            return fractions
        if _PADDED.search(inner):
            return None
    parts = re.split(r"\s*[,;]\s*|\s+", inner)
    try:
        return None if "_" in inner else [float(part) for part in parts]
    except ValueError:
        return None


def _with_decimal_commas(inner: str) -> list[float] | None:
    """Numbers whose fractions have a comma, as in German or French, with something else between them; None for others.
    A comma and a space between them may be lists of whole numbers, unless a fraction begins with 0."""
    apart = r"\s*;\s*" if ";" in inner else r",\s+" if _PADDED.search(inner) and ", " in inner else r"\s+"
    parts = re.split(apart, inner)
    if len(parts) < 2 or "," not in "".join(parts) or not all(map(_COMMA_NUMBER.fullmatch, parts)):
        return None
    return [float(part.replace(",", ".")) for part in parts]


def _as_lists(column: pa.Array) -> pa.Array | None:
    """Lists of numbers, or structs of numbers, as lists of numbers."""
    kind = column.type
    if is_number_list(kind):
        return column
    if is_list(kind) and is_number_list(kind.value_type):
        lengths = pc.list_value_length(column)
        alone = pc.all(pc.equal(lengths, 1)).as_py()
        return pc.list_element(column, 0) if alone and len(column) else None
    return _fields_as_lists(column) if pa.types.is_struct(kind) and kind.num_fields else None


def _fields_as_lists(column: pa.Array) -> pa.Array | None:
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
    """Whether a struct is used for vectors alone: Spark's, or values and nothing else, or many numbers."""
    names = {field.name for field in kind}
    return names == {"values"} or {"values", "indices"} <= names or kind.num_fields >= _CLEAR


def _usual(lengths: Sequence[int | None]) -> tuple[int, float]:
    """The most frequent length, the first of equally frequent ones, and the share that has it; (0, 0) for none."""
    counts = Counter(length for length in lengths if length)
    if not counts:
        return 0, 0.0
    ((dimension, count),) = counts.most_common(1)
    return dimension, count / len(lengths)


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _form_of_text(texts: Sequence[str], *, asked: bool) -> Form | None:
    if not texts:
        return None
    if _BASE64.fullmatch(texts[0].strip()) and parse_vector(texts[0]) is None:
        raw = [_raw(text) for text in texts]
        return None if None in raw else _form_of_bytes([held for held in raw if held], "base64", asked=asked)
    if not _STARTS.match(texts[0]):
        return None
    dimension, share = _usual([len(found) if (found := parse_vector(text)) else 0 for text in texts])
    clear = asked or texts[0].lstrip().startswith("[") or (dimension >= _CLEAR and share == 1)
    return Form(dimension, "text", share) if dimension and clear else None


def parse_vectors(texts: Sequence[str], place: Place) -> list[object]:
    """What stands in texts that hold a vector each, as lists. Raises InvalidField for one that holds none."""
    try:  # all as one array of JSON, which is much faster
        lists = orjson.loads("[" + ",".join(texts) + "]")
    except orjson.JSONDecodeError:
        lists = []
    if len(lists) == len(texts) and set(map(type, lists)) <= {list}:
        return [one[0] if len(one) == 1 and isinstance(one[0], list) else one for one in lists]
    return [_parsed(text, place(row)) for row, text in enumerate(texts)]


def check_vectors(texts: Sequence[str | None], place: Place) -> None:
    """Raises InvalidField for the first text that looks like numbers and is no vector, with what is wrong with it."""
    for row, text in enumerate(texts):
        if text and not is_missing_text(text) and _STARTS.match(text):
            _parsed(text, place(row))


def _parsed(text: str, path: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        values = parse_vector(text)
    if values is not None:
        return values
    if "..." in text:
        remedy = "Write it whole: numpy.set_printoptions(threshold=sys.maxsize), or better as JSON."
        raise InvalidField(path, "was cut by NumPy, which prints '...' for what stands in the middle", remedy=remedy)
    raise InvalidField(path, "is no vector", value=text[:80], remedy=_FORM)


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _form_of_bytes(raw: Sequence[bytes], writing: Writing, *, asked: bool) -> Form | None:
    """The width under which most numbers are such as embeddings hold. Two bytes look plausible too often to be taken
    unasked."""
    for dtype in _SIZES if asked else _SIZES[:2]:
        whole = [held for held in raw if len(held) % dtype.itemsize == 0]
        dimension, share = _usual([len(held) // dtype.itemsize for held in whole])
        if dimension >= (1 if asked else _CLEAR) and _are_plausible(np.frombuffer(b"".join(whole), dtype)):
            return Form(dimension, writing, share * len(whole) / len(raw), dtype)
    return None


def _are_plausible(numbers: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        sizes = np.abs(numbers.astype(np.float64))
        usual = (sizes == 0) | ((sizes > _SMALL) & (sizes < _LARGE))
    return bool(np.isfinite(sizes).all() and usual.mean() >= _PLAUSIBLE and sizes.any())


def _raw(text: str) -> bytes | None:
    cleaned = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(cleaned + "=" * (-len(cleaned) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _decoded(text: str, path: str) -> bytes:
    raw = _raw(text)
    if raw is None:
        raise InvalidField(path, "is no base64", value=text[:80], remedy="Encode the bytes of float32 numbers.")
    return raw


def _numbers(held: bytes | None, form: Form, path: str) -> NDArray[Any] | None:
    if held is None:
        return None
    if len(held) % form.dtype.itemsize:
        problem = f"has {len(held):,} bytes, no whole number of {form.dtype.name} numbers"
        raise InvalidField(path, problem, remedy="Write the bytes of one array.")
    return np.frombuffer(held, form.dtype).astype(np.float64)
