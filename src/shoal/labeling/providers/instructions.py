"""What a model is asked to write: the fields of `llm_labeling`, checked, without the types of the wire."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from shoal.errors import InvalidField
from shoal.records.clusters.response_shape import check_shape

__all__ = ["MOST_CANDIDATES", "Instructions", "Strategy", "read_candidates"]

Strategy = Literal["nearest", "representative"]
MOST_CANDIDATES: Final = 255
_FIELD: Final = "llm_labeling"
_LONGEST: Final = {"context": 2000, "prompt": 20_000}
_SETTINGS: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2),
    "top_k": (1, 1000), "seed": (0, 2**31 - 1), "max_tokens": (64, 8192), "max_output_tokens": (64, 8192),
}  # fmt: skip
_WHOLE: Final = frozenset({"top_k", "seed", "max_tokens", "max_output_tokens"})
_IGNORED: Final = frozenset({"json_output", "shoal_provider", "shoal_model"})
"""Answers are always JSON; the others are how Shoal shows a model that an SDK cannot parse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """What a model is asked to write, and what it is shown. Raises InvalidField, which names the field of
    `llm_labeling`, if one cannot be used.

    Attributes
    ----------
    include_summary, include_keywords : bool
        Whether summaries and keywords are written too.
    max_samples : int or None
        Documents of a cluster that are shown, 1 to 20; None for 3 to 20 by its size.
    sample_text_length : int
        Characters that are shown of a document, 50 to 500.
    strategy : {"nearest", "representative"}
        The documents nearest to the centroid, or two fifths of these, two fifths that cover the extent of the cluster,
        and one fifth from where it is densest.
    deduplicate : bool
        Whether labels of one layer that mean nearly the same count as equal. Needs an encoder.
    similarity : float
        The cosine from which two labels mean nearly the same, 0.5 to 1.
    cache_seconds : int
        How long answers are kept, 0 to 30 days; 0 keeps them for the run only.
    context : str
        About the data, by their owner. Trusted.
    prompt : str
        Replaces the rules of the default prompt. `{documents}`, `{outsiders}`, `{context}`, `{forbidden}`,
        `{candidates}`, `{parts}` and `{size}` are replaced; documents that it does not place are appended.
    response_shape : str or mapping or None
        What is wanted beside label, summary and keywords: words, fields with their types, or a schema of an object.
    parameters : mapping
        temperature, top_p, top_k, seed, max_tokens, presence_penalty, frequency_penalty, stop.
    candidates : mapping
        A fixed set of labels with their descriptions, which may be empty. Empty for free labels.
    """

    include_summary: bool = True
    include_keywords: bool = True
    max_samples: int | None = None
    sample_text_length: int = 200
    strategy: Strategy = "nearest"
    deduplicate: bool = True
    similarity: float = 0.8
    cache_seconds: int = 604_800
    context: str = ""
    prompt: str = ""
    response_shape: str | Mapping[str, object] | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    candidates: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check all fields, since callers of the library make them by hand."""
        for name, least, most, value in (
            ("max_samples_per_cluster", 1, 20, self.max_samples),
            ("sample_text_max_length", 50, 500, self.sample_text_length),
            ("embedding_similarity_threshold", 0.5, 1, self.similarity),
            ("cache_ttl_seconds", 0, 2_592_000, self.cache_seconds),
        ):
            if value is not None and not least <= value <= most:
                raise InvalidField(f"{_FIELD}.{name}", f"must be from {least:g} to {most:g}", value=value)
        for name, wire in (("context", "labeling_context"), ("prompt", "custom_prompt")):
            if len(getattr(self, name)) > _LONGEST[name]:
                raise InvalidField(f"{_FIELD}.{wire}", f"is longer than {_LONGEST[name]:,} characters")
        check_candidates(self.candidates)
        check_parameters(self.parameters)
        if self.response_shape is not None:
            try:
                check_shape(self.response_shape)
            except ValueError as error:
                raise InvalidField(f"{_FIELD}.response_shape", str(error)) from None

    @property
    def output_tokens(self) -> int | None:
        """The longest answer that is asked for; None leaves it to the connection."""
        most = self.parameters.get("max_tokens", self.parameters.get("max_output_tokens"))
        return most if isinstance(most, int) else None

    @property
    def settings(self) -> dict[str, object]:
        """The parameters that are sent, by the names that pydantic-ai has for them."""
        sent = {name: value for name, value in self.parameters.items() if name in _SETTINGS and value is not None}
        stop = self.parameters.get("stop")
        if stop is not None:
            sent["stop_sequences"] = [stop] if isinstance(stop, str) else stop
        return {name: value for name, value in sent.items() if name not in ("max_tokens", "max_output_tokens")}


def read_candidates(sent: Sequence[str] | Mapping[str, str] | None) -> dict[str, str]:
    """Return the labels of a fixed set with their descriptions, from a list or a mapping."""
    if sent is None:
        return {}
    return dict(sent) if isinstance(sent, Mapping) else dict.fromkeys(sent, "")


def check_candidates(candidates: Mapping[str, str]) -> None:
    """Raise InvalidField for a set that is too large or holds what cannot be a label."""
    name = f"{_FIELD}.candidate_labels"
    if len(candidates) > MOST_CANDIDATES:
        raise InvalidField(name, f"holds more than {MOST_CANDIDATES} labels", value=len(candidates))
    for label, description in candidates.items():
        if not label.strip() or len(label) > 80 or any(ord(character) < 32 for character in label):
            raise InvalidField(name, "must hold labels of 1 to 80 characters in one line", value=label)
        if len(description) > 500:
            raise InvalidField(name, "has a description of more than 500 characters", value=label)


def check_parameters(parameters: Mapping[str, object]) -> None:
    """Raise InvalidField for a parameter that is not forwarded, or out of its bounds."""
    for name, value in parameters.items():
        where = f"{_FIELD}.parameters.{name}"
        if name in _IGNORED or value is None:
            continue
        if name == "stop":
            texts = [value] if isinstance(value, str) else value
            if (
                not isinstance(texts, list)
                or len(texts) > 4
                or not all(isinstance(t, str) and 0 < len(t) <= 50 for t in texts)
            ):
                raise InvalidField(where, "must be one to four short texts")
            continue
        if name not in _SETTINGS:
            remedy = f"Known: {', '.join([*_SETTINGS, 'stop'])}."
            raise InvalidField(
                where, "is not forwarded to models", value=json.dumps(value, default=str)[:80], remedy=remedy
            )
        least, most = _SETTINGS[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InvalidField(where, "must be a number", value=value)
        if not least <= value <= most or (name in _WHOLE and value != int(value)):
            kind = "a whole number" if name in _WHOLE else "a number"
            raise InvalidField(where, f"must be {kind} from {least:g} to {most:g}", value=value)
