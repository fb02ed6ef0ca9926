"""Checks of every answer, beyond those of Schemathesis."""

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

__all__ = ["ALWAYS", "AUTHORIZATION", "IN_SEQUENCES", "find_undescribed", "is_finite", "iterate_numbers"]

Json = Mapping[str, Any]

load_all_checks()
_CODE: Final = ('File "', "Traceback", ".py", "sqlite3.", "site-packages")


def numbers_are_finite(ctx: CheckContext, response: Response, case: Any) -> None:
    """Numbers are finite: JSON has no NaN, and 1e999 becomes infinite when parsed."""
    if _is_json(response) and not is_finite(response.content):
        raise Failure(operation=case.operation.label, title="A number that is not finite", message=response.text[:500])


def answers_are_described(ctx: CheckContext, response: Response, case: Any) -> None:
    """Every field is described: an undescribed field is an unreviewed promise."""
    if not _is_json(response) or response.status_code >= 400:
        return
    description = case.operation.schema.raw_schema
    schema = _schema_of(description, case.path, case.method, response.status_code)
    if fields := sorted(set(find_undescribed(response.json(), schema, description))):
        raise Failure(operation=case.operation.label, title="Fields that are not described", message=", ".join(fields))


def errors_reveal_no_internals(ctx: CheckContext, response: Response, case: Any) -> None:
    """An error has the contract's form and a request id, and reveals no internals."""
    if "x-request-id" not in response.headers:
        raise Failure(operation=case.operation.label, title="No request id", message=str(response.headers))
    if response.status_code < 400:
        return
    error = response.json()["error"]
    leaks = [word for word in _CODE if word in error["message"]]
    if leaks or not error["message"]:
        raise Failure(operation=case.operation.label, title="An error that does not help", message=response.text[:500])


ALWAYS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    numbers_are_finite,
    answers_are_described,
    errors_reveal_no_internals,
]
AUTHORIZATION: Final = [ignored_auth]
"""Sends two more calls per success, so it runs once per operation."""

IN_SEQUENCES: Final = [
    *(check for check in ALWAYS if check is not negative_data_rejection),
    use_after_free,
    ensure_resource_availability,
]


def is_finite(body: bytes) -> bool:
    """Return whether all numbers of a JSON body are finite."""

    def refuse(word: str) -> float:
        return math.nan

    return all(math.isfinite(number) for number in iterate_numbers(json.loads(body, parse_constant=refuse)))


def iterate_numbers(value: Any) -> Iterator[float]:
    """Iterate over every number in a JSON value, integers included."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from iterate_numbers(item)
    elif isinstance(value, (int, float)):
        yield value


def find_undescribed(value: Any, schema: Json, description: Json, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of fields in a JSON value that a schema does not describe."""
    kinds = list(_alternatives(schema, description))
    if isinstance(value, list):
        for kind in kinds:
            if "items" in kind:
                for item in value:
                    yield from find_undescribed(item, kind["items"], description, f"{path}[]")
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
            yield from find_undescribed(inner, {"anyOf": shapes}, description, f"{path}.{name}")


def _alternatives(schema: Json, description: Json) -> Iterator[Json]:
    if "$ref" in schema:
        target: Any = description
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        yield from _alternatives(target, description)
        return
    yield schema
    for keyword in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(keyword, ()):
            yield from _alternatives(inner, description)


def _schema_of(description: Json, path: str, method: str, status: int) -> Json:
    answer = description["paths"][path][method.lower()]["responses"].get(str(status), {})
    schema: Json = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def _is_json(response: Response) -> bool:
    return response.headers.get("content-type", [""])[0].startswith("application/json") and bool(response.content)
