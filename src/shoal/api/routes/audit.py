"""The audit log of the organisation; for callers with the permission `admin`."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Response

from shoal.api.callers.permissions import ADMIN
from shoal.api.deps import Listed, Organized, Wired
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
    services: Wired,
    organization: Organized,
    listed: Listed,
    action: Annotated[str | None, Query(max_length=64, description="An action, or how it begins: `key.`.")] = None,
    outcome: Annotated[Outcome | None, Query(description="done, forbidden or unauthenticated.")] = None,
    key: Annotated[str | None, Query(max_length=128, description="Name or id of the key that was used.")] = None,
    since: Annotated[datetime | None, Query(description="From this time on; UTC unless it says otherwise.")] = None,
    until: Annotated[datetime | None, Query(description="Before this time.")] = None,
) -> Response:
    """Who did what, newest first."""
    asked = AuditQuestion(action=action, outcome=outcome, key=key, since=_utc(since), until=_utc(until))
    found = services.audit.search(organization, listed.query(search_fields=_SEARCHED), asked)
    return reply(AuditList(results=found.items, pagination=listed.pagination(found), total_count=found.total))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
