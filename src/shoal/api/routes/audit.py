"""Routes of the organisation's audit log, for callers with the permission `admin`."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Response

from shoal.api.callers.permissions import ADMIN
from shoal.api.deps import ListQueryDep, OrganizationDep, ServicesDep
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.records.audit import AuditList, AuditQuestion, Outcome

__all__ = ["router"]

router = Resource(
    "/organizations/audit",
    tag="organizations",
    about="Who the caller is.",
)

_SEARCHED = ("resource_id", "key_name", "user", "request_id")


@router.get("", response_model=AuditList, openapi_extra=ADMIN)
def list_audit(
    services: ServicesDep,
    organization: OrganizationDep,
    list_query: ListQueryDep,
    action: Annotated[str | None, Query(max_length=64, description="An action or its prefix, such as `key.`.")] = None,
    outcome: Annotated[Outcome | None, Query(description="done, forbidden or unauthenticated.")] = None,
    key: Annotated[str | None, Query(max_length=128, description="Name or id of the key of the request.")] = None,
    since: Annotated[datetime | None, Query(description="From this time on; UTC without an offset.")] = None,
    until: Annotated[datetime | None, Query(description="Before this time.")] = None,
) -> Response:
    """Who did what, newest first."""
    question = AuditQuestion(action=action, outcome=outcome, key=key, since=_utc(since), until=_utc(until))
    listing = services.audit.search(organization, list_query.query(search_fields=_SEARCHED), question)
    return reply(AuditList(results=listing.items, pagination=list_query.pagination(listing), total_count=listing.total))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
