"""Parameters of a model that names clusters: what a request may set, and nothing that is the operator's."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from pydantic_core import PydanticCustomError

from shoal.records.base import Body, Flag, Integral, Number

__all__ = ["ModelParameters", "refuse_secrets"]

_SECRET: Final = re.compile(r"(?i)(api[_-]?key|token|secret|password|credential|authorization|^key|headers?)s?$")
_OPERATOR: Final = (
    "is for the operator of the server, who connects models with their addresses and keys (docs/language-models.md). "
    "Leave it out, and choose one of the connected models by provider and model_name."
)
Tokens = Annotated[int, Field(ge=64, le=8_192), Integral]
Penalty = Annotated[float, Field(strict=True, ge=-2, le=2)]


def refuse_secrets(raw: Mapping[str, Any]) -> None:
    """Refuse a field that looks like a key, without repeating its value: errors reach logs."""
    for name, value in raw.items():
        if value is not None and _SECRET.search(str(name)) and not str(name).startswith("max_"):
            raise PydanticCustomError("extra_forbidden", "{problem}", {"problem": _OPERATOR, "key": name})


class ModelParameters(Body):
    """What is passed on to the provider of a model, as far as it knows it; and the budget of a run."""

    UNAVAILABLE: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("base_url", "api_base", "endpoint", "url", "host", "organization", "project", "timeout", "proxy"), _OPERATOR
    ) | {
        "n": "is always 1: one answer is asked for each cluster.",
        "stop": "would cut the answer, which is JSON.",
        "stream": "is chosen by the server.",
        "tools": "cannot be set: the model is shown documents, which must not make it act.",
        "response_format": "is made from response_shape. Set llm_labeling.response_shape.",
        "messages": "is made from the documents. Set llm_labeling.custom_prompt or labeling_context.",
        "system": "cannot be set. Set llm_labeling.labeling_context.",
    }

    temperature: Number | None = Field(None, ge=0, le=2)
    top_p: Number | None = Field(None, gt=0, le=1)
    top_k: Annotated[int, Field(ge=1, le=1000), Integral] | None = None
    max_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), Integral] | None = None
    json_output: Flag | None = None
    """Has no effect: answers are always JSON."""
    budget: Number | None = Field(None, ge=0, le=1_000_000)
    """The most that a run may spend on this model, in US dollars; the server's own limit holds as well."""
    shoal_provider: str | None = Field(None, max_length=255)
    shoal_model: str | None = Field(None, max_length=255)
    """The provider and model, where the official SDK does not know them."""

    @classmethod
    def translate_names(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refuse keys of services."""
        refuse_secrets(raw)
        return raw

    @property
    def output_tokens(self) -> int | None:
        """The most tokens of an answer, under whichever name it was sent."""
        return self.max_tokens or self.max_output_tokens

    def sampling(self) -> dict[str, Any]:
        """Return what is passed on to the provider, without what only Shoal reads."""
        own = {"budget", "shoal_provider", "shoal_model", "json_output", "max_output_tokens"}
        values = self.model_dump(exclude_none=True, exclude=own)
        return values if self.output_tokens is None else {**values, "max_tokens": self.output_tokens}
