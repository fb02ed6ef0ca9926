"""Schemathesis over the reviewed description: what is generated, and how values that exist get into it.

Every third generated reference is left as it came, so that what does not exist is asked for as well. Nothing here
depends on the order of calls: which value is taken is decided by the generated one.
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

from contract.description import reviewed
from contract.formats import file, lines, parquet, stream

__all__ = ["SEED", "Case", "load", "named_in", "operations", "reachable"]

SEED: Final = 20261128

Case: TypeAlias = schemathesis.Case[Any]
Choices = Callable[[str, str], Sequence[str]]
_LEFT: Final = 3
_SELDOM: Final = 12
_REFERENCES: Final[Mapping[str, Any]] = {
    "collection_ids": ["docs"],
    "source_collection_id": "docs",
    "target_collection_id": "docs",
    "collection_id": "docs",
    "clustering_ids": ["groups"],
    "clustering_id": "groups",
    "feature_uris": ["v"],
    "feature_uri": "v",
    "document_ids": ["d0000", "nobody"],
    "attributes": ["kind"],
    "field": "kind",
    "distinct_field": "row",
    "unwind": "text",
    "clustering_method": "kmeans",
}
"""Keys of bodies that name something, with what is planted under that name."""


def operations() -> set[str]:
    """Every operation, as Schemathesis calls it: `GET /v1/clusters`."""
    return {f"{method.upper()} {path}" for path, methods in reviewed()["paths"].items() for method in methods}


def named_in(path: str) -> list[str]:
    """The parameters of a path template."""
    return re.findall(r"{(\w+)}", path)


def load(
    *,
    examples: int,
    coverage: bool,
    modes: Sequence[str] = ("positive", "negative"),
    raw: Mapping[str, Any] | None = None,
) -> Any:
    """The description with its generators: `examples` calls an operation, and those of the coverage phase."""
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
            # A body that is wrong may be too large as well.
            "checks": {"negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 409, 413, 415, 422, 429]}},
            "cache": {"enabled": False},
        }
    )
    return schemathesis.openapi.from_dict(dict(raw or reviewed()), config=config)


def reachable(case: Case, choices: Choices) -> None:
    """Let two of three references of a case name what exists. What was made invalid on purpose stays so."""
    for name, value in case.path_parameters.items():
        known = choices(name, case.method)
        if known and _valid(case, ParameterLocation.PATH) and (place := _hash(value)) % _LEFT:
            case.path_parameters[name] = known[place % len(known)]
    if _valid(case, ParameterLocation.QUERY):
        for name in ("run_id", "feature"):
            known = choices(name, case.method)
            if name in (case.query or {}) and known and _hash(case.query[name]) % _LEFT:
                case.query[name] = known[0]
    if _valid(case, ParameterLocation.HEADER) and _hash(case.headers.get("X-Namespace", case.body)) % _SELDOM:
        case.headers["X-Namespace"] = "default"
    if isinstance(case.body, dict) and _valid(case, ParameterLocation.BODY):
        case.body = _named(case.body)


def _files(write: Callable[[pa.Table], bytes]) -> st.SearchStrategy[bytes]:
    """Small files with vectors, whole and cut off, and bytes that are no file."""
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


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _known(name, inner) if inner is not None else None for name, inner in value.items()}


def _known(name: str, inner: Any) -> Any:
    known = _REFERENCES.get(name)
    if known is not None and type(known) is type(inner) and _hash(inner) % _LEFT:
        return known
    return _named(inner)


def _valid(case: Any, location: ParameterLocation) -> bool:
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode == GenerationMode.POSITIVE


def _hash(value: object) -> int:
    return zlib.crc32(repr(value).encode(errors="surrogatepass"))
