"""Reads answers as one version of the official SDK does. A program: one JSON line in, one JSON line out.

    {"method": "GET", "path": "/v1/clusters/{}", "text": "…"}  →  {"error": null}, or what the SDK raised
    {"fields": ["GET", "/v1/clusters/{}"]}                     →  {"fields": ["cluster_id", …]}

Both versions are one package, `mixpeek`: PYTHONPATH says which. The type of a route's answer is read from its source.
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


def answers() -> dict[tuple[str, str], str]:
    """The type of the answer with status 200 by method and path; parameters of paths are `{}`."""
    found = {}
    for file in (Path(str(mixpeek.__file__)).parent / "api").glob("*_api.py"):
        kind = None
        for line in _pieces(file.read_text("utf-8")):
            if isinstance(line, str):
                kind = line
            elif kind is not None:
                method, path = line
                found[method, re.sub(r"\{[^}]*\}", "{}", path).rstrip("/")] = kind
    return found


def _pieces(source: str) -> list[str | tuple[str, str]]:
    """Types of answers and routes in the order in which they stand: a route comes after its type."""
    types = [(match.start(), match.group(1)) for match in _DECLARED.finditer(source)]
    routes = [(match.start(), (match.group(1), match.group(2))) for match in _ROUTE.finditer(source)]
    pieces: list[tuple[int, Any]] = [*types, *routes]
    return [piece for _, piece in sorted(pieces, key=lambda pair: pair[0])]


def fields(kind: str) -> list[str]:
    """The fields of a type, by the names they have on the wire."""
    model = getattr(mixpeek.models, kind, None)
    declared = getattr(model, "model_fields", {})
    return sorted(field.alias or name for name, field in declared.items() if name != "additional_properties")


def main() -> None:
    """Answer until there are no more lines."""
    known, client = answers(), mixpeek.ApiClient()
    for line in sys.stdin:
        asked = json.loads(line)
        if "fields" in asked:
            reply: dict[str, Any] = {"fields": fields(known.get(tuple(asked["fields"]), ""))}
        else:
            kind = known.get((asked["method"], asked["path"]))
            reply = {"known": kind is not None, "error": None}
            try:
                if kind is not None:
                    client.deserialize(asked["text"], kind, "application/json")
            except Exception as error:  # noqa: BLE001  # whatever it raises is the finding
                reply["error"] = f"{kind}: {error}"
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
