"""What the parts of a SQLite metadata store share: the connections they use, and the columns of a scope."""

import sqlite3
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Final

from shoal.records.scope import Scope

__all__ = ["IN_SCOPE", "SqliteReads", "SqliteWrites", "place"]

IN_SCOPE: Final = "organization_id = ? AND namespace_id = ?"
"""The condition of one scope; its values are those of `place`."""


class SqliteReads(ABC):
    """A part that reads."""

    @abstractmethod
    def _read(self) -> sqlite3.Connection:
        """The connection for one read."""


class SqliteWrites(SqliteReads):
    """A part that writes as well."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """The connection for one write, in a transaction; an error inside ends it."""


def place(scope: Scope) -> tuple[str, str]:
    """The columns of a scope."""
    return scope.organization_id, scope.namespace_id
