"""Transactions that a thread holds open around several changes of a namespace."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import local

from shoal.storage.sqlite.documents.namespaces import Namespace
from shoal.storage.sqlite.documents.vectors import SegmentKey

__all__ = ["OuterTransactions"]


class OuterTransactions(local):
    """The transactions that this thread has open around several changes."""

    def __init__(self) -> None:
        self._open: dict[Namespace, _Around] = {}

    def any(self) -> bool:
        """Whether this thread has one open."""
        return bool(self._open)

    @contextlib.contextmanager
    def around(self, namespace: Namespace) -> Iterator[Sequence[SegmentKey]]:
        """Yields what is to be unlinked after the commit: of the outermost block, everything kept back. Raises
        RuntimeError where a change inside failed and the block goes on all the same."""
        if namespace in self._open:
            yield ()
            return
        around = self._open[namespace] = _Around()
        try:
            yield around.left
        finally:
            del self._open[namespace]
        if around.failed:
            raise RuntimeError("A change inside the transaction failed, and would be stored by halves.")

    @contextlib.contextmanager
    def change(self, namespace: Namespace) -> Iterator[None]:
        """One change within the transaction around it. A savepoint would allow it to fail alone, but SQLite would keep
        every page it touches in memory, and an import touches them all."""
        try:
            yield
        except BaseException:
            self._open[namespace].failed = True
            raise

    def kept_back(self, namespace: Namespace, left: Sequence[SegmentKey]) -> Sequence[SegmentKey]:
        """What may be unlinked at once: nothing within an outer transaction, which takes it over."""
        if namespace not in self._open:
            return left
        self._open[namespace].left += left
        return ()

    def __contains__(self, namespace: Namespace) -> bool:
        return namespace in self._open


@dataclass(slots=True)
class _Around:
    """`left` are the segments to unlink after the commit: until then all may be undone, and rows would speak of files
    that are gone."""

    left: list[SegmentKey] = field(default_factory=list)
    failed: bool = False
