"""`shoal keys`: manage API keys in the data folder itself, whether a server runs or not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shoal.cli.installation import choose_organization, open_services

if TYPE_CHECKING:
    from shoal.assemble import Services
    from shoal.records.key import CreatedKey, Key, Permission
    from shoal.records.scope import Scope

__all__ = ["keys_app"]

keys_app = typer.Typer(help="List, create, rotate and revoke API keys.", no_args_is_help=True)

_LONGEST_NAME: Final = 100
Data = Annotated[Path | None, typer.Option(help="The folder that holds everything.")]
Name = Annotated[str, typer.Argument(help="The key's name or id.")]
Of = Annotated[str | None, typer.Option("--organization", help="Whose keys: a name or id. Default: the first.")]


@keys_app.command("list")
def list_keys(organization: Of = None, data: Data = None) -> None:
    """Show every key, without its secret."""
    from shoal.cli.output.table import print_listing

    with _open_keys(data, organization) as (services, scope):
        rows = [(_format_key(key), key.status == "active") for key in services.keys.all(scope)]
    print_listing(("name", "begins", "status", "permissions", "last used (UTC)", "user"), rows)


def _format_key(key: "Key") -> list[str]:
    until = "" if key.expires_at is None else f", to {key.expires_at:%Y-%m-%d}"
    used = "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}"
    return [key.name, f"{key.key_prefix}…", key.status + until, " ".join(key.permissions), used, key.user_email]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call the key.")],
    permission: Annotated[
        list[str] | None, typer.Option(help="read, write, delete or admin; repeat for several. Default: the first 3.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="How long it works. Default: for ever.")] = None,
    email: Annotated[str, typer.Option(help="The user it belongs to.")] = "local@shoal",
    organization: Of = None,
    data: Data = None,
) -> None:
    """Create a key and show it, once."""
    from shoal.errors import InvalidField
    from shoal.records.key import CreateKey

    with _open_keys(data, organization) as (services, scope):
        permissions = None if permission is None else [_parse_permission(text) for text in permission]
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        if not 1 <= len(name) <= _LONGEST_NAME:
            raise InvalidField("NAME", f"must have 1 to {_LONGEST_NAME} characters", value=name)
        body = CreateKey(name=name, permissions=permissions, expires_at=expires_at)
        _print_key(services.keys.create(scope, email, body, by="command line"))


@keys_app.command()
def rotate(name: Name, organization: Of = None, data: Data = None) -> None:
    """Give a key a new secret and show it, once; the old one stops working at once."""
    with _open_keys(data, organization) as (services, scope):
        key_file = services.settings.data / "key"
        good = services.keys.is_valid_file(key_file)
        _print_key(services.keys.rotate(scope, name, key_file=key_file))
        if good and not services.keys.is_valid_file(key_file):
            print(f"shoal: {key_file} could not be written: it holds the old secret.", file=sys.stderr)


@keys_app.command()
def revoke(name: Name, organization: Of = None, data: Data = None) -> None:
    """Make a key stop working at once."""
    from shoal.records.key import PatchKey

    with _open_keys(data, organization) as (services, scope):
        key = services.keys.change(scope, name, PatchKey(status="revoked"), by="command line", may_lock_out=True)
        print(f"The key {key.name!r} is revoked.")


@contextmanager
def _open_keys(data: Path | None, organization: str | None) -> "Iterator[tuple[Services, Scope]]":
    from shoal.cli.audit import command_line_origin
    from shoal.records.scope import Scope

    with open_services(data) as services, services.audit.acting(command_line_origin()):
        yield services, Scope(choose_organization(services.keys, organization).organization_id)


def _parse_permission(text: str) -> "Permission":
    from shoal.errors import InvalidField
    from shoal.records.key import ALL_PERMISSIONS

    for permission in ALL_PERMISSIONS:
        if permission == text:
            return permission
    raise InvalidField("--permission", "is unknown", value=text, remedy="Use read, write, delete or admin.")


def _print_key(key: "CreatedKey") -> None:
    print(f"The key {key.name!r}, shown only now: {key.key}")
