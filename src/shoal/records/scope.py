"""Whose data a call may touch. No store call can be made without one."""

from dataclasses import dataclass

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """An organisation and, below it, a namespace. `namespace_id` is empty for things an organisation owns directly
    (namespaces, keys, tasks)."""

    organization_id: str
    namespace_id: str = ""

    @property
    def organization(self) -> "Scope":
        """The scope of the organisation itself."""
        return Scope(self.organization_id)
