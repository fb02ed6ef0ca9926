"""The shape of a model's answer beside label, summary and keywords: words, fields with their types, or a JSON schema.

A schema is a small, closed subset of JSON Schema that every provider of models understands; it has no references, so
that checking an answer costs no more than reading it.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final

import orjson
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

__all__ = ["ResponseShape", "check_shape", "shape_properties"]

_MAX_BYTES: Final = 8_000
_MAX_WORDS: Final = 2_000
_MAX_DEPTH: Final = 5
_MAX_FIELDS: Final = 50
_MAX_CHOICES: Final = 255
_NAME: Final = re.compile(r"[A-Za-z_][\w-]{0,63}", re.ASCII)
_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")
_COUNTS: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
_NUMBERS: Final = frozenset({"minimum", "maximum"})
_KEYWORDS: Final = frozenset(
    {"type", "properties", "required", "items", "enum", "title", "description", "additionalProperties"}
    | _COUNTS
    | _NUMBERS
)


def shape_properties(shape: str | Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return the fields of a shape by name, each as a JSON schema; none for words, which describe the answer freely.

    Raises ValueError for what is not a shape.
    """
    if not isinstance(shape, Mapping):
        return {}
    if "properties" in shape or ("type" in shape and _KEYWORDS.issuperset(shape)):
        if shape.get("type") != "object":
            raise ValueError('must be a schema of an object: its type is "object"')
        _check_schema(shape, "", 1)
        return {name: dict(schema) for name, schema in shape.get("properties", {}).items()}
    fields = {name: _expand(schema) for name, schema in shape.items()}
    _check_schema({"type": "object", "properties": fields}, "", 1)
    return fields


def _expand(schema: Any) -> Any:
    """Return the schema of a field that names only its type; an array is one of texts."""
    if not isinstance(schema, str):
        return schema
    return {"type": "array", "items": {"type": "string"}} if schema == "array" else {"type": schema}


def _check_schema(schema: Any, place: str, depth: int) -> None:
    """Check a schema and everything inside. Raises ValueError that names the place."""
    at = f" at {place!r}" if place else ""
    if not isinstance(schema, Mapping):
        raise ValueError(f"must be a schema{at}: an object with a type, or the name of a type")
    if depth > _MAX_DEPTH:
        raise ValueError(f"may nest {_MAX_DEPTH} levels deep, and is deeper{at}")
    for keyword in schema:
        if keyword not in _KEYWORDS:
            near = get_close_matches(str(keyword), _KEYWORDS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(sorted(_KEYWORDS))}"
            raise ValueError(f"has the unknown keyword {keyword!r}{at}. {hint}")
    kind = schema.get("type", "string" if "enum" in schema else None)
    kinds = kind if isinstance(kind, list) and kind else [kind]
    if any(each not in _TYPES for each in kinds):
        raise ValueError(f"needs a type{at}: one of {', '.join(_TYPES)}")
    _check_values(schema, at)
    if "object" in kinds:
        _check_object(schema, place, at, depth)
    if "array" in kinds:
        _check_schema(schema.get("items"), f"{place}[]", depth + 1)


def _check_values(schema: Mapping[str, Any], at: str) -> None:
    for keyword, value in schema.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if keyword in _COUNTS and not (whole and value >= 0):
            raise ValueError(f"needs a whole number from 0 on as {keyword}{at}")
        if keyword in _NUMBERS and not (whole or isinstance(value, float)):
            raise ValueError(f"needs a number as {keyword}{at}")
        if keyword in ("title", "description") and not isinstance(value, str):
            raise ValueError(f"needs a text as {keyword}{at}")
        if keyword == "additionalProperties" and not isinstance(value, bool):
            raise ValueError(f"needs true or false as {keyword}{at}")
        if keyword == "enum" and not _is_choice(value):
            raise ValueError(f"needs 1 to {_MAX_CHOICES} texts, numbers or booleans as enum{at}")


def _is_choice(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MAX_CHOICES
        and all(isinstance(v, str | int | float) for v in value)
    )


def _check_object(schema: Mapping[str, Any], place: str, at: str, depth: int) -> None:
    fields = schema.get("properties")
    if not isinstance(fields, Mapping) or not fields:
        raise ValueError(f"needs properties{at}: the fields of the answer")
    if len(fields) > _MAX_FIELDS:
        raise ValueError(f"may have {_MAX_FIELDS} properties{at}, and has {len(fields)}")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise ValueError(f"needs a list of names as required{at}")
    missing = [name for name in required if name not in fields]
    if missing:
        raise ValueError(f"requires {missing[0]!r}, which is not among its properties{at}")
    for name, inner in fields.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"may name fields by letters, digits, - and _ alone{at}, and has {name[:80]!r}")
        _check_schema(inner, f"{place}.{name}" if place else name, depth + 1)


def check_shape(shape: object) -> None:
    """Raise ValueError, the end of a sentence, for what is neither words nor fields nor the schema of an object."""
    if isinstance(shape, str):
        if not shape.strip():
            raise ValueError("has no words. Leave it out for label, summary and keywords alone")
        if len(shape) > _MAX_WORDS:
            raise ValueError(f"may have {_MAX_WORDS:,} characters, and has {len(shape):,}")
        return
    if not isinstance(shape, Mapping):
        raise ValueError("must be words, fields with their types, or a JSON schema of an object")
    if not shape:
        raise ValueError("has no fields. Leave it out for label, summary and keywords alone")
    try:
        size = len(orjson.dumps(dict(shape)))
    except orjson.JSONEncodeError:  # nested too deep for JSON
        raise ValueError(f"may nest {_MAX_DEPTH} levels deep, and hold what JSON has") from None
    if size > _MAX_BYTES:
        raise ValueError(f"may take {_MAX_BYTES:,} bytes of JSON, and takes {size:,}")
    shape_properties(shape)


def _check(shape: str | dict[str, Any]) -> str | dict[str, Any]:
    try:
        check_shape(shape)
    except ValueError as error:
        raise PydanticCustomError("response_shape", "{problem}", {"problem": str(error)}) from None
    return shape


ResponseShape = Annotated[
    str | dict[str, Any],
    AfterValidator(_check),
    Field(description="Words, fields with their types, or a JSON schema of an object."),
]
"""What a model answers beside label, summary and keywords."""
