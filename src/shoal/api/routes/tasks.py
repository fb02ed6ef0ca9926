"""Tasks: what is under way. They belong to the organisation; no namespace is needed."""

from typing import Annotated

from fastapi import Body, Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import Listed, Organized, Wired
from shoal.api.idempotency import Keyed
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.records.base import Record
from shoal.records.queries.filters import And, Condition, Filter
from shoal.records.queries.paging import ListBody, Pagination
from shoal.records.task import Task
from shoal.storage.protocols.records import Query

__all__ = ["router"]

router = Resource(
    "/tasks",
    tag="Tasks",
    about="What is under way.",
    path_parameters={
        "task_id": "Id of the task.",
    },
)
_SEARCHED = ("task_id", "task_type", "additional_data.run_id", "additional_data.cluster_id")


class TaskListBody(ListBody):
    """ListTasksRequest."""

    status: str | None = None
    task_type: str | None = None


class TaskList(Record):
    """ListTasksResponse."""

    results: list[Task]
    pagination: Pagination
    total_count: int


@router.get("/{task_id}", response_model=Task, openapi_extra=READ)
def get_task(services: Wired, organization: Organized, task_id: str) -> Response:
    """One task; while it is processing, `additional_data.progress` tells how far it is."""
    return reply(services.tasks.get(organization, task_id))


@router.delete("/{task_id}", response_model=Task, openapi_extra=DELETE)
@router.post("/{task_id}/kill", response_model=Task, operation_id="kill_task_by_post", openapi_extra=WRITE)
def kill_task(services: Wired, organization: Organized, keyed: Keyed, task_id: str) -> Response:
    """Cancel what the task does; harmless where it is over."""
    return keyed.once(organization, lambda: lambda tx: services.tasks.kill_within(tx, organization, task_id))


@router.post("/list", response_model=TaskList, openapi_extra=READ)
def list_tasks(
    services: Wired, organization: Organized, listed: Listed, body: Annotated[TaskListBody | None, Body()] = None
) -> Response:
    """Tasks of the organisation, newest first."""
    query = listed.query(body, _SEARCHED)
    conditions: list[Filter] = [
        Condition(name, "eq", value)
        for name, value in (("status", body and body.status), ("task_type", body and body.task_type))
        if value
    ]
    narrowed = Query(And((query.filter, *conditions)), query.sort, query.page, query.search, query.search_fields)
    found = services.tasks.search(organization, narrowed)
    return reply({"results": found.items, "pagination": listed.pagination(found, body), "total_count": found.total})
