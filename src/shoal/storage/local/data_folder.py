"""The data folder before anything in it is opened: whether it can be one, and is the caller's."""

import os
import shlex
from pathlib import Path
from typing import Final

from shoal.durable import make_folder, on_read_only_disk, sync_folder
from shoal.errors import InvalidField
from shoal.storage.local.privacy import not_ours

__all__ = [
    "BACKUP_MANIFEST",
    "check_data_folder",
    "check_no_backup",
    "held_without_metadata",
    "holds_installation",
    "make_data_folder",
]

BACKUP_MANIFEST: Final = "shoal-backup.json"
"""The file that marks a folder as a backup."""


def make_data_folder(data: Path) -> None:
    """Make the folder, private, where there is none. Raises InvalidField where it cannot be used."""
    check_data_folder(data)
    if data.is_dir():
        return
    try:
        make_folder(data.parent)
        data.mkdir(mode=0o700, exist_ok=True)
    except PermissionError:
        raise not_ours(_nearest(data)) from None
    sync_folder(data.parent)


def check_data_folder(data: Path) -> None:
    """Raises InvalidField for a file, a folder that this user may not use, and a backup; a folder that is not there
    yet is in order."""
    try:
        if data.exists() and not data.is_dir():
            raise InvalidField(
                "--data", "is a file", value=str(data), remedy="Name a folder, or one that is to be made."
            )
    except PermissionError:
        raise not_ours(_nearest(data)) from None
    if not data.is_dir():
        return
    if not _may_use(data):
        raise not_ours(data)
    check_no_backup(data)


def holds_installation(data: Path) -> bool:
    """Whether a server has ever kept its data here."""
    return (data / "metadata.sqlite").exists()


def check_no_backup(data: Path) -> None:
    """Raises InvalidField for a folder that `shoal backup` wrote: its data lie below it, and it looks new."""
    if (data / BACKUP_MANIFEST).exists() and not holds_installation(data):
        raise InvalidField(
            "--data",
            "is a backup, not a data folder",
            value=str(data),
            remedy=f"Make a data folder from it: shoal restore {shlex.quote(str(data))} --data NEW_FOLDER",
        )


def _may_use(data: Path) -> bool:
    wanted = os.R_OK | os.X_OK | (0 if on_read_only_disk(data) else os.W_OK)
    return os.access(data, wanted, effective_ids=True)


def _nearest(path: Path) -> Path:
    """The folder that is seen to be there, of a path and those above it."""
    return next(one for one in (path, *path.parents) if os.path.isdir(one))  # noqa: PTH112 - raises nothing


def held_without_metadata(data: Path) -> str | None:
    """Which part of a data folder holds something though the metadata, which tell what it is, are gone or empty."""
    path = data / "metadata.sqlite"
    for name in ("documents", "artifacts"):
        if not _has_content(path) and any((data / name).glob("*/*/*")) and not _has_content(path):  # still not
            return name
    return None


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
