"""The OpenAPI description: what FastAPI reads off the routes, and what holds for all of them, told once here.

A route tells its parameters, its body and the answer to a success. Refusals, the key, path parameters and the request
id are the same everywhere, so they are added here. `tests/contract/openapi.json` keeps a copy that has been reviewed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from shoal.api.callers.permissions import X_PERMISSION
from shoal.api.errors import ErrorResponse
from shoal.api.routes import ROUTERS

__all__ = ["TAGS", "complete", "operations"]

Json: TypeAlias = dict[str, Any]

TAGS: Final = list({resource.tag["name"]: resource.tag for resource in ROUTERS}.values())
"""Every tag a route carries, in the order of the description."""

_METHODS: Final = ("get", "put", "post", "delete", "patch")
_REFUSALS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("BadRequest", "The request makes no sense as a whole: no JSON, a foreign cursor, or no namespace chosen."),
    401: ("Unauthorized", "No API key, or one that is not known."),
    403: ("Forbidden", "The API key lacks the permission for this call."),
    404: ("NotFound", "No such thing here, or it belongs to somebody else."),
    408: ("TooSlow", "The body did not arrive in time. Send it again over a better connection, or in parts."),
    409: ("Conflict", "The name is taken, or the present state forbids the move."),
    413: ("TooLarge", "The body or the answer is over its limit."),
    422: ("Invalid", "A field has a wrong value; `details.validation_errors` names it."),
    429: ("TooManyRequests", "Too many calls. Try again after `Retry-After` seconds."),
    500: ("InternalError", "A fault in Shoal, or stored bytes are not what was written. The log has the request id."),
    503: ("Unavailable", "Overloaded, or a store did not answer in time. Try again after `Retry-After` seconds."),
    507: ("DiskFull", "The disk is full: nothing was written, and reading and deleting go on."),
}
_RETRIED: Final = frozenset({429, 503})
_REF: Final = "#/components/{}/{}"
_REQUEST_ID: Final[Json] = {"X-Request-ID": {"$ref": _REF.format("headers", "RequestId")}}
_HEADERS: Final[Json] = {
    "RequestId": {
        "description": "Names this call in the log: what the caller sent as X-Request-ID, or an id made for it.",
        "schema": {"type": "string"},
    },
    "RetryAfter": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer", "minimum": 0}},
}
_KEY: Final[Json] = {
    "APIKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `sk_…`. Each operation tells under `x-permission` which permission it needs.",
    }
}
_PATH_PARAMETERS: Final = {name: text for resource in ROUTERS for name, text in resource.path_parameters.items()}
_REPLACED: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's own error bodies, which Shoal never sends."""


def complete(schema: Json) -> Json:
    """The description with refusals, security, headers and texts filled in. Changes `schema` and returns it."""
    components: Json = schema.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    for name in _REPLACED:
        schemas.pop(name, None)
    schemas.update(_error_schemas())
    components["headers"] = _HEADERS
    components["responses"] = {name: _refusal(status, text) for status, (name, text) in _REFUSALS.items()}
    components["securitySchemes"] = _KEY
    schema["security"] = [{"APIKey": []}]
    schema["tags"] = TAGS
    for _, method, operation in operations(schema):
        _complete_operation(method, operation, schemas)
    return schema


def operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    """(path, method in lower case, operation) of a description."""
    for path, methods in schema["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


def _complete_operation(method: str, operation: Json, schemas: Json) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["description"] = _PATH_PARAMETERS[parameter["name"]]
            parameter["schema"].setdefault("minLength", 1)
    if "requestBody" in operation and _may_be_absent(operation["requestBody"], schemas):
        operation["requestBody"].pop("required", None)
    if X_PERMISSION not in operation:  # OPEN: FastAPI leaves out what is None
        operation["security"] = []
    responses: Json = operation["responses"]
    for answer in responses.values():
        answer.setdefault("headers", {}).update(_REQUEST_ID)
    refusals = _refusals(method, operation) | _declared(responses)
    told = {status: answer for status, answer in responses.items() if not status.startswith(("4", "5"))}
    told |= {str(status): {"$ref": _REF.format("responses", _REFUSALS[status][0])} for status in sorted(refusals)}
    operation["responses"] = told


def _may_be_absent(body: Json, schemas: Json) -> bool:
    """No body is read as `{}`, which is enough where no field is required."""
    media: Json = body["content"].get("application/json", {})
    reference = media.get("schema", {}).get("$ref")
    return reference is not None and not schemas[reference.rpartition("/")[2]].get("required")


def _refusals(method: str, operation: Json) -> set[int]:
    """How any operation of this kind can be refused."""
    if X_PERMISSION not in operation:
        return {429, 500, 503}
    statuses = {401, 403, 429, 500, 503}
    parameters = operation.get("parameters", [])
    if parameters or "requestBody" in operation:
        statuses |= {400, 422}
    if any(parameter["in"] == "path" or parameter["name"] == "X-Namespace" for parameter in parameters):
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {408, 413}
    if method != "get" and operation[X_PERMISSION] != "read":
        statuses |= {409, 507}
    return statuses


def _declared(responses: Json) -> set[int]:
    """Refusals that a route told of itself; FastAPI's 422 stands at every route that has parameters."""
    return {int(status) for status in responses if status.isdigit() and int(status) >= 400 and status != "422"}


def _refusal(status: int, text: str) -> Json:
    headers = dict(_REQUEST_ID)
    if status in _RETRIED:
        headers["Retry-After"] = {"$ref": _REF.format("headers", "RetryAfter")}
    body = {"application/json": {"schema": {"$ref": _REF.format("schemas", ErrorResponse.__name__)}}}
    return {"description": text, "headers": headers, "content": body}


def _error_schemas() -> Json:
    described = ErrorResponse.model_json_schema(mode="serialization", ref_template=_REF.format("schemas", "{model}"))
    inner: Json = described.pop("$defs", {})
    return {**inner, ErrorResponse.__name__: described}
