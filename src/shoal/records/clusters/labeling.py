"""The configuration of naming: `llm_labeling` of a cluster and of a run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, SerializationInfo, ValidationError, WithJsonSchema

from shoal.records.base import READING, Body, Flag, Integral, Number

__all__ = ["InputMapping", "Labeling", "LabelingInputs", "StoredLabeling", "TextFields", "merge_labeling"]
__all__ += ["read_labeling"]

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
    def translate_names(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Translate `model` of the guide pages to `model_name`; drop `description`, which only one example has."""
        fields = {name: value for name, value in raw.items() if name != "description"}
        if "model" in fields:
            fields.setdefault("model_name", fields.pop("model"))
        return fields

    def readable_by_sdk(self) -> "Labeling":
        """Move a provider or model that the SDK cannot parse to `parameters`
        (contract.md#models-that-name-clusters)."""
        update, parameters = dict[str, Any](), {**(self.parameters or {})}
        for name, readable in (("provider", _PROVIDERS), ("model_name", _MODELS)):
            value = getattr(self, name)
            if value is not None and value not in readable:
                update[name] = None
                parameters[f"shoal_{name.removesuffix('_name')}"] = value
        return self.with_changes(**{**update, "parameters": parameters} if update else {})

    def as_sent(self) -> dict[str, Any]:
        """Return the fields that were sent, as they are stored and shown."""
        return self.model_dump(exclude_unset=True)

    def field_paths(self) -> list[str]:
        """Return the payload fields that names are made from."""
        mappings = () if self.labeling_inputs is None else self.labeling_inputs.input_mappings
        return [mapping.path for mapping in mappings if mapping.source_type in (None, "payload") and mapping.path]


def read_labeling(stored: object) -> Labeling | None:
    """Read a stored configuration; of one that an earlier version stored unchecked, only the valid fields."""
    if isinstance(stored, Labeling):
        return stored
    if not isinstance(stored, Mapping):
        return None
    try:
        return Labeling.model_validate(stored, context=READING).readable_by_sdk()
    except ValidationError as error:
        wrong = {fault["loc"][0] if fault["loc"] else fault.get("ctx", {}).get("key") for fault in error.errors()}
        readable = {name: value for name, value in stored.items() if name not in wrong}
        return read_labeling(readable) if len(readable) < len(stored) else None


def merge_labeling(of_cluster: Labeling | None, of_run: Labeling | None) -> Labeling:
    """Merge the configuration of a run into that of its cluster."""
    sent = [each.as_sent() for each in (of_cluster, of_run) if each is not None]
    return Labeling.model_validate({name: value for fields in sent for name, value in fields.items()}, context=READING)


def _show(labeling: Labeling | None, info: SerializationInfo) -> dict[str, Any] | None:
    return None if labeling is None else labeling.model_dump(mode=info.mode, exclude_unset=True)


_SHOWN: Final[dict[str, Any]] = {"anyOf": [{"additionalProperties": True, "type": "object"}, {"type": "null"}]}
if TYPE_CHECKING:
    StoredLabeling = Labeling | None
else:  # a model here would be a schema of its own among the answers, where clients know any object
    StoredLabeling = Annotated[Any, BeforeValidator(read_labeling), PlainSerializer(_show), WithJsonSchema(_SHOWN)]
"""A configuration in a record; shown with the fields that were sent, and no others."""
