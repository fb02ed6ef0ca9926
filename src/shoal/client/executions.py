"""Runs of clusters over the wire."""

import io
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.client.transport import Transport, parse_record, path_segment
from shoal.errors import Cancelled, Overloaded, RateLimited, RunFailed, Unavailable
from shoal.records.runs.execution import Execution
from shoal.records.runs.results import LabelledRun
from shoal.records.task import Task

__all__ = ["Executions", "Run"]

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0


class Executions:
    """Runs of clusters; reached as `client.executions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, cluster: str, run_id: str, *, vectors: bool = False) -> Execution:
        """Fetch one run.

        Parameters
        ----------
        cluster : str
            Id or name of the cluster.
        run_id : str
            Id of the run.
        vectors : bool, default False
            Include the vectors of the centroids.

        Returns
        -------
        Execution

        Raises
        ------
        NotFound
            No such cluster or run.
        """
        return self._transport.request_record(
            Execution, "GET", _execution_path(cluster, run_id), params={"include_vectors": vectors}
        )

    def latest(self, cluster: str, *, vectors: bool = False) -> Execution | None:
        """Fetch the newest run.

        Parameters
        ----------
        cluster : str
            Id or name of the cluster.
        vectors : bool, default False
            Include the vectors of the centroids.

        Returns
        -------
        Execution or None
            None before the first run.

        Raises
        ------
        NotFound
            No such cluster.
        """
        params = {"include_vectors": vectors}
        answer = self._transport.call("GET", f"/clusters/{path_segment(cluster)}/executions", params=params)
        return None if answer is None else parse_record(Execution, answer)

    def list(self, cluster: str, *, limit: int = 100, offset: int = 0) -> list[Execution]:
        """List runs, newest first.

        Parameters
        ----------
        cluster : str
            Id or name of the cluster.
        limit : int, default 100
            Most items to return, 1 to 1,000.
        offset : int, default 0
            Items to skip, at most 10,000.

        Returns
        -------
        list of Execution

        Raises
        ------
        NotFound
            No such cluster.
        """
        path, params = f"/clusters/{path_segment(cluster)}/executions/list", {"limit": limit, "offset": offset}
        return self._transport.request_records(Execution, "POST", path, {}, params=params)

    def cancel(self, cluster: str, run_id: str) -> None:
        """Cancel a run; nothing of it will be published.

        Parameters
        ----------
        cluster : str
            Id or name of the cluster.
        run_id : str
            Id of the run.

        Raises
        ------
        NotFound
            No such cluster or run.
        Conflict
            The run has ended.
        """
        self._transport.call("POST", f"{_execution_path(cluster, run_id)}/cancel")

    def rename(self, cluster: str, run_id: str, name: str) -> None:
        """Name a run.

        Parameters
        ----------
        cluster : str
            Id or name of the cluster.
        run_id : str
            Id of the run.
        name : str
            At most 120 characters; empty removes the name.

        Raises
        ------
        NotFound
            No such cluster or run.
        """
        self._transport.call("PATCH", f"{_execution_path(cluster, run_id)}/name", {"run_name": name})

    def relabel(self, cluster: str, run_id: str, labels: Mapping[str, str]) -> LabelledRun:
        """Give clusters of the run, and groups of its other layers, labels of your own.

        Parameters
        ----------
        cluster : str
            Id or name.
        run_id : str
            The run; documents show the labels of the newest one.
        labels : mapping of str to str
            By cluster id, such as `cl_0` or `broad_2`, at most 200 characters each; an empty one takes it away.

        Returns
        -------
        LabelledRun
            All labels that people gave (`label_overrides`), how many documents hold the new ones by now
            (`documents_relabelled`), and `warnings`: that many documents follow later, for example.

        Raises
        ------
        NotFound
            For an unknown cluster or run.
        InvalidField
            For a cluster that the run does not have, or a label that is too long.
        """
        path = f"{_execution_path(cluster, run_id)}/labels"
        return self._transport.request_record(LabelledRun, "PATCH", path, {"labels": dict(labels)})

    def members(self, cluster: str, run_id: str) -> pa.Table:
        """Fetch the members of a finished run.

        Parameters
        ----------
        cluster : str
            Id or name of the cluster.
        run_id : str
            Id of the run.

        Returns
        -------
        pyarrow.Table
            One row per document: id, cluster, distance, strength, place on the map.

        Raises
        ------
        NotFound
            No such cluster or run.
        """
        return pq.read_table(io.BytesIO(self._transport.download(f"{_execution_path(cluster, run_id)}/download")))


class Run:
    """A run that was started.

    Attributes
    ----------
    cluster_id : str
    run_id : str
    task_id : str
    """

    def __init__(self, transport: Transport, cluster_id: str, run_id: str, task_id: str) -> None:
        self._transport = transport
        self.cluster_id, self.run_id, self.task_id = cluster_id, run_id, task_id

    def status(self) -> Execution:
        """Fetch the run as it is now.

        Returns
        -------
        Execution
        """
        return Executions(self._transport).get(self.cluster_id, self.run_id)

    def wait(self, timeout_s: float | None = None, progress: Callable[[str, float], None] | None = None) -> Execution:
        """Wait until the run has ended.

        A server that restarts meanwhile is waited for (`restart_s` of the client), and a busy one as long as it
        takes.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds to wait; None has no limit.
        progress : callable, optional
            Called with (stage, fraction).

        Returns
        -------
        Execution
            The completed run.

        Raises
        ------
        RunFailed
            The run failed; the message is the cause.
        Cancelled
            The run was cancelled.
        Unavailable
            `timeout_s` has passed; the run goes on.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        pause = _FIRST_PAUSE_SECONDS
        while True:
            run = self._poll_status()
            if run is not None and run.status in ("completed", "failed", "canceled"):
                return _require_completed(run)
            if end is not None and time.monotonic() >= end:
                status = "under way" if run is None else run.status
                raise Unavailable(f"The run {self.run_id} is still {status} after {timeout_s} s.")
            if progress is not None and run is not None:
                with suppress(Overloaded, RateLimited):
                    progress(*self._progress())
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _poll_status(self) -> Execution | None:
        """None where the server is too busy to say."""
        try:
            return self.status()
        except (Overloaded, RateLimited):
            return None

    def cancel(self) -> None:
        """Cancel the run; nothing of it will be published.

        Raises
        ------
        Conflict
            The run has ended.
        """
        Executions(self._transport).cancel(self.cluster_id, self.run_id)

    def members(self) -> pa.Table:
        """Fetch the members of the completed run.

        Returns
        -------
        pyarrow.Table
            As `Executions.members`.
        """
        return Executions(self._transport).members(self.cluster_id, self.run_id)

    def _progress(self) -> tuple[str, float]:
        task = self._transport.request_record(Task, "GET", f"/tasks/{path_segment(self.task_id)}")
        progress = task.additional_data.get("progress") or {}
        return str(progress.get("stage") or "start"), float(progress.get("fraction") or 0.0)

    def __repr__(self) -> str:
        return f"<Run {self.run_id} of {self.cluster_id}>"


def _require_completed(run: Execution) -> Execution:
    if run.status == "failed":
        raise RunFailed(run.error_message or "The run failed.", run_id=run.run_id)
    if run.status == "canceled":
        raise Cancelled(f"The run {run.run_id} was cancelled.", run_id=run.run_id)
    return run


def _execution_path(cluster: str, run_id: str) -> str:
    return f"/clusters/{path_segment(cluster)}/executions/{path_segment(run_id)}"
