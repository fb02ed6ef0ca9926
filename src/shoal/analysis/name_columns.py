"""Columns that say where labels come from, in tables of clusters and of groups."""

from collections.abc import Sequence
from typing import Final

import orjson
import pyarrow as pa

from shoal.analysis.named_clusters import Group, NamedCluster

__all__ = ["NAME_COLUMNS", "name_columns"]

NAME_COLUMNS: Final = (
    "summary", "label_source", "label_model", "label_score", "label_coverage", "label_evidence", "label_error",
    "label_details",
)  # fmt: skip


def name_columns(named: Sequence[NamedCluster | Group]) -> dict[str, pa.Array]:
    """Return the columns `NAME_COLUMNS`, one row for each cluster or group; details are JSON."""
    facts = [each.provenance for each in named]
    details = [None if fact.details is None else orjson.dumps(dict(fact.details)).decode() for fact in facts]
    return {
        "summary": pa.array([each.summary for each in named], pa.string()),
        "label_source": pa.array([fact.source for fact in facts], pa.string()),
        "label_model": pa.array([fact.model for fact in facts], pa.string()),
        "label_score": pa.array([fact.score for fact in facts], pa.float64()),
        "label_coverage": pa.array([fact.coverage for fact in facts], pa.float64()),
        "label_evidence": pa.array([list(fact.evidence) for fact in facts], pa.list_(pa.string())),
        "label_error": pa.array([fact.error for fact in facts], pa.string()),
        "label_details": pa.array(details, pa.string()),
    }
