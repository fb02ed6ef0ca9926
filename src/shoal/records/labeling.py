"""How clusters are named: the part `llm_labeling` of a cluster and of a run."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError

from shoal.records.base import READING, Body, Flag, Integral, Number

__all__ = ["InputMapping", "Labeling", "LabelingInputs", "StoredLabeling", "TextFields"]

_MODELS: Final = frozenset(
    [
        "gpt-4o-2024-08-06",
        "gpt-4o-mini-2024-07-18",
        "gpt-4.1-2025-04-14",
        "gpt-4.1-mini-2025-04-14",
        "o3-mini-2025-01-31",
        "gemini-2.5-flash-lite",
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        "gemini-3.1-flash-lite",
        "gemini-3.5-flash-lite",
        "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5-20251001",
        "claude-3-5-sonnet-20241022",
        "claude-3-5-haiku-20241022",
        "jev-latest",
        "jev-preview",
        "jev-1.13.0",
    ]
)
_PROVIDERS: Final = frozenset({"openai", "google", "anthropic", "typesafe"})


TextFields = Annotated[list[Annotated[str, Field(min_length=1, max_length=512)]], Field(min_length=1, max_length=20)]
"""Fields of the documents that clusters are named from, such as `title` or `metadata.body`."""


class InputMapping(Body):
    """A field of the documents that a name is made from."""

    input_key: str = Field(min_length=1, max_length=255)
    source_type: Literal["payload", "literal", "vector", "blob"] | None = "payload"
    path: str | None = Field(None, max_length=512)
    override: Any = None


class LabelingInputs(Body):
    input_mappings: list[InputMapping] = Field(min_length=1, max_length=100)


class Labeling(Body):
    """LLMLabeling of the official SDK, as strict as its models are on what they read."""

    enabled: Flag | None = False
    labeling_inputs: LabelingInputs | None = None
    provider: str | None = Field(None, max_length=255)
    model_name: str | None = Field(None, max_length=255)
    include_summary: Flag | None = True
    include_keywords: Flag | None = True
    max_samples_per_cluster: Annotated[int, Field(ge=1, le=20), Integral] | None = None
    sample_text_max_length: Annotated[int, Field(ge=50, le=500), Integral] | None = 200
    sample_selection_strategy: Literal["nearest", "representative"] | None = "nearest"
    use_embedding_dedup: Flag | None = True
    embedding_similarity_threshold: Number | None = Field(0.8, ge=0.5, le=1.0)
    cache_ttl_seconds: Annotated[int, Field(ge=0, le=2_592_000), Integral] | None = 604_800
    labeling_context: str | None = Field(None, max_length=2000)
    custom_prompt: str | None = Field(None, max_length=100_000)
    response_shape: str | dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    candidate_labels: list[str] | dict[str, str] | None = None

    @classmethod
    def translated(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """`model` of the guide pages is `model_name`; `description`, of one example alone, is dropped."""
        kept = {name: value for name, value in raw.items() if name != "description"}
        if "model" in kept:
            kept.setdefault("model_name", kept.pop("model"))
        return kept

    def shown(self) -> dict[str, Any]:
        """What was sent, as it is kept and shown. A provider or model that the SDK cannot read goes to `parameters`
        (contract.md#models-that-name-clusters)."""
        kept = self.model_dump(exclude_unset=True)
        for name, known in (("provider", _PROVIDERS), ("model_name", _MODELS)):
            value = kept.get(name)
            if value is not None and value not in known:
                truth = {f"shoal_{name.removesuffix('_name')}": value}
                kept |= {name: None, "parameters": {**(kept.get("parameters") or {}), **truth}}
        return kept


def _readable(stored: object) -> object:
    """Of what an earlier version stored unchecked, the parts that hold what they should."""
    if not isinstance(stored, Mapping):
        return None
    try:
        return Labeling.model_validate(stored, context=READING).shown()
    except ValidationError as error:
        wrong = {fault["loc"][0] if fault["loc"] else fault.get("ctx", {}).get("key") for fault in error.errors()}
        kept = {name: value for name, value in stored.items() if name not in wrong}
        return _readable(kept) if len(kept) < len(stored) else None


StoredLabeling = Annotated[dict[str, Any], BeforeValidator(_readable)]
"""A `Labeling` in a record: the fields that were sent."""
