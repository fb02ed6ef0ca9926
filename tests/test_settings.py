"""Settings from the environment."""

import pytest

from shoal.errors import InvalidField
from shoal.settings import Settings, unknown_names


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SHOAL_PORT", "99999", "must be from 0 to 65,535, got 99999"),
        ("SHOAL_PORT", "-1", "must be from 0 to 65,535"),
        ("SHOAL_WORKERS", "two", "must be a whole number, got 'two'"),
        ("SHOAL_THREADS", "1e3", "must be a whole number, got '1e3'"),
        ("SHOAL_MAX_BODY_MIB", "0", "must be from 1 on, got 0"),
        ("SHOAL_RUN_MEMORY_MIB", "-5", "must be from 0 on, got -5"),
        ("SHOAL_LEASE_SECONDS", "nan", "must be from 0.1 to 1,000,000,000, got nan"),
        ("SHOAL_BODY_TIMEOUT_SECONDS", "inf", "must be from 0.1 to 1,000,000,000, got inf"),
        ("SHOAL_OUTPUT_GRACE_SECONDS", "1e12", "must be from 0 to 1,000,000,000"),
        ("SHOAL_DISK_RESERVE_MIB", "-2", "must be from -1 on, got -2"),
    ],
)
def test_a_number_out_of_its_bounds_is_refused_by_name(variable: str, value: str, message: str) -> None:
    with pytest.raises(InvalidField) as refused:
        Settings.read({variable: value})

    assert refused.value.message.startswith(f"{variable}: {message}")


def test_an_option_out_of_its_bounds_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidField, match=r"--metrics-port: must be from 0 to 65,535"):
        Settings.read({}, metrics_port=70_000)


def test_an_unknown_setting_is_reported_with_the_nearest_name() -> None:
    environ = {"SHOAL_WORKRS": "2", "SHOAL_WORKERS": "2", "SHOAL_API_KEY": "x", "SHOAL_ZZZ": "1", "HOME": "/"}

    assert unknown_names(environ) == [
        "SHOAL_API_KEY is for clients: a server takes no key from it, and keeps its first one in DATA/key.",
        "SHOAL_WORKRS is not a setting; did you mean SHOAL_WORKERS?", "SHOAL_ZZZ is not a setting.",
    ]  # fmt: skip
