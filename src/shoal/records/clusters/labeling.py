"""The configuration of naming: `llm_labeling` of a cluster and of a run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializationInfo,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from shoal.records.base import READING, Body, Flag, Integral, Number
from shoal.records.clusters.model_parameters import ModelParameters, refuse_secrets
from shoal.records.clusters.response_shape import ResponseShape

__all__ = ["InputMapping", "Labeling", "LabelingInputs", "ModelParameters", "StoredLabeling", "TextFields"]
__all__ += ["merge_labeling", "read_labeling"]

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


CandidateLabel = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$")]


def _check_candidates(labels: list[str] | dict[str, str]) -> list[str] | dict[str, str]:
    folded = [" ".join(label.split()).casefold() for label in labels]
    if "" in folded:
        raise PydanticCustomError("blank", "{problem}", {"problem": "has a label without a letter"})
    twice = next((label for label, key in zip(labels, folded, strict=True) if folded.count(key) > 1), None)
    if twice is not None:
        raise PydanticCustomError("duplicate", "{problem}", {"problem": f"has {twice!r} twice. Labels must differ"})
    return labels


CandidateLabels = Annotated[
    Annotated[list[CandidateLabel], Field(min_length=1, max_length=255)]
    | Annotated[dict[CandidateLabel, Annotated[str, Field(max_length=500)]], Field(min_length=1, max_length=255)],
    AfterValidator(_check_candidates),
]
"""The labels to choose from, with a line about each where it is a mapping."""


class InputMapping(Body):
    """What a model is shown of a document under one key: a field (`payload`), the same text for all (`literal`), the
    numbers of a vector (`vector`), or an image in a field (`blob`)."""

    input_key: str = Field(min_length=1, max_length=255)
    source_type: Literal["payload", "literal", "vector", "blob"] | None = "payload"
    path: str | None = Field(None, max_length=512)
    """Where the value stands in the document, such as `metadata.title`; for a vector its name, null for the first."""
    override: Any = None
    """The text of a literal."""


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
    custom_prompt: str | None = Field(None, max_length=20_000)
    response_shape: ResponseShape | None = None
    parameters: ModelParameters | None = None
    candidate_labels: CandidateLabels | None = None

    @classmethod
    def translate_names(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Translate `model` of the guide pages to `model_name`; drop `description`, which only one example has. Keys of
        services are refused without their value."""
        refuse_secrets(raw)
        fields = {name: value for name, value in raw.items() if name != "description"}
        if "model" in fields:
            fields.setdefault("model_name", fields.pop("model"))
        return fields

    def readable_by_sdk(self) -> "Labeling":
        """Move a provider or model that the SDK cannot parse to `parameters`
        (contract.md#models-that-name-clusters)."""
        parameters = {} if self.parameters is None else self.parameters.model_dump(exclude_unset=True)
        update = dict[str, Any]()
        for name, readable in (("provider", _PROVIDERS), ("model_name", _MODELS)):
            value = getattr(self, name)
            if value is not None and value not in readable:
                update[name] = None
                parameters[f"shoal_{name.removesuffix('_name')}"] = value
        return self.with_changes(**{**update, "parameters": parameters} if update else {})

    @property
    def model(self) -> tuple[str | None, str | None]:
        """The provider and the model that were asked for, whether the SDK knows them or not."""
        own = self.parameters or ModelParameters()
        return self.provider or own.shoal_provider, self.model_name or own.shoal_model

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
        readable = _without_faults(stored, error)
        return None if readable == stored else read_labeling(readable)


def _without_faults(stored: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """Leave out what is invalid: a field, or one of the parameters."""
    readable = dict(stored)
    for fault in error.errors():
        key = fault.get("ctx", {}).get("key")
        place = [*fault["loc"], *([] if key is None else [key])]
        parameters = readable.get("parameters")
        if place[0] == "parameters" and len(place) > 1 and isinstance(parameters, Mapping):
            readable["parameters"] = {name: value for name, value in parameters.items() if name != place[1]}
        else:
            readable.pop(str(place[0]), None)
    return readable


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
