"""What `--where field=value` means."""

import pytest

from shoal.cli.where import parse_where
from shoal.records.filters import parse_filter


@pytest.mark.parametrize(("given", "values"), [("True", [True, "True"]), ("FALSE", [False, "FALSE"]), ("7", [7, "7"])])
def test_a_flag_as_python_writes_it_is_a_flag_and_a_text(given: str, values: list[object]) -> None:
    assert parse_where([f"seen={given}"]) == {"field": "seen", "operator": "in", "value": values}


@pytest.mark.parametrize("number", ["12345678901234567890", "-99999999999999999999"])
def test_a_whole_number_beyond_64_bits_is_sought_as_the_text_that_files_hold(number: str) -> None:
    found = parse_where([f"account={number}"])

    assert found == {"field": "account", "operator": "eq", "value": number}
    parse_filter(found, "--where")
