"""`shoal keys`: look after API keys on the data folder itself; no server is needed, a running one is no harm."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.settings import Settings

if TYPE_CHECKING:
    from shoal.records.key import CreatedKey, Permission
    from shoal.records.scope import Scope
    from shoal.services.keys import Keys

__all__ = ["keys_app"]

keys_app = typer.Typer(help="List, create, rotate and revoke API keys.", no_args_is_help=True)

Data = Annotated[Path | None, typer.Option(help="The folder that holds everything.")]
Name = Annotated[str, typer.Argument(help="The key's name or id.")]


@keys_app.command("list")
def list_keys(data: Data = None) -> None:
    """Show every key, without its secret."""
    with _keys(data) as (keys, scope):
        for key in keys.all(scope):
            used = "never used" if key.last_used_at is None else f"last used {key.last_used_at:%Y-%m-%d %H:%M} UTC"
            print(f"{key.name}\t{key.key_prefix}…\t{key.status}\t{','.join(key.permissions)}\t{used}\t{key.user_email}")


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call the key.")],
    permission: Annotated[
        list[str] | None, typer.Option(help="read, write, delete or admin; repeat for several. Default: the first 3.")
    ] = None,
    email: Annotated[str, typer.Option(help="The user it belongs to.")] = "local@shoal",
    data: Data = None,
) -> None:
    """Create a key and show it, once."""
    from shoal.records.key import CreateKey

    with _keys(data) as (keys, scope):
        permissions = None if permission is None else [_permission(one) for one in permission]
        _show(keys.create(scope, email, CreateKey(name=name, permissions=permissions), by="command line"))


@keys_app.command()
def rotate(name: Name, data: Data = None) -> None:
    """Give a key a new secret and show it, once; the old one stops working within 5 seconds."""
    with _keys(data) as (keys, scope):
        _show(keys.rotate(scope, name))


@keys_app.command()
def revoke(name: Name, data: Data = None) -> None:
    """Make a key stop working, within 5 seconds."""
    from shoal.records.key import PatchKey

    with _keys(data) as (keys, scope):
        key = keys.change(scope, name, PatchKey(status="revoked"), by="command line", may_lock_out=True)
        print(f"The key {key.name!r} is revoked.")


@contextmanager
def _keys(data: Path | None) -> "Iterator[tuple[Keys, Scope]]":
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble
    from shoal.cli.audit import at_the_command_line
    from shoal.records.scope import Scope

    settings = Settings.read(data=data)
    services = assemble(settings)
    try:
        services.keys.bootstrap(settings.data / "key")
        with services.audit.acting(at_the_command_line()):
            yield services.keys, Scope(services.keys.organizations()[0].organization_id)
    finally:
        services.close()


def _permission(text: str) -> "Permission":
    from shoal.errors import InvalidField
    from shoal.records.key import ALL_PERMISSIONS

    for permission in ALL_PERMISSIONS:
        if permission == text:
            return permission
    raise InvalidField("--permission", "is unknown", value=text, remedy="Use read, write, delete or admin.")


def _show(key: "CreatedKey") -> None:
    print(f"The key {key.name!r}, shown only now: {key.key}")
