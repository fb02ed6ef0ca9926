"""A record is changed by names and values that its fields take."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from shoal.records.runs.execution import Execution, StatusChange

RUN = Execution(
    run_id="run_1",
    cluster_id="clust_1",
    sequence=1,
    namespace_id="ns_1",
    task_id="task_1",
    created_at=datetime(2026, 3, 29, tzinfo=UTC),
    algorithm="kmeans",
)


def test_a_change_leaves_the_record_as_it_was() -> None:
    change = StatusChange(status="processing", at=datetime(2026, 3, 30, tzinfo=UTC))
    changed = RUN.with_changes(status="processing", history=[change])

    assert (changed.status, changed.history) == ("processing", [change])
    assert (RUN.status, RUN.history) == ("pending", [])
    assert changed.with_changes(status="pending", history=[]) == RUN


def test_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(TypeError, match="Execution has no field 'statsu'"):
        RUN.with_changes(statsu="processing")


def test_a_value_that_the_field_does_not_take_is_an_error() -> None:
    with pytest.raises(ValidationError, match="status"):
        RUN.with_changes(status="BOGUS")
