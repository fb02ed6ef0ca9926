"""Texts as the data themselves: `shoal.cluster(texts)`."""

from collections.abc import Iterable
from typing import Any, Final

from shoal.errors import InvalidField
from shoal.library.input.arguments import find_texts, rename_series
from shoal.library.input.conversion import to_texts
from shoal.library.input.frames import is_pandas, is_polars

__all__ = ["name_texts", "take_texts"]

_NAME: Final = "text"


def take_texts(texts: str | Iterable[object] | None) -> object:
    """Return the texts of a call that gives no data, as data. Raises InvalidField where there are none."""
    if isinstance(texts, str):
        remedy = "Give a list of texts; the name of a column goes with its table: shoal.cluster(table, text=column)."
        raise InvalidField("texts", "is one text, without a table", value=texts, remedy=remedy)
    if texts is None or isinstance(texts, bool):
        remedy = "Give a table, vectors, a path, or texts: shoal.cluster(texts=texts)."
        raise InvalidField("data", "is missing", remedy=remedy)
    if is_pandas(texts) or is_polars(texts):
        return texts
    if is_pandas(texts, "Series"):
        return rename_series(texts, _NAME)
    return {_NAME: to_texts(texts, None)}


def name_texts(data: object) -> tuple[object, str | None]:
    """Return texts as a table of one column and its name; anything else unchanged, and None."""
    if is_pandas(data, "Series") or is_polars(data, "Series"):
        series: Any = data
        if find_texts(data) is None:
            return data, None
        name = _NAME if series.name in (None, "") else str(series.name)
        return rename_series(series, name), name
    if isinstance(data, dict) and list(data) == [_NAME]:
        return data, _NAME
    texts = find_texts(data)
    return (data, None) if texts is None else ({_NAME: texts}, _NAME)
