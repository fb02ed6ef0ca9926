"""Fixtures shared by the tests of all stores."""

from datetime import UTC, datetime

import pytest

from shoal.records.scope import Scope


@pytest.fixture
def scope() -> Scope:
    """A namespace of an organisation."""
    return Scope("org_0000000000000001", "ns_0000000000000001")


@pytest.fixture
def now() -> datetime:
    """A fixed time; stores have no clock of their own."""
    return datetime(2026, 3, 29, 1, 30, 0, 123_456, tzinfo=UTC)
