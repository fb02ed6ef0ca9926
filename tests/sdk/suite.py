"""What a process knows of the session: the suite's tests, those that ran, and the calls they made."""

from dataclasses import dataclass, field

from sdk.calls import Calls, Route

__all__ = ["Suite"]


@dataclass
class Suite:
    """Outcome of the suite. Tests are named by (file, test); `whole` is true if every file was collected."""

    collected: set[tuple[str, str]] = field(default_factory=set)
    whole: bool = False
    ran: set[tuple[str, str]] = field(default_factory=set)
    failed: set[tuple[str, str]] = field(default_factory=set)
    calls: Calls = field(default_factory=Calls)
    served: frozenset[Route] = frozenset()

    def find_called_routes(self) -> frozenset[Route]:
        """Return the served routes that were called successfully."""
        return self.calls.routes(self.served)

    def summary(self) -> str:
        """Return one line for the end of the session."""
        outcome = f"{len(self.failed)} tests failed" if self.failed else "all as expected"
        return f"official SDK: {self.calls.total()} calls over {len(self.find_called_routes())} routes, {outcome}"
