"""Both clients of the official SDK, unchanged, on one namespace of a real server."""

import json
import time
from typing import Any, Protocol, Self, TypeVar

import mixpeek
from mixpeek.exceptions import ApiException
from mixpeek.models.task_response import TaskResponse

from sdk.calls import Calls

__all__ = ["Official", "error_of", "json_object", "request", "run_of"]

_PATIENCE_S = 60.0
_RUNNING = frozenset({"PENDING", "IN_PROGRESS", "PROCESSING"})


class _Made(Protocol):
    @classmethod
    def from_dict(cls, obj: dict[str, Any] | None) -> Self | None: ...


Model = TypeVar("Model", bound=_Made)


def request(model: type[Model], **fields: Any) -> Model:
    """A request model of the SDK, made as its documentation does."""
    instance = model.from_dict(fields)
    assert instance is not None
    return instance


def json_object(answer: object) -> dict[str, Any]:
    """An answer whose type the SDK leaves open."""
    assert isinstance(answer, dict)
    return answer


def error_of(raised: ApiException) -> dict[str, Any]:
    """The `error` object of an answer that the generated client turned into an exception."""
    body = json.loads(raised.body or "")
    assert body["success"] is False and body["status"] == raised.status
    return json_object(body["error"])


def run_of(task: TaskResponse) -> str:
    """The run a task carries out."""
    return str((task.additional_data or {})["run_id"])


class Official:
    """The generated client (one attribute a resource) and the high-level one (`high`), for one key and namespace."""

    def __init__(self, url: str, key: str, namespace: str | None, calls: Calls) -> None:
        self.key, self.namespace = key, namespace or ""
        header = {"NamespaceHeader": namespace} if namespace else {}
        self.api = mixpeek.ApiClient(mixpeek.Configuration(host=url, access_token=key, api_key=header))
        # Its annotations promise dictionaries and lists where it returns objects with attributes.
        self.high: Any = mixpeek.Mixpeek(key, namespace=namespace, base_url=f"{url}/v1")
        self._pools = (self.api.rest_client.pool_manager, self.high._http)
        for pool in self._pools:
            calls.watch(pool)
        self.health = mixpeek.HealthApi(self.api)
        self.account = mixpeek.AccountApi(self.api)
        self.organizations = mixpeek.OrganizationsApi(self.api)
        self.keys = mixpeek.OrganizationAPIKeysApi(self.api)
        self.namespaces = mixpeek.NamespacesApi(self.api)
        self.byo = mixpeek.BYODocumentsApi(self.api)
        self.buckets = mixpeek.BucketsApi(self.api)
        self.objects = mixpeek.BucketObjectsApi(self.api)
        self.collections = mixpeek.CollectionsApi(self.api)
        self.documents = mixpeek.CollectionDocumentsApi(self.api)
        self.clusters = mixpeek.ClustersApi(self.api)
        self.executions = mixpeek.ClusterExecutionsApi(self.api)
        self.tasks = mixpeek.TasksApi(self.api)

    def close(self) -> None:
        """Close every connection: the SDK leaves that to its users."""
        for pool in self._pools:
            pool.clear()

    def wait_for(self, task: TaskResponse) -> TaskResponse:
        """Wait until the task has finished and return it."""
        end, pause = time.monotonic() + _PATIENCE_S, 0.05
        while task.status in _RUNNING:
            assert time.monotonic() < end, f"still unfinished: {task}"
            time.sleep(pause)
            pause = min(1.5 * pause, 0.5)
            task = self.tasks.get_task(task.task_id)
        return task
