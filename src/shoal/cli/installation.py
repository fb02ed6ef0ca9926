"""The data folder that a command works on, beside its server or without one: it has to be there already."""

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
    from shoal.services.keys import Keys

__all__ = ["check_is_there", "chosen", "here", "opened"]


@contextmanager
def opened(data: Path | None) -> "Iterator[Services]":
    """The services over a data folder. Raises InvalidField where there is none: a typing error must not make one."""
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble

    settings = Settings.read(data=data)
    check_is_there(settings)
    services = assemble(settings)
    try:
        yield services
    finally:
        services.close()


def check_is_there(settings: Settings) -> None:
    """Raises InvalidField where there is no data folder, or not one for this user."""
    from shoal.storage.local.data_folder import check_data_folder, holds_installation

    check_data_folder(settings.data)
    if not holds_installation(settings.data):
        raise InvalidField(
            "--data",
            "is no data folder",
            value=str(settings.data),
            remedy="Name the one of your server; the first `shoal serve` makes it.",
        )


def chosen(keys: "Keys", name: str | None) -> "Organization":
    """The organisation of this name or id, the first where None. Raises InvalidField."""
    organizations = keys.organizations()
    for organization in organizations:
        if name in (None, organization.organization_name, organization.organization_id):
            return organization
    known = ", ".join(str(one.organization_name) for one in organizations)
    raise InvalidField("--organization", "is unknown", value=name, remedy=f"There are: {known}.")


def here(data: Path) -> str:
    """The option that leads a command to this folder; empty where it would look there by itself."""
    return "" if data == default_data_folder().expanduser().resolve() else f" --data {shlex.quote(str(data))}"
