"""Tasks over the wire."""

from shoal.client.transport import Transport, drop_none, path_segment
from shoal.records.task import Task

__all__ = ["Tasks"]


class Tasks:
    """Work in progress on the server; reached as `client.tasks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, task_id: str) -> Task:
        """Fetch one task.

        Parameters
        ----------
        task_id : str
            As in `Run.task_id`.

        Returns
        -------
        Task
            While it runs, `additional_data["progress"]` holds its stage and fraction.

        Raises
        ------
        NotFound
            No such task.
        """
        return self._transport.request_record(Task, "GET", f"/tasks/{path_segment(task_id)}")

    def list(self, *, status: str | None = None, limit: int = 100, offset: int = 0) -> list[Task]:
        """List tasks, newest first.

        Parameters
        ----------
        status : str, optional
            Only tasks in this state, such as "PROCESSING" or "FAILED".
        limit : int, default 100
            Most items to return, 1 to 1,000.
        offset : int, default 0
            Items to skip, at most 10,000.

        Returns
        -------
        list of Task
        """
        params = {"limit": limit, "offset": offset}
        return self._transport.request_records(Task, "POST", "/tasks/list", drop_none(status=status), params=params)

    def kill(self, task_id: str) -> Task:
        """Cancel the work of a task; has no effect on a task that has ended.

        Parameters
        ----------
        task_id : str
            As in `Run.task_id`.

        Returns
        -------
        Task
            The task after the call.

        Raises
        ------
        NotFound
            No such task.
        """
        return self._transport.request_record(Task, "DELETE", f"/tasks/{path_segment(task_id)}")
