"""The existing data folder that a command works on, with or without a running server."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import InvalidField
from shoal.settings import Settings, default_data_folder

if TYPE_CHECKING:
    from shoal.assemble import Services
    from shoal.records.organization import Organization
    from shoal.services.keys.keys import Keys

__all__ = ["check_data_folder_exists", "choose_organization", "data_option", "open_services"]


@contextmanager
def open_services(data: Path | None) -> "Iterator[Services]":
    """Open the services over a data folder. Raises InvalidField where there is none: a typo must not create one."""
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble

    settings = Settings.read(data=data)
    check_data_folder_exists(settings)
    services = assemble(settings)
    try:
        yield services
    finally:
        services.close()


def check_data_folder_exists(settings: Settings) -> None:
    """Raise InvalidField where there is not a data folder, or none for this user."""
    from shoal.storage.local.data_folder import check_data_folder, holds_installation

    check_data_folder(settings.data)
    if not holds_installation(settings.data):
        raise InvalidField(
            "--data",
            "is not a data folder",
            value=str(settings.data),
            remedy="Name the one of your server; the first `shoal serve` makes it.",
        )


def choose_organization(keys: "Keys", name: str | None) -> "Organization":
    """Return the organization with this name or id, the first for None. Raises InvalidField."""
    organizations = keys.organizations()
    for organization in organizations:
        if name in (None, organization.organization_name, organization.organization_id):
            return organization
    names = ", ".join(str(organization.organization_name) for organization in organizations)
    raise InvalidField("--organization", "is unknown", value=name, remedy=f"There are: {names}.")


def data_option(data: Path) -> str:
    """Return the option that points a command to this folder; empty for the default folder."""
    return "" if data == default_data_folder().expanduser().resolve() else f" --data {shlex.quote(str(data))}"
