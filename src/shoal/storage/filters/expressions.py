"""SQL expressions that carry the values of their question marks."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

__all__ = ["FALSE", "TRUE", "Sql", "folded", "folded_words", "joined", "one_of", "sql"]


class Sql(NamedTuple):
    """An SQL expression and the values of its question marks, in order."""

    text: str
    params: tuple[object, ...]


TRUE: Final = Sql("1", ())
FALSE: Final = Sql("0", ())


def sql(template: str, *parts: object) -> Sql:
    """The template with each `{}` filled by an expression, or by a question mark for a value."""
    filled = [part if isinstance(part, Sql) else Sql("?", (part,)) for part in parts]
    return Sql(template.format(*(part.text for part in filled)), tuple(p for part in filled for p in part.params))


def joined(separator: str, parts: Sequence[Sql], empty: Sql) -> Sql:
    """The parts with an operator between them, in brackets; `empty` where there are none."""
    if not parts:
        return empty
    text = separator.join(part.text for part in parts)
    return Sql(f"({text})" if separator.strip() else text, tuple(p for part in parts for p in part.params))


def one_of(value: Sql, operands: Sequence[object]) -> Sql:
    """Whether a value is one of the operands; NULL where it is NULL."""
    return sql("{} IN (SELECT value FROM json_each({}))", value, orjson.dumps(operands).decode())


def folded(value: Sql, case_sensitive: bool) -> Sql:
    """A text as it is compared."""
    return value if case_sensitive else _lowered(value, "shoal_casefold")


def folded_words(value: Sql) -> Sql:
    """A text as its words are compared."""
    return _lowered(value, "shoal_fold_words")


def _lowered(value: Sql, function: str) -> Sql:
    # Text of as many bytes as characters is ASCII, where lower() is case folding.
    return sql(
        f"(CASE WHEN length({{}}) = length(CAST({{}} AS BLOB)) THEN lower({{}}) ELSE {function}({{}}) END)",
        *(value, value, value, value),
    )
