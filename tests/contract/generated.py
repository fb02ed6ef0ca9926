"""Schemathesis over the reviewed description: generators, and the substitution of existing values.

Every third generated reference stays as generated, so that missing resources are requested as well. Nothing here
depends on the order of calls: the generated value decides which existing value replaces it.
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import pyarrow as pa
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode

from contract.description import load_reviewed
from contract.formats import file, lines, parquet, stream

__all__ = ["SEED", "Case", "load", "operations", "parse_parameters", "use_existing"]

SEED: Final = 20261128

Case: TypeAlias = schemathesis.Case[Any]
Choices = Callable[[str, str], Sequence[str]]
_KEEP_EVERY: Final = 3
_KEEP_NAMESPACE_EVERY: Final = 12
_REFERENCES: Final[Mapping[str, Any]] = {
    "collection_ids": ["docs"],
    "source_collection_id": "docs",
    "target_collection_id": "docs",
    "collection_id": "docs",
    "clustering_ids": ["groups"],
    "clustering_id": "groups",
    "feature_uris": ["v"],
    "feature_uri": "v",
    "document_ids": ["d0000", "missing"],
    "attributes": ["kind"],
    "field": "kind",
    "distinct_field": "row",
    "unwind": "text",
    "clustering_method": "kmeans",
}
"""Body keys that refer to resources, with existing values."""


def operations() -> set[str]:
    """List every operation by its Schemathesis label: `GET /v1/clusters`."""
    return {f"{method.upper()} {path}" for path, methods in load_reviewed()["paths"].items() for method in methods}


def parse_parameters(path: str) -> list[str]:
    """Return the parameters of a path template."""
    return re.findall(r"{(\w+)}", path)


def load(
    *,
    examples: int,
    coverage: bool,
    modes: Sequence[str] = ("positive", "negative"),
    raw: Mapping[str, Any] | None = None,
) -> Any:
    """Load the description with its generators: `examples` calls an operation, and those of the coverage phase."""
    config = schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "suppress-health-check": ["all"],
            "generation": {
                "mode": modes[0] if len(modes) == 1 else "all",
                "max-examples": examples,
                "deterministic": True,
                "database": "none",
                "no-shrink": False,
                "with-security-parameters": False,
            },
            "phases": {
                "examples": {"enabled": False},
                "coverage": {"enabled": coverage, "unexpected-methods": []},
                "fuzzing": {"enabled": True},
            },
            # An invalid body may also be too large.
            "checks": {"negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 409, 413, 415, 422, 429]}},
            "cache": {"enabled": False},
        }
    )
    return schemathesis.openapi.from_dict(dict(raw or load_reviewed()), config=config)


def use_existing(case: Case, choices: Choices) -> None:
    """Let two of three references of a case name existing resources. Deliberately invalid values stay."""
    for name, value in case.path_parameters.items():
        existing = choices(name, case.method)
        if existing and _valid(case, ParameterLocation.PATH) and (place := _hash(value)) % _KEEP_EVERY:
            case.path_parameters[name] = existing[place % len(existing)]
    if _valid(case, ParameterLocation.QUERY):
        for name in ("run_id", "feature"):
            existing = choices(name, case.method)
            if name in (case.query or {}) and existing and _hash(case.query[name]) % _KEEP_EVERY:
                case.query[name] = existing[0]
    if (
        _valid(case, ParameterLocation.HEADER)
        and _hash(case.headers.get("X-Namespace", case.body)) % _KEEP_NAMESPACE_EVERY
    ):
        case.headers["X-Namespace"] = "default"
    if isinstance(case.body, dict) and _valid(case, ParameterLocation.BODY):
        case.body = _use_existing_names(case.body)


def _files(write: Callable[[pa.Table], bytes]) -> st.SearchStrategy[bytes]:
    """Small files with vectors, complete and truncated, and bytes that are not a file."""
    sizes = st.integers(0, 3)
    whole = sizes.map(lambda rows: write(_table(rows)))
    return whole | whole.map(lambda content: content[: len(content) // 2]) | st.binary(max_size=64)


def _table(rows: int) -> pa.Table:
    vectors = pa.array([[float(row), 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] for row in range(rows)], pa.list_(pa.float32()))
    return pa.table({"id": pa.array([f"sent{row}" for row in range(rows)], pa.string()), "v": vectors})


for _media, _write in {
    "application/vnd.apache.arrow.stream": stream,
    "application/vnd.apache.arrow.file": file,
    "application/vnd.apache.parquet": parquet,
    "application/x-ndjson": lines,
}.items():
    schemathesis.openapi.media_type(_media, _files(_write))


def _use_existing_names(value: Any) -> Any:
    if isinstance(value, list):
        return [_use_existing_names(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _use_existing_name(name, inner) if inner is not None else None for name, inner in value.items()}


def _use_existing_name(name: str, inner: Any) -> Any:
    existing = _REFERENCES.get(name)
    if existing is not None and type(existing) is type(inner) and _hash(inner) % _KEEP_EVERY:
        return existing
    return _use_existing_names(inner)


def _valid(case: Any, location: ParameterLocation) -> bool:
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode == GenerationMode.POSITIVE


def _hash(value: object) -> int:
    return zlib.crc32(repr(value).encode(errors="surrogatepass"))
