"""Reads answers with one version of the official SDK. A program: one JSON line in, one JSON line out.

    {"method": "GET", "path": "/v1/clusters/{}", "text": "…"}  →  {"error": null}, or what the SDK raised
    {"fields": ["GET", "/v1/clusters/{}"]}                     →  {"fields": ["cluster_id", …]}

Both versions are the package `mixpeek`: PYTHONPATH selects one. The type of a route's answer is read from its source.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import mixpeek
import mixpeek.models

_DECLARED: Final = re.compile(
    r"_response_types_map: Dict\[str, Optional\[str\]\] = \{\s*'200': \"([^\"]+)\"", re.MULTILINE
)
_ROUTE: Final = re.compile(r"method='([A-Z]+)',\s*resource_path='([^']+)'")


def find_answer_types() -> dict[tuple[str, str], str]:
    """Map (method, path) to the type of the answer with status 200; path parameters are `{}`."""
    types = {}
    for file in (Path(str(mixpeek.__file__)).parent / "api").glob("*_api.py"):
        type_name = None
        for line in _find_types_and_routes(file.read_text("utf-8")):
            if isinstance(line, str):
                type_name = line
            elif type_name is not None:
                method, path = line
                types[method, re.sub(r"\{[^}]*\}", "{}", path).rstrip("/")] = type_name
    return types


def _find_types_and_routes(source: str) -> list[str | tuple[str, str]]:
    """List answer types and routes in source order: a route follows its type."""
    types = [(match.start(), match.group(1)) for match in _DECLARED.finditer(source)]
    routes = [(match.start(), (match.group(1), match.group(2))) for match in _ROUTE.finditer(source)]
    matches: list[tuple[int, Any]] = [*types, *routes]
    return [piece for _, piece in sorted(matches, key=lambda pair: pair[0])]


def list_fields(type_name: str) -> list[str]:
    """List the fields of a type by their wire names."""
    model = getattr(mixpeek.models, type_name, None)
    declared = getattr(model, "model_fields", {})
    return sorted(field.alias or name for name, field in declared.items() if name != "additional_properties")


def main() -> None:
    """Answer until there are no more lines."""
    types, client = find_answer_types(), mixpeek.ApiClient()
    for line in sys.stdin:
        question = json.loads(line)
        if "fields" in question:
            reply: dict[str, Any] = {"fields": list_fields(types.get(tuple(question["fields"]), ""))}
        else:
            type_name = types.get((question["method"], question["path"]))
            reply = {"known": type_name is not None, "error": None}
            try:
                if type_name is not None:
                    client.deserialize(question["text"], type_name, "application/json")
            except Exception as error:  # noqa: BLE001  # any error is the result
                reply["error"] = f"{type_name}: {error}"
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
