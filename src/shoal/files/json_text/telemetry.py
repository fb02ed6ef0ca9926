"""OpenTelemetry traces as JSON (OTLP): each span is a row, its attributes are fields under their own names.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from shoal.errors import InvalidField

__all__ = ["TRACES", "iter_spans"]

TRACES: Final = frozenset({"resourceSpans", "resource_spans"})
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_NANOSECONDS: Final = 10**9
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")


def iter_spans(record: bytes) -> Iterator[bytes]:
    """Yield a JSON row for each span of an export. Raises InvalidField with an empty field for any other record."""
    remedy = 'Each line is an export of traces: {"resourceSpans": […]}.'
    try:
        document = orjson.loads(record)
    except orjson.JSONDecodeError as error:
        raise InvalidField("", f"is not JSON ({error.msg})", remedy=remedy) from None
    if not isinstance(document, dict):
        raise InvalidField("", "is not a JSON object", value=document, remedy=remedy)
    for key in sorted(TRACES & document.keys()):
        if not isinstance(document[key], list):
            raise InvalidField(key, "is not an array", value=document[key], remedy=remedy)
    for key in TRACES & document.keys():
        for resource in _to_objects(document[key]):
            resource_attributes = _read_attributes(_get_mapping(resource, "resource"))
            for scope in _to_objects(_get_either(resource, "scopeSpans", "scope_spans")):
                for span in _to_objects(scope.get("spans")):
                    yield orjson.dumps({**resource_attributes, **_to_row(span)})


def _to_row(span: Mapping[str, Any]) -> dict[str, Any]:
    kind, status = span.get("kind"), _get_mapping(span, "status")
    start, end = (
        _format_time(_get_either(span, f"{name}TimeUnixNano", f"{name}_time_unix_nano")) for name in ("start", "end")
    )
    own = {
        "span_id": _get_either(span, "spanId", "span_id"),
        "trace_id": _get_either(span, "traceId", "trace_id"),
        "parent_span_id": _get_either(span, "parentSpanId", "parent_span_id") or None,
        "name": span.get("name"),
        "kind": _KINDS[kind] if isinstance(kind, int) and 0 <= kind < len(_KINDS) else kind,
        "start_time": start,
        "end_time": end,
        "status": status.get("code"),
    }
    attributes = {name if name not in own else f"attributes.{name}": v for name, v in _read_attributes(span).items()}
    return {**{name: value for name, value in own.items() if value is not None}, **attributes}


def _read_attributes(mapping: Mapping[str, Any]) -> dict[str, Any]:
    pairs = (pair for pair in _to_objects(mapping.get("attributes")) if isinstance(pair.get("key"), str))
    return {pair["key"]: _unwrap_value(pair.get("value")) for pair in pairs}


def _unwrap_value(any_value: object) -> object:
    """Return the plain value of an `AnyValue`; 64-bit integers are encoded as strings."""
    if not isinstance(any_value, Mapping) or len(any_value) != 1:
        return None
    ((kind, value),) = any_value.items()
    match kind:
        case "intValue" | "int_value":
            return _parse_int(value)
        case "arrayValue" | "array_value":
            return [_unwrap_value(item) for item in _to_objects(_get_mapping(any_value, kind).get("values"))]
        case "kvlistValue" | "kvlist_value":
            pairs = _to_objects(_get_mapping(any_value, kind).get("values"))
            return {str(pair.get("key")): _unwrap_value(pair.get("value")) for pair in pairs}
        case _:
            return value


def _parse_int(value: object) -> object:
    """Parse a 64-bit integer encoded as a string; any other value is returned unchanged."""
    if isinstance(value, str) and _NUMBER.fullmatch(value) and -(2**63) <= int(value) < 2**64:
        return int(value)
    return value


def _format_time(nanoseconds: object) -> str | None:
    try:
        moment = datetime.fromtimestamp(int(str(nanoseconds)) / _NANOSECONDS, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat().replace("+00:00", "Z")


def _get_either(mapping: Mapping[str, Any], name: str, alias: str) -> Any:
    return mapping.get(name, mapping.get(alias))


def _get_mapping(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = mapping.get(name)
    return value if isinstance(value, Mapping) else {}


def _to_objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
