"""SQL expressions with their bound parameters."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

__all__ = ["FALSE", "TRUE", "Sql", "fold", "fold_words_sql", "join", "one_of", "sql"]


class Sql(NamedTuple):
    """An SQL expression and its parameters, in order."""

    text: str
    params: tuple[object, ...]


TRUE: Final = Sql("1", ())
FALSE: Final = Sql("0", ())


def sql(template: str, *parts: object) -> Sql:
    """Fill each `{}` of a template with an expression, or with a placeholder for a value."""
    filled = [part if isinstance(part, Sql) else Sql("?", (part,)) for part in parts]
    return Sql(template.format(*(part.text for part in filled)), tuple(p for part in filled for p in part.params))


def join(separator: str, parts: Sequence[Sql], empty: Sql) -> Sql:
    """Join the parts with an operator, in parentheses; return `empty` if there are none."""
    if not parts:
        return empty
    text = separator.join(part.text for part in parts)
    return Sql(f"({text})" if separator.strip() else text, tuple(p for part in parts for p in part.params))


def one_of(value: Sql, operands: Sequence[object]) -> Sql:
    """Test whether a value is one of the operands; NULL if it is NULL."""
    return sql("{} IN (SELECT value FROM json_each({}))", value, orjson.dumps(operands).decode())


def fold(value: Sql, case_sensitive: bool) -> Sql:
    """Case-fold a text for comparison, unless case matters."""
    return value if case_sensitive else _lower(value, "shoal_casefold")


def fold_words_sql(value: Sql) -> Sql:
    """Fold a text for the comparison of words."""
    return _lower(value, "shoal_fold_words")


def _lower(value: Sql, function: str) -> Sql:
    # A text with as many bytes as characters is ASCII, for which lower() is case folding.
    return sql(
        f"(CASE WHEN length({{}}) = length(CAST({{}} AS BLOB)) THEN lower({{}}) ELSE {function}({{}}) END)",
        *(value, value, value, value),
    )
