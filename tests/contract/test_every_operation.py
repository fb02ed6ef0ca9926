"""Valid and invalid calls of every operation, made from the description, the same ones each time.

`SHOAL_CONTRACT=long` makes some 10,000 of them instead of some 1,500 (`make contract`).
"""

from collections import Counter
from typing import Any, Final

import pytest
import requests

from contract.checks import ALWAYS, AUTHORIZATION
from contract.generated import Case, load, operations, parse_parameters, use_existing
from contract.good_bodies import GOOD
from contract.long import LONG
from contract.planted import Planted

pytestmark = pytest.mark.slow

_LEAST: Final = 5_000 if LONG else 1_000

schema: Any = load(examples=40 if LONG else 16, coverage=LONG)
succeeded: set[str] = set()


@schema.parametrize()  # type: ignore[untyped-decorator]  # the schema is read at run time
@pytest.mark.timeout(600)
def test_answers_as_described(
    case: Case, contract_server: Planted, connection: requests.Session, calls: Counter[str]
) -> None:
    label = case.operation.label
    calls[label] += 1
    use_existing(case, contract_server.choices)
    headers = {"Authorization": f"Bearer {contract_server.key}"}
    server: dict[str, Any] = {"base_url": contract_server.address, "session": connection}

    answer = case.call(headers=headers, **server)

    first = answer.status_code < 300 and label not in succeeded
    checks = [*ALWAYS, *(AUTHORIZATION if first else [])]
    case.validate_response(answer, checks=checks, headers=headers, transport_kwargs={**server, "headers": headers})
    if answer.status_code < 300:
        succeeded.add(label)
        if case.method in ("DELETE", "PATCH", "PUT"):  # it may have removed or renamed what others name
            contract_server.restore()


@pytest.mark.parametrize("label", sorted(operations()))
def test_a_good_call_succeeds_as_described(
    label: str, contract_server: Planted, connection: requests.Session, calls: Counter[str]
) -> None:
    method, path = label.split(" ")
    contract_server.restore()
    operation = schema[path][method]
    sent: dict[str, Any] = {}
    if operation.body:
        sent = {"media_type": next(iter(operation.body)).media_type}
        sent["body"] = GOOD.get(label, {})
        if label.endswith("/import"):
            sent["body"] = b'{"document_id": "line", "vectors": {"v": [1, 2, 3, 4, 5, 6, 7, 8]}}'
            sent["media_type"] = "application/x-ndjson"
    case = operation.Case(
        path_parameters={name: contract_server.good(name, method, path) for name in parse_parameters(path)},
        headers={"X-Namespace": "default"},
        **sent,
    )
    headers = {"Authorization": f"Bearer {contract_server.key}"}
    server: dict[str, Any] = {"base_url": contract_server.address, "session": connection}
    calls[label] += 1

    answer = case.call(headers=headers, **server)

    assert answer.status_code in (200, 204), answer.text
    case.validate_response(
        answer, checks=[*ALWAYS, *AUTHORIZATION], headers=headers, transport_kwargs={**server, "headers": headers}
    )


def test_every_operation_was_called(calls: Counter[str]) -> None:
    if len(calls) < len(operations()):
        pytest.skip("only a part of the file ran")
    assert calls.total() >= _LEAST
