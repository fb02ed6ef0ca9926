"""The scope and the time used in tests of stores."""

from storage.conftest import now, scope

__all__ = ["now", "scope"]
