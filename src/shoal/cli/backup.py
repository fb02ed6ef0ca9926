"""`shoal backup` and `shoal restore`: copy a data folder while its server runs, and put it back."""

from pathlib import Path
from typing import Annotated

import typer

from shoal.settings import Settings

__all__ = ["backup", "restore"]

_MIB = 2**20


def backup(
    target: Annotated[Path, typer.Argument(help="The folder to write; it must not exist, or be empty.")],
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    with_key: Annotated[bool, typer.Option("--with-key", help="Copy the file with the plain first key too.")] = False,
) -> None:
    """Copy a data folder, also of a running server: exactly what was acknowledged up to one moment."""
    # Imported here so that `shoal --help` stays fast.
    from datetime import UTC, datetime
    from importlib.metadata import version

    from shoal.maintenance.backup import back_up

    settings = Settings.read(data=data)
    about = {"shoal": version("shoal"), "created_at": datetime.now(UTC).isoformat(timespec="seconds")}
    copied = back_up(settings.data, target, about=about, with_key=with_key)
    print(f"Backed up {copied.files:,} files, {copied.bytes / _MIB:,.1f} MiB, to {target}")
    if not with_key and (settings.data / "key").exists():
        print("Keys are in it as hashes; the file with the plain first key is not (--with-key).")


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `shoal backup` wrote.")],
    data: Annotated[
        Path | None, typer.Option(help="The data folder to create; it must not exist, or be empty.")
    ] = None,
) -> None:
    """Make a data folder from a backup; every byte is checked, and it appears whole or not at all."""
    from shoal.maintenance.backup import restore as put_back

    settings = Settings.read(data=data)
    copied = put_back(source, settings.data)
    print(f"Restored {copied.files:,} files, {copied.bytes / _MIB:,.1f} MiB, to {settings.data}")
