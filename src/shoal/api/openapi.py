"""The OpenAPI description: what FastAPI derives from the routes, completed by what all of them share.

A route declares its parameters, its body and its success response. Error responses, the API key, path parameters and
the request id are the same everywhere and are added here. `tests/contract/openapi.json` is the reviewed copy.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from shoal.api.callers.permissions import X_PERMISSION
from shoal.api.errors import ErrorResponse
from shoal.api.routes import ROUTERS

__all__ = ["TAGS", "complete", "operations"]

Json: TypeAlias = dict[str, Any]

TAGS: Final = list({resource.tag["name"]: resource.tag for resource in ROUTERS}.values())
"""The tags of all routes, in the order of the description."""

_METHODS: Final = ("get", "put", "post", "delete", "patch")
_REFUSALS: Final[Mapping[int, tuple[str, str]]] = {
    400: (
        "BadRequest",
        "The request is invalid as a whole: not JSON, a cursor of another list, or no namespace chosen.",
    ),
    401: ("Unauthorized", "The API key is missing or unknown."),
    403: ("Forbidden", "The API key lacks the permission for this call."),
    404: ("NotFound", "It does not exist, or it belongs to another organisation or namespace."),
    408: ("TooSlow", "The body did not arrive in time. Send it again over a faster connection, or in parts."),
    409: ("Conflict", "The name is taken, or the current state does not allow the operation."),
    413: ("TooLarge", "The body or the answer exceeds its limit."),
    422: ("Invalid", "A field has an invalid value; `details.validation_errors` names it."),
    429: ("TooManyRequests", "Too many calls. Try again after `Retry-After` seconds."),
    500: ("InternalError", "A bug in Shoal, or stored data is damaged. The log has the request id."),
    503: ("Unavailable", "Overloaded, or a store did not answer in time. Try again after `Retry-After` seconds."),
    507: ("DiskFull", "The disk is full: nothing was written; reading and deleting still work."),
}
_RETRYABLE: Final = frozenset({429, 503})
_REF: Final = "#/components/{}/{}"
_REQUEST_ID: Final[Json] = {"X-Request-ID": {"$ref": _REF.format("headers", "RequestId")}}
_HEADERS: Final[Json] = {
    "RequestId": {
        "description": "Identifies this request in the log: the X-Request-ID of the caller, or a generated id.",
        "schema": {"type": "string"},
    },
    "RetryAfter": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer", "minimum": 0}},
}
_KEY: Final[Json] = {
    "APIKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `sk_…`. The permission that an operation requires is in `x-permission`.",
    }
}
_PATH_PARAMETERS: Final = {name: text for resource in ROUTERS for name, text in resource.path_parameters.items()}
_REPLACED: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's own error bodies, which Shoal never sends."""


def complete(schema: Json) -> Json:
    """Add error responses, security, headers and texts to a description. Changes `schema` and returns it."""
    components: Json = schema.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    for name in _REPLACED:
        schemas.pop(name, None)
    schemas.update(_error_schemas())
    components["headers"] = _HEADERS
    components["responses"] = {name: _describe_refusal(status, text) for status, (name, text) in _REFUSALS.items()}
    components["securitySchemes"] = _KEY
    schema["security"] = [{"APIKey": []}]
    schema["tags"] = TAGS
    for _, method, operation in operations(schema):
        _complete_operation(method, operation, schemas)
    return schema


def operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    """Yield (path, method in lower case, operation)."""
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
    refusals = _possible_refusals(method, operation) | _list_declared(responses)
    documented = {status: answer for status, answer in responses.items() if not status.startswith(("4", "5"))}
    documented |= {str(status): {"$ref": _REF.format("responses", _REFUSALS[status][0])} for status in sorted(refusals)}
    operation["responses"] = documented


def _may_be_absent(body: Json, schemas: Json) -> bool:
    """Whether no field is required: an absent body is read as `{}`."""
    media: Json = body["content"].get("application/json", {})
    reference = media.get("schema", {}).get("$ref")
    return reference is not None and not schemas[reference.rpartition("/")[2]].get("required")


def _possible_refusals(method: str, operation: Json) -> set[int]:
    """Return the error statuses that any operation of this kind may have."""
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


def _list_declared(responses: Json) -> set[int]:
    """Return the error statuses that a route declares; FastAPI adds 422 to every route with parameters."""
    return {int(status) for status in responses if status.isdigit() and int(status) >= 400 and status != "422"}


def _describe_refusal(status: int, text: str) -> Json:
    headers = dict(_REQUEST_ID)
    if status in _RETRYABLE:
        headers["Retry-After"] = {"$ref": _REF.format("headers", "RetryAfter")}
    body = {"application/json": {"schema": {"$ref": _REF.format("schemas", ErrorResponse.__name__)}}}
    return {"description": text, "headers": headers, "content": body}


def _error_schemas() -> Json:
    described = ErrorResponse.model_json_schema(mode="serialization", ref_template=_REF.format("schemas", "{model}"))
    inner: Json = described.pop("$defs", {})
    return {**inner, ErrorResponse.__name__: described}
