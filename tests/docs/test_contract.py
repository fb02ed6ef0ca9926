"""`docs/contract.md` is the contract that comments refer to."""

import inspect
import re
from pathlib import Path

import pytest

from shoal.api.errors import ERRORS
from shoal.engine.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contract.md").read_text()
SOURCES = sorted(path for folder in ("src", "tests", "native") for path in (ROOT / folder).rglob("*.[pch]*"))
REFERENCE = re.compile(r"contract\.md#([a-z0-9-]+)")
BY_NUMBER = re.compile(r"\bcontract[ ,(]+(?:\d|row\b|appendix\b)")


def anchors() -> set[str]:
    """The anchor of each heading, as Sphinx and the repository's own view make it."""
    headings = re.findall(r"^#{2,3} (.+)$", PAGE, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def texts() -> dict[Path, str]:
    return {path: path.read_text() for path in SOURCES if path.suffix in {".py", ".cpp", ".hpp"}}


def test_every_reference_to_the_contract_leads_to_a_section() -> None:
    values = {
        (path, name) for path, text in texts().items() if path != Path(__file__) for name in REFERENCE.findall(text)
    }

    assert len(values) > 40
    assert [(str(path.relative_to(ROOT)), name) for path, name in sorted(values) if name not in anchors()] == []


def test_no_comment_refers_to_a_contract_outside_the_repository() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {item[0]}"
        for path, text in texts().items()
        if path != Path(__file__)
        for item in BY_NUMBER.finditer(text)
    ]

    assert wrong == []


def test_the_contract_lists_every_status_and_type_of_an_error() -> None:
    for wire in ERRORS.values():
        row = re.search(rf"^\| [0-9, ]*\b{wire.status}\b[0-9, ]* \| (.+?) \|", PAGE, re.MULTILINE)
        assert row is not None, wire
        assert f"`{wire.type}`" in row[1], wire


@pytest.mark.parametrize("method", ALGORITHMS)
def test_the_contract_lists_the_parameters_of_each_method(method: str) -> None:
    row = re.search(rf"^\| `{method}` \| (.+) \|$", PAGE, re.MULTILINE)

    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == list(inspect.signature(ALGORITHMS[method].params).parameters)
