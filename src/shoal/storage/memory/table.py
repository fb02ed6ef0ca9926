"""A multi-version map: it keeps earlier values for as long as a snapshot may read them."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Table"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Table(Generic[K, V]):
    """Multi-version storage of one kind of row. The caller holds the lock.

    A moment is the number of a commit. Rows belong to a group, such as the records of one kind and scope: a scan of a
    group conflicts with every later write to the group, which detects phantoms.

    Parameters
    ----------
    group_of
        The group of a key.
    """

    def __init__(self, group_of: Callable[[K], Hashable]) -> None:
        self._group_of = group_of
        self._versions: dict[K, list[tuple[int, V | None]]] = {}
        self._groups: dict[Hashable, dict[K, None]] = {}
        self._changed: dict[Hashable, int] = {}
        self._dead: deque[tuple[int, K]] = deque()

    def at(self, key: K, moment: int) -> V | None:
        """Return the value of a key as of a moment, None if there was none."""
        for written, value in reversed(self._versions.get(key, ())):
            if written <= moment:
                return value
        return None

    def scan(self, group: Hashable, moment: int) -> Iterator[tuple[K, V]]:
        """Yield keys and values of a group as of a moment, in no particular order."""
        for key in self._groups.get(group, ()):
            value = self.at(key, moment)
            if value is not None:
                yield key, value

    def every_key(self) -> Iterator[K]:
        """Iterate over all keys that have a version."""
        return iter(self._versions)

    def group_of(self, key: K) -> Hashable:
        """Return the group of a key."""
        return self._group_of(key)

    def written(self, key: K) -> int:
        """Return the moment of the last write to a key, 0 for none that a snapshot could have missed."""
        versions = self._versions.get(key)
        return versions[-1][0] if versions else 0

    def last_write(self, group: Hashable) -> int:
        """Return the moment of the last write to a group."""
        return self._changed.get(group, 0)

    def put(self, key: K, value: V | None, moment: int, oldest: int) -> None:
        """Write a value, or None to delete, at a moment; forget versions that no snapshot from `oldest` on reads."""
        versions, group = self._versions.setdefault(key, []), self._group_of(key)
        versions.append((moment, value))
        self._groups.setdefault(group, {})[key] = None
        self._changed[group] = moment
        _trim(versions, oldest)
        if value is None:
            self._dead.append((moment, key))
        self._bury(oldest)

    def _bury(self, oldest: int) -> None:
        """Forget deleted keys once no snapshot is older than the deletion."""
        while self._dead and self._dead[0][0] <= oldest:
            moment, key = self._dead.popleft()
            if self._versions[key][-1] == (moment, None):
                del self._versions[key]
                self._groups[self._group_of(key)].pop(key, None)


def _trim(versions: list[tuple[int, V | None]], oldest: int) -> None:
    visible = max((i for i, (moment, _) in enumerate(versions) if moment <= oldest), default=0)
    del versions[:visible]
