"""The bodies of transactions that are running, in which the store itself must not be used."""

import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["TransactionBodies"]

H = TypeVar("H")
T = TypeVar("T")


class TransactionBodies:
    """Runs the bodies of the transactions of one store, and notices use of the store inside them."""

    def __init__(self) -> None:
        self._running = threading.local()

    def run(self, body: Callable[[H], T], handle: H) -> T:
        """Call `body` with the handle of its transaction and return what it returns."""
        self._running.body = True
        try:
            return body(handle)
        finally:
            self._running.body = False

    def refuse_store(self) -> None:
        """Raise RuntimeError inside a body that this thread runs. Call it in every method of the store."""
        if getattr(self._running, "body", False):
            raise RuntimeError("The store was used inside the body of a transaction: use the Transaction it receives.")
