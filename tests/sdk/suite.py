"""What a process knows of the session: the suite's tests, those that ran, and the calls they made."""

from dataclasses import dataclass, field

from sdk.calls import Calls, Route

__all__ = ["Suite"]


@dataclass
class Suite:
    """Tests are named by (file, test). `whole` says that every file of the suite was collected."""

    collected: set[tuple[str, str]] = field(default_factory=set)
    whole: bool = False
    ran: set[tuple[str, str]] = field(default_factory=set)
    failed: set[tuple[str, str]] = field(default_factory=set)
    calls: Calls = field(default_factory=Calls)
    served: frozenset[Route] = frozenset()

    def called(self) -> frozenset[Route]:
        """The server's routes that were called with success."""
        return self.calls.routes(self.served)

    def summary(self) -> str:
        """One line for the end of the session."""
        outcome = f"{len(self.failed)} tests failed" if self.failed else "all as expected"
        return f"official SDK: {self.calls.total()} calls over {len(self.called())} routes, {outcome}"
