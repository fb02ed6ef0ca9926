"""The schema of `summary.json` that its readers rely on: it may be of another version, or edited by hand."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoal.errors import InvalidField

__all__ = ["check_summary"]

_Count = Annotated[int, Field(ge=0)]


class _Shape(BaseModel):
    """Extra keys are allowed: a summary holds more than is read from it."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Part(_Shape):
    cluster_id: str
    label: str
    size: _Count
    parent: str | None = None
    keywords: list[str] = []


class _Cluster(_Part):
    keywords: list[str]
    share: float | None = None
    examples: list[str] = []


class _Layers(_Shape):
    named: list[list[_Part]]
    chosen: _Count


class _Source(_Shape):
    rows_read: int | None = None


class _Facet(_Shape):
    question: str
    model: str
    calls: _Count
    cached: _Count
    input_tokens: _Count
    output_tokens: _Count
    cost: float | None


class _Summary(_Shape):
    documents: _Count
    num_clusters: _Count
    noise: _Count
    algorithm: str
    metrics: dict[str, float | None]
    warnings: list[str]
    seconds: float
    exact: bool
    clusters: list[_Cluster]
    text: list[str] | None = None
    encoder: str | None = None
    source: _Source | None = None
    layers: _Layers | None = None
    facet: _Facet | None = None


def check_summary(summary: Mapping[str, Any], name: str) -> None:
    """Raise InvalidField naming the first key of `summary`, the content of the file `name`, that is missing or
    invalid."""
    try:
        parsed = _Summary.model_validate(summary)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"]).lstrip(".")
        problem = f"is of another version or was edited: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        raise InvalidField(name, problem, remedy="Cluster again.") from None
    if parsed.layers is not None and parsed.layers.chosen >= len(parsed.layers.named):
        problem = f"is of another version or was edited: layers.chosen is no layer: {parsed.layers.chosen}"
        raise InvalidField(name, problem, remedy="Cluster again.")
