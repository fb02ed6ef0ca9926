"""Tasks over the wire."""

from shoal.client.transport import Transport, given, segment
from shoal.records.task import Task

__all__ = ["Tasks"]


class Tasks:
    """What is under way on the server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, task_id: str) -> Task:
        """While it is processing, `additional_data["progress"]` tells how far it is. Raises NotFound."""
        return self._transport.ask(Task, "GET", f"/tasks/{segment(task_id)}")

    def list(self, *, status: str | None = None, limit: int = 100, offset: int = 0) -> list[Task]:
        """Newest first."""
        params = {"limit": limit, "offset": offset}
        return self._transport.asks(Task, "POST", "/tasks/list", given(status=status), params=params)

    def kill(self, task_id: str) -> Task:
        """Cancel what it does; harmless where it is over."""
        return self._transport.ask(Task, "DELETE", f"/tasks/{segment(task_id)}")
