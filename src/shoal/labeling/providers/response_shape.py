"""The schema of an answer: that of the default prompt, or one that the caller wishes, bounded."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.labeling.providers.plain_text import plain
from shoal.records.clusters.response_shape import shape_properties

__all__ = ["EVIDENCE", "KEYWORDS", "LABEL", "SUMMARY", "answer_schema", "check_details"]

LABEL, EVIDENCE, SUMMARY, KEYWORDS = "label", "evidence", "summary", "keywords"
DETAILS: Final = "details"
_DEEPEST, _MOST_PROPERTIES = 5, 60


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
        properties |= {name: each for name, each in shape_properties(shape).items() if name not in properties}
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
    own = {
        name: each for name, each in shape_properties(shape).items() if name not in (LABEL, EVIDENCE, SUMMARY, KEYWORDS)
    }
    required = shape.get("required", []) if shape.get("type") == "object" else []
    for name in required if isinstance(required, list) else []:
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
