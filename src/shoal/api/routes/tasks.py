"""Routes of tasks, which belong to the organisation: no namespace is needed."""

from typing import Annotated

from fastapi import Body, Response

from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import ListQueryDep, OrganizationDep, ServicesDep
from shoal.api.handler_threads import mark_polled
from shoal.api.idempotency import IdempotentCallDep
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
    about="Work in progress.",
    path_parameters={
        "task_id": "Id of the task.",
    },
)
_SEARCHED = ("task_id", "task_type", "additional_data.run_id", "additional_data.cluster_id")


class TaskListBody(ListBody):
    """The wire's ListTasksRequest."""

    status: str | None = None
    task_type: str | None = None


class TaskList(Record):
    """The wire's ListTasksResponse."""

    results: list[Task]
    pagination: Pagination
    total_count: int


@router.get("/{task_id}", response_model=Task, openapi_extra=READ)
@mark_polled
def get_task(services: ServicesDep, organization: OrganizationDep, task_id: str) -> Response:
    """Get a task; while it is processing, `additional_data.progress` holds its progress."""
    return reply(services.tasks.get(organization, task_id))


@router.delete("/{task_id}", response_model=Task, openapi_extra=DELETE)
@router.post("/{task_id}/kill", response_model=Task, operation_id="kill_task_by_post", openapi_extra=WRITE)
def kill_task(services: ServicesDep, organization: OrganizationDep, call: IdempotentCallDep, task_id: str) -> Response:
    """Cancel a task; no effect where it has ended."""
    return call.once(organization, lambda: lambda tx: services.tasks.kill_within(tx, organization, task_id))


@router.post("/list", response_model=TaskList, openapi_extra=READ)
def list_tasks(
    services: ServicesDep,
    organization: OrganizationDep,
    list_query: ListQueryDep,
    body: Annotated[TaskListBody | None, Body()] = None,
) -> Response:
    """List the tasks of the organisation, newest first."""
    query = list_query.query(body, _SEARCHED)
    conditions: list[Filter] = [
        Condition(name, "eq", value)
        for name, value in (("status", body and body.status), ("task_type", body and body.task_type))
        if value
    ]
    narrowed = Query(And((query.filter, *conditions)), query.sort, query.page, query.search, query.search_fields)
    listing = services.tasks.search(organization, narrowed)
    return reply(
        {"results": listing.items, "pagination": list_query.pagination(listing, body), "total_count": listing.total}
    )
