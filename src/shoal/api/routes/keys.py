"""Routes of API keys, for callers with the permission `admin`."""

from dataclasses import replace

from fastapi import Response

from shoal.api.callers.permissions import ADMIN
from shoal.api.deps import CallerDep, ListQueryDep, OrganizationDep, ServicesDep
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.records.base import Done
from shoal.records.key import CreatedKey, CreateKey, Key, KeyList, PatchKey
from shoal.records.queries.filters import And, Condition

__all__ = ["router"]

router = Resource(
    "/organizations/users/{user_email}/api-keys",
    tag="API keys",
    about="API keys of an organisation's users.",
    path_parameters={
        "user_email": "E-mail address of the key's owner.",
        "key_name": "Name or id of the key.",
    },
)


@router.post("", response_model=CreatedKey, openapi_extra=ADMIN)
def create_key(
    services: ServicesDep, caller: CallerDep, organization: OrganizationDep, user_email: str, body: CreateKey
) -> Response:
    """Create a key; only this response contains its secret."""
    return reply(services.keys.create(organization, user_email, body, by=caller.key_id))


@router.get("", response_model=KeyList, openapi_extra=ADMIN)
def list_keys(
    services: ServicesDep,
    organization: OrganizationDep,
    list_query: ListQueryDep,
    user_email: str,
    include_revoked: bool = True,
) -> Response:
    """List the keys of a user, newest first."""
    query = list_query.query(search_fields=("name", "description"))
    if not include_revoked:
        query = replace(query, filter=And((query.filter, Condition("status", "ne", "revoked"))))
    listing = services.keys.search(organization, user_email, query)
    return reply(KeyList(results=listing.items, pagination=list_query.pagination(listing), total_count=listing.total))


@router.get("/{key_name}", response_model=Key, openapi_extra=ADMIN)
def get_key(services: ServicesDep, organization: OrganizationDep, user_email: str, key_name: str) -> Response:
    """Get a key by name or id."""
    return reply(services.keys.get(organization, key_name, user_email))


@router.patch("/{key_name}", response_model=Key, openapi_extra=ADMIN)
def patch_key(
    services: ServicesDep,
    caller: CallerDep,
    organization: OrganizationDep,
    user_email: str,
    key_name: str,
    body: PatchKey,
) -> Response:
    """Change name, description, permissions or expiry, or revoke the key."""
    return reply(services.keys.change(organization, key_name, body, user_email, by=caller.key_id))


@router.delete("/{key_name}", response_model=Done, openapi_extra=ADMIN)
def delete_key(services: ServicesDep, organization: OrganizationDep, user_email: str, key_name: str) -> Response:
    """Delete a key; it stops working at once."""
    services.keys.remove(organization, key_name, user_email)
    return reply({"success": True, "message": f"The key {key_name!r} no longer works."})


@router.post("/{key_name}/rotate", response_model=CreatedKey, openapi_extra=ADMIN)
def rotate_key(services: ServicesDep, organization: OrganizationDep, user_email: str, key_name: str) -> Response:
    """Replace the secret of a key; the old one stops working."""
    return reply(services.keys.rotate(organization, key_name, user_email))
