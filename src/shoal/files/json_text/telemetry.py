"""OpenTelemetry's traces as JSON (OTLP): each span a row, its attributes as fields under their own names.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from shoal.errors import InvalidField

__all__ = ["TRACES", "spans_of"]

TRACES: Final = frozenset({"resourceSpans", "resource_spans"})
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_NANOSECONDS: Final = 10**9
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")


def spans_of(record: bytes) -> Iterator[bytes]:
    """A row of JSON for each span of an export. Raises InvalidField with an empty field for what is none."""
    remedy = 'Each line is an export of traces: {"resourceSpans": […]}.'
    try:
        document = orjson.loads(record)
    except orjson.JSONDecodeError as error:
        raise InvalidField("", f"is not JSON ({error.msg})", remedy=remedy) from None
    if not isinstance(document, dict):
        raise InvalidField("", "is no JSON object", value=document, remedy=remedy)
    for key in sorted(TRACES & document.keys()):
        if not isinstance(document[key], list):
            raise InvalidField(key, "is no array", value=document[key], remedy=remedy)
    for key in TRACES & document.keys():
        for resource in _listed(document[key]):
            of_resource = _attributes(_field(resource, "resource"))
            for scope in _listed(_either(resource, "scopeSpans", "scope_spans")):
                for span in _listed(scope.get("spans")):
                    yield orjson.dumps({**of_resource, **_row(span)})


def _row(span: Mapping[str, Any]) -> dict[str, Any]:
    kind, status = span.get("kind"), _field(span, "status")
    start, end = (_time(_either(span, f"{name}TimeUnixNano", f"{name}_time_unix_nano")) for name in ("start", "end"))
    own = {
        "span_id": _either(span, "spanId", "span_id"),
        "trace_id": _either(span, "traceId", "trace_id"),
        "parent_span_id": _either(span, "parentSpanId", "parent_span_id") or None,
        "name": span.get("name"),
        "kind": _KINDS[kind] if isinstance(kind, int) and 0 <= kind < len(_KINDS) else kind,
        "start_time": start,
        "end_time": end,
        "status": status.get("code"),
    }
    attributes = {name if name not in own else f"attributes.{name}": v for name, v in _attributes(span).items()}
    return {**{name: value for name, value in own.items() if value is not None}, **attributes}


def _attributes(held: Mapping[str, Any]) -> dict[str, Any]:
    pairs = (pair for pair in _listed(held.get("attributes")) if isinstance(pair.get("key"), str))
    return {pair["key"]: _value(pair.get("value")) for pair in pairs}


def _value(any_value: object) -> object:
    """The plain value of an `AnyValue`; 64-bit numbers come as text."""
    if not isinstance(any_value, Mapping) or len(any_value) != 1:
        return None
    ((kind, value),) = any_value.items()
    match kind:
        case "intValue" | "int_value":
            return _whole(value)
        case "arrayValue" | "array_value":
            return [_value(one) for one in _listed(_field(any_value, kind).get("values"))]
        case "kvlistValue" | "kvlist_value":
            pairs = _listed(_field(any_value, kind).get("values"))
            return {str(pair.get("key")): _value(pair.get("value")) for pair in pairs}
        case _:
            return value


def _whole(value: object) -> object:
    """A number of 64 bits, which comes as text; any other text stays as it is."""
    if isinstance(value, str) and _NUMBER.fullmatch(value) and -(2**63) <= int(value) < 2**64:
        return int(value)
    return value


def _time(nanoseconds: object) -> str | None:
    try:
        moment = datetime.fromtimestamp(int(str(nanoseconds)) / _NANOSECONDS, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat().replace("+00:00", "Z")


def _either(held: Mapping[str, Any], one: str, other: str) -> Any:
    return held.get(one, held.get(other))


def _field(held: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = held.get(name)
    return found if isinstance(found, Mapping) else {}


def _listed(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
