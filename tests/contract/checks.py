"""What is asked of every answer, beyond what Schemathesis asks by itself."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemathesis import CheckContext
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ensure_resource_availability,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)

__all__ = ["ALWAYS", "AUTHORIZATION", "IN_SEQUENCES", "every_number", "is_finite", "undescribed"]

Json = Mapping[str, Any]

load_all_checks()
_CODE: Final = ('File "', "Traceback", ".py", "sqlite3.", "site-packages")


def numbers_are_finite(ctx: CheckContext, response: Response, case: Any) -> None:
    """JSON has no NaN, and 1e999 is infinite once it is read."""
    if _is_json(response) and not is_finite(response.content):
        raise Failure(operation=case.operation.label, title="A number that is not finite", message=response.text[:500])


def answers_are_described(ctx: CheckContext, response: Response, case: Any) -> None:
    """A field that the description does not know is a promise nobody reviewed."""
    if not _is_json(response) or response.status_code >= 400:
        return
    described = case.operation.schema.raw_schema
    schema = _schema_of(described, case.path, case.method, response.status_code)
    if found := sorted(set(undescribed(response.json(), schema, described))):
        raise Failure(operation=case.operation.label, title="Fields that are not described", message=", ".join(found))


def refusals_tell_no_code(ctx: CheckContext, response: Response, case: Any) -> None:
    """An error is the contract's error, with a request id, and shows nothing of the inside."""
    if "x-request-id" not in response.headers:
        raise Failure(operation=case.operation.label, title="No request id", message=str(response.headers))
    if response.status_code < 400:
        return
    error = response.json()["error"]
    told = [word for word in _CODE if word in error["message"]]
    if told or not error["message"]:
        raise Failure(operation=case.operation.label, title="An error that is no help", message=response.text[:500])


ALWAYS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    numbers_are_finite,
    answers_are_described,
    refusals_tell_no_code,
]
AUTHORIZATION: Final = [ignored_auth]
"""Sends two more calls for a success, so it is asked once an operation."""

IN_SEQUENCES: Final = [
    *(check for check in ALWAYS if check is not negative_data_rejection),
    use_after_free,
    ensure_resource_availability,
]


def is_finite(body: bytes) -> bool:
    """Whether a JSON body holds finite numbers and null alone."""

    def refuse(word: str) -> float:
        return math.nan

    return all(math.isfinite(number) for number in every_number(json.loads(body, parse_constant=refuse)))


def every_number(value: Any) -> Iterator[float]:
    """Every number in a JSON value, integers too."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from every_number(item)
    elif isinstance(value, (int, float)):
        yield value


def undescribed(value: Any, schema: Json, described: Json, path: str = "") -> Iterator[str]:
    """The dotted paths of the fields in a JSON value that a schema does not name."""
    kinds = list(_alternatives(schema, described))
    if isinstance(value, list):
        for kind in kinds:
            if "items" in kind:
                for item in value:
                    yield from undescribed(item, kind["items"], described, f"{path}[]")
                return
    if not isinstance(value, dict):
        return
    objects = [kind for kind in kinds if "properties" in kind or "additionalProperties" in kind]
    free = [kind.get("additionalProperties") for kind in objects]
    if not objects or True in free:
        return
    for name, inner in value.items():
        shapes = [kind["properties"][name] for kind in objects if name in kind.get("properties", {})]
        shapes = shapes or [shape for shape in free if isinstance(shape, dict)]
        if not shapes:
            yield f"{path}.{name}"
        else:
            yield from undescribed(inner, {"anyOf": shapes}, described, f"{path}.{name}")


def _alternatives(schema: Json, described: Json) -> Iterator[Json]:
    if "$ref" in schema:
        found: Any = described
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        yield from _alternatives(found, described)
        return
    yield schema
    for keyword in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(keyword, ()):
            yield from _alternatives(inner, described)


def _schema_of(described: Json, path: str, method: str, status: int) -> Json:
    answer = described["paths"][path][method.lower()]["responses"].get(str(status), {})
    schema: Json = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def _is_json(response: Response) -> bool:
    return response.headers.get("content-type", [""])[0].startswith("application/json") and bool(response.content)
