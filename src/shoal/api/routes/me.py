"""Routes about the caller: its key and organisation."""

from fastapi import Response

from shoal.api.callers.permissions import READ
from shoal.api.deps import CallerDep, OrganizationDep, ServicesDep
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.records.organization import Me, MeKey, Organization

__all__ = ["router"]

router = Resource(
    "",
    tag="organizations",
    about="Who the caller is.",
)


@router.get("/me", response_model=Me, openapi_extra=READ)
def me(services: ServicesDep, caller: CallerDep, organization: OrganizationDep) -> Response:
    """Get the caller's organisation, user and key."""
    record = services.keys.organization(organization)
    key = MeKey(name=caller.name, permissions=sorted(caller.permissions), expires_at=caller.expires_at)
    return reply(
        Me(
            organization_id=record.organization_id,
            organization_name=record.organization_name,
            account_type=record.account_type,
            user_email=caller.user_email,
            key=key,
        )
    )


@router.get("/organizations", response_model=Organization, openapi_extra=READ)
def organization(services: ServicesDep, organization: OrganizationDep) -> Response:
    """Get the caller's organisation."""
    return reply(services.keys.organization(organization))
