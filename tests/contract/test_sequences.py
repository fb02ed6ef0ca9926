"""Sequences of calls that pass on what they created: create, use, change, execute, remove, read again.

One table defines the links; Schemathesis draws the sequences deterministically.
"""

from collections import Counter
from contextlib import suppress
from typing import Any, Final

import pytest
import requests
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test

from cluster_steps import carry_out
from contract.checks import IN_SEQUENCES
from contract.description import Json, load_reviewed
from contract.generated import SEED, Case, load, parse_parameters, use_existing
from contract.long import LONG
from contract.planted import Planted

pytestmark = pytest.mark.slow

_SEEDS, _SEQUENCES, _STEPS = (40, 5, 12) if LONG else (4, 3, 8)
_LEAST: Final = 1_000 if LONG else 60

LEADS: Final[dict[str, dict[str, str]]] = {
    "POST /v1/collections": {"collection": "$response.body#/collection_id"},
    "POST /v1/collections/{collection}/documents": {
        "collection": "$response.body#/collection_id",
        "document_id": "$response.body#/document_id",
    },
    "POST /v1/clusters": {"cluster_identifier": "$response.body#/cluster_id"},
    "POST /v1/clusters/{cluster_identifier}/execute": {
        "cluster_identifier": "$response.body#/additional_data/cluster_id",
        "run_id": "$response.body#/additional_data/run_id",
        "task_id": "$response.body#/task_id",
    },
    "POST /v1/buckets": {"bucket": "$response.body#/bucket_id"},
    "POST /v1/buckets/{bucket}/objects": {
        "bucket": "$response.body#/bucket_id",
        "object_id": "$response.body#/object_id",
    },
    "POST /v1/namespaces": {"namespace": "$response.body#/namespace_id"},
    "POST /v1/organizations/users/{user_email}/api-keys": {
        "user_email": "$response.body#/user_email",
        "key_name": "$response.body#/name",
    },
}
"""Values that the answer to a call supplies to the paths of other calls."""


def add_links() -> Json:
    """Add a link from each of `LEADS` to every operation whose path it can fill."""
    description = load_reviewed()
    for label, values in LEADS.items():
        method, path = label.split(" ")
        links = description["paths"][path][method.lower()]["responses"]["200"].setdefault("links", {})
        for other, methods in description["paths"].items():
            needed = parse_parameters(other)
            if needed and set(needed) <= values.keys():
                for operation in methods.values():
                    links[operation["operationId"]] = {
                        "operationId": operation["operationId"],
                        "parameters": {name: values[name] for name in needed},
                    }
    return description


@pytest.mark.timeout(900)
def test_sequences_answer_as_described(
    contract_server: Planted, connection: requests.Session, calls: Counter[str]
) -> None:
    followed: Counter[str] = Counter()
    machine: Any = load(examples=1, coverage=False, modes=["positive"], raw=add_links()).as_state_machine()

    class Sequences(machine):  # type: ignore[misc]  # created at run time
        def setup(self) -> None:
            contract_server.restore()

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {contract_server.key}"}
            return {"base_url": contract_server.address, "session": connection, "headers": headers}

        def before_call(self, case: Case) -> None:
            handed_on = any("_" in str(value) and str(value).islower() for value in case.path_parameters.values())
            use_existing(case, (lambda name, method: ()) if handed_on else contract_server.choices)
            calls[case.operation.label] += 1

        def after_call(self, response: Any, case: Case) -> None:
            if response.status_code < 300:
                followed[case.operation.label] += 1
                if case.operation.label.endswith("/execute"):
                    carry_out(contract_server.services)

        def validate_response(self, response: Any, case: Case, **kwargs: Any) -> None:
            case.validate_response(response, checks=IN_SEQUENCES, transport_kwargs=kwargs, recorder=self.recorder)

    how = settings(
        max_examples=_SEQUENCES,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for number in range(_SEEDS):
        # A server remembers, so the same first calls can be answered otherwise the next time. Hypothesis then gives up
        # drawing more from this seed; a check that failed is another error, and comes through.
        with suppress(FlakyStrategyDefinition):
            run_state_machine_as_test(seed(SEED + number)(Sequences), settings=how)

    assert calls.total() >= _LEAST
    assert len(followed) >= 10, followed
