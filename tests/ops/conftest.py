"""The scope and the moment that stores are tested with."""

from storage.conftest import now, scope

__all__ = ["now", "scope"]
