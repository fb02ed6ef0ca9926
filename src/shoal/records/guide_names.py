"""Names from the guide pages that are in no specification (contract.md#names-from-the-guides)."""

from collections.abc import Mapping
from typing import Any

__all__ = ["specified_spelling"]


def specified_spelling(raw: dict[str, Any]) -> dict[str, Any]:
    """A create request with `dimension_reduction` as a preprocessing step and `llm_labeling.model` as `model_name`;
    what is there under its right name stays."""
    labeling = raw.get("llm_labeling")
    if isinstance(labeling, Mapping) and "model" in labeling:
        named = {name: value for name, value in labeling.items() if name != "model"}
        raw["llm_labeling"] = {"model_name": labeling["model"], **named}
    config = raw.get("vector_config")
    given = dict(config) if isinstance(config, Mapping) else {}
    reduction = given.get("dimension_reduction", raw.get("dimension_reduction"))
    if not isinstance(reduction, Mapping) or not isinstance(config, Mapping | None):
        return raw
    step = {"n_components" if name == "components" else name: value for name, value in reduction.items()}
    given.pop("dimension_reduction", None)
    raw.pop("dimension_reduction", None)
    return {**raw, "vector_config": {"preprocessing_steps": [step], **given}}
