"""`shoal organizations`: isolated tenants, created where the server runs."""

from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.installation import open_services

__all__ = ["organizations_app"]

organizations_app = typer.Typer(help="List and create organisations.", no_args_is_help=True)

Data = Annotated[Path | None, typer.Option(help="The folder that holds everything.")]


@organizations_app.command("list")
def list_organizations(data: Data = None) -> None:
    """Show every organisation, oldest first."""
    from shoal.cli.output.table import print_listing

    with open_services(data) as services:
        rows = [
            (
                (
                    str(organization.organization_name),
                    organization.organization_id,
                    f"{organization.created_at:%Y-%m-%d %H:%M}",
                ),
                True,
            )
            for organization in services.keys.organizations()
        ]
    print_listing(("name", "id", "made (UTC)"), rows)


@organizations_app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call the organisation.")],
    data: Data = None,
) -> None:
    """Create an organisation with a namespace `default`, and show its first key, once."""
    from shoal.cli.audit import command_line_origin

    with open_services(data) as services, services.audit.acting(command_line_origin()):
        key = services.keys.create_organization(name)
        print(f"The organisation {name!r} is {key.organization_id}.")
        print(f"Its key {key.name!r}, with all permissions, shown only now: {key.key}")
