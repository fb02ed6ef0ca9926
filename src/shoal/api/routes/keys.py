"""API keys of an organisation's users; for callers with the permission `admin`."""

from dataclasses import replace

from fastapi import Response

from shoal.api.callers.permissions import ADMIN
from shoal.api.deps import Called, Listed, Organized, Wired
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.records.base import Done
from shoal.records.key import CreatedKey, CreateKey, Key, KeyList, PatchKey
from shoal.records.queries.filters import And, Condition

__all__ = ["router"]

router = Resource(
    "/organizations/users/{user_email}/api-keys",
    tag="API keys",
    about="Keys of an organisation's users.",
    path_parameters={
        "user_email": "E-mail address of the key's owner.",
        "key_name": "Name or id of the key.",
    },
)


@router.post("", response_model=CreatedKey, openapi_extra=ADMIN)
def create_key(services: Wired, caller: Called, organization: Organized, user_email: str, body: CreateKey) -> Response:
    """A new key; this answer is the only one that holds it in plain text."""
    return reply(services.keys.create(organization, user_email, body, by=caller.key_id))


@router.get("", response_model=KeyList, openapi_extra=ADMIN)
def list_keys(
    services: Wired, organization: Organized, listed: Listed, user_email: str, include_revoked: bool = True
) -> Response:
    """The user's keys, newest first."""
    query = listed.query(search_fields=("name", "description"))
    if not include_revoked:
        query = replace(query, filter=And((query.filter, Condition("status", "ne", "revoked"))))
    found = services.keys.search(organization, user_email, query)
    return reply(KeyList(results=found.items, pagination=listed.pagination(found), total_count=found.total))


@router.get("/{key_name}", response_model=Key, openapi_extra=ADMIN)
def get_key(services: Wired, organization: Organized, user_email: str, key_name: str) -> Response:
    """One key by name or id."""
    return reply(services.keys.get(organization, key_name, user_email))


@router.patch("/{key_name}", response_model=Key, openapi_extra=ADMIN)
def patch_key(
    services: Wired, caller: Called, organization: Organized, user_email: str, key_name: str, body: PatchKey
) -> Response:
    """Change name, description, permissions or expiry, or revoke the key."""
    return reply(services.keys.change(organization, key_name, body, user_email, by=caller.key_id))


@router.delete("/{key_name}", response_model=Done, openapi_extra=ADMIN)
def delete_key(services: Wired, organization: Organized, user_email: str, key_name: str) -> Response:
    """The key stops working and is forgotten."""
    services.keys.remove(organization, key_name, user_email)
    return reply({"success": True, "message": f"The key {key_name!r} no longer works."})


@router.post("/{key_name}/rotate", response_model=CreatedKey, openapi_extra=ADMIN)
def rotate_key(services: Wired, organization: Organized, user_email: str, key_name: str) -> Response:
    """A new secret under the same name; the old one stops working."""
    return reply(services.keys.rotate(organization, key_name, user_email))
