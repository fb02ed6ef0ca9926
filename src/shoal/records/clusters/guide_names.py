"""Names from the guide pages that no specification has (contract.md#names-from-the-guides)."""

from collections.abc import Mapping
from typing import Any

__all__ = ["translate_guide_names"]


def translate_guide_names(raw: dict[str, Any]) -> dict[str, Any]:
    """Translate `dimension_reduction` of a create request to a preprocessing step, and `llm_labeling.model` to
    `model_name`; fields under their right names take precedence."""
    labeling = raw.get("llm_labeling")
    if isinstance(labeling, Mapping) and "model" in labeling:
        named = {name: value for name, value in labeling.items() if name != "model"}
        raw["llm_labeling"] = {"model_name": labeling["model"], **named}
    config = raw.get("vector_config")
    vector_config = dict(config) if isinstance(config, Mapping) else {}
    reduction = vector_config.get("dimension_reduction", raw.get("dimension_reduction"))
    if not isinstance(reduction, Mapping) or not isinstance(config, Mapping | None):
        return raw
    step = {"n_components" if name == "components" else name: value for name, value in reduction.items()}
    vector_config.pop("dimension_reduction", None)
    raw.pop("dimension_reduction", None)
    return {**raw, "vector_config": {"preprocessing_steps": [step], **vector_config}}
