"""The schema of an answer: that of the default prompt, or one that the caller wishes, bounded."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.errors import InvalidField
from shoal.labeling.providers.plain_text import plain

__all__ = ["EVIDENCE", "KEYWORDS", "LABEL", "SUMMARY", "answer_schema", "check_details", "check_shape"]

LABEL, EVIDENCE, SUMMARY, KEYWORDS = "label", "evidence", "summary", "keywords"
DETAILS: Final = "details"
_DEEPEST, _MOST_PROPERTIES, _LONGEST = 5, 60, 8000
_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_FORWARDED: Final = frozenset(
    {"type", "properties", "required", "items", "enum", "description", "title", "minimum", "maximum", "minItems"}
    | {"maxItems", "maxLength", "minLength", "additionalProperties"}
)
_SIZES: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength"})
_BOUNDS: Final = frozenset({"minimum", "maximum"})
_NAME: Final = re.compile(r"[A-Za-z_][\w-]{0,63}", re.ASCII)


def check_shape(shape: object, where: str) -> None:
    """Raise InvalidField for a response shape that is neither words nor a schema of an object that is forwarded."""
    if shape is None:
        return
    if isinstance(shape, str):
        if not shape.strip() or len(shape) > 2000:
            raise InvalidField(where, "must be words, at most 2,000 characters, or a JSON schema")
        return
    if (
        not isinstance(shape, Mapping)
        or shape.get("type") != "object"
        or not isinstance(shape.get("properties"), Mapping)
    ):
        raise InvalidField(where, "must be a JSON schema of an object with properties, or words")
    if len(json.dumps(shape, default=str)) > _LONGEST:
        raise InvalidField(where, f"is longer than {_LONGEST:,} characters")
    if _check_schema(shape, where, 0) > _MOST_PROPERTIES:
        raise InvalidField(where, f"has more than {_MOST_PROPERTIES} properties")


def _check_schema(schema: object, where: str, depth: int) -> int:
    """Check one schema and those inside it; return the number of properties."""
    if depth > _DEEPEST:
        raise InvalidField(where, f"is nested more than {_DEEPEST} levels deep")
    if not isinstance(schema, Mapping):
        raise InvalidField(where, "must be a schema")
    unknown = sorted(set(schema) - _FORWARDED)
    if unknown:
        remedy = f"Known: {', '.join(sorted(_FORWARDED))}."
        raise InvalidField(where, "uses a keyword that models do not share", value=unknown[0], remedy=remedy)
    _check_keywords(schema, where)
    count = 0
    for name, each in schema.get("properties", {}).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidField(f"{where}.properties", "must be named by letters, digits and _", value=name)
        count += 1 + _check_schema(each, f"{where}.properties.{name}", depth + 1)
    return count + (_check_schema(schema["items"], f"{where}.items", depth + 1) if "items" in schema else 0)


def _check_keywords(schema: Mapping[str, Any], where: str) -> None:
    """Check the values of the keywords of one schema, since answers are compared with them."""
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if not all(isinstance(each, str) and each in _TYPES for each in kinds or [None]) and (
        kind is not None or "enum" not in schema
    ):
        raise InvalidField(f"{where}.type", "must be a type of JSON", value=kind)
    for name, value in schema.items():
        if name in _SIZES and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise InvalidField(f"{where}.{name}", "must be a whole number from 0", value=value)
        if name in _BOUNDS and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise InvalidField(f"{where}.{name}", "must be a number", value=value)
        if name in ("description", "title") and not isinstance(value, str):
            raise InvalidField(f"{where}.{name}", "must be a text", value=value)
    if not isinstance(schema.get("properties", {}), Mapping):
        raise InvalidField(f"{where}.properties", "must be an object")
    if not isinstance(schema.get("enum", []), list):
        raise InvalidField(f"{where}.enum", "must be a list")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(each, str) for each in required):
        raise InvalidField(f"{where}.required", "must be a list of names")


def answer_schema(
    ids: Sequence[str],
    *,
    summary: bool,
    keywords: bool,
    candidates: Sequence[str] = (),
    shape: str | Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Return the schema of an answer about documents with these ids."""
    label: dict[str, Any] = {"type": "string", "description": "The name of the group, 2 to 6 words."}
    if candidates:
        label = {"type": "string", "enum": list(candidates)}
    cited = {"type": "string", "enum": list(ids)}
    properties: dict[str, Any] = {
        LABEL: label,
        EVIDENCE: {"type": "array", "items": cited, "description": "Ids of two or more documents that show the name."},
    }
    if summary:
        properties[SUMMARY] = {"type": "string", "description": "One or two plain sentences about the group."}
    if keywords:
        items = {"type": "string"}
        properties[KEYWORDS] = {"type": "array", "items": items, "description": "3 to 8 phrases from the documents."}
    if isinstance(shape, str):
        pair = {"name": {"type": "string"}, "value": {"type": "string"}}
        items_of = {"type": "object", "properties": pair, "required": ["name", "value"], "additionalProperties": False}
        properties[DETAILS] = {"type": "array", "items": items_of, "description": f"Also wanted: {shape}"}
    elif shape is not None:
        own: Any = shape["properties"]
        properties |= {name: each for name, each in own.items() if name not in properties}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def check_details(answer: Mapping[str, Any], shape: str | Mapping[str, object] | None) -> dict[str, Any]:
    """Return what an answer says beyond label, summary and keywords. Raises ValueError, in words, for a misfit."""
    if shape is None:
        return {}
    if isinstance(shape, str):
        pairs = answer.get(DETAILS, [])
        if not isinstance(pairs, list) or not all(isinstance(each, dict) and "name" in each for each in pairs):
            raise ValueError("its details were not a list of names and values")
        return {str(each["name"])[:64]: _shorten(each.get("value")) for each in pairs[:_MOST_PROPERTIES]}
    properties: Any = shape["properties"]
    own = {name: each for name, each in properties.items() if name not in (LABEL, EVIDENCE, SUMMARY, KEYWORDS)}
    required: Any = shape.get("required", [])
    for name in required:
        if name in own and name not in answer:
            raise ValueError(f"it had no {name}")
    for name, each in own.items():
        if name in answer and not _matches(answer[name], each):
            raise ValueError(f"its {name} was not as the response shape says")
    return {name: _shorten(answer[name]) for name in own if name in answer}


def _matches(value: object, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = schema.get("type", [])
    if kinds and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if isinstance(value, dict):
        inside = schema.get("properties", {})
        inside_matches = all(_matches(value[name], each) for name, each in inside.items() if name in value)
        return inside_matches and all(name in value for name in schema.get("required", []))
    if isinstance(value, list):
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return fits and all(_matches(each, schema.get("items", {})) for each in value)
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def _is(value: object, kind: str) -> bool:
    if kind in ("integer", "number"):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return number and (kind == "number" or value == int(value))  # type: ignore[call-overload]
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, types[kind])


def _shorten(value: object, depth: int = 0) -> object:
    """Cut what is stored of an answer: texts, lists and depth."""
    if isinstance(value, str):
        return plain(value)[:500]
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        return [_shorten(each, depth + 1) for each in value[:50]]
    if isinstance(value, dict):
        return {str(name)[:64]: _shorten(each, depth + 1) for name, each in list(value.items())[:_MOST_PROPERTIES]}
    return value
