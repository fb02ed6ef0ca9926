"""Checks of the data folder before anything in it is opened: that it can be one, and is accessible."""

import os
import shlex
from pathlib import Path
from typing import Final

from shoal.durable import is_on_read_only_disk, make_folder, sync_folder
from shoal.errors import InvalidField
from shoal.storage.local.privacy import not_ours

__all__ = [
    "BACKUP_MANIFEST",
    "check_data_folder",
    "check_no_backup",
    "find_data_without_metadata",
    "holds_installation",
    "make_data_folder",
]

BACKUP_MANIFEST: Final = "shoal-backup.json"
"""The file that marks a folder as a backup."""


def make_data_folder(data: Path) -> None:
    """Create the folder, private, if there is none. Raises InvalidField if it cannot be used."""
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
    """Raise InvalidField for a file, a folder that this user may not use, and a backup; a missing folder is fine."""
    try:
        if data.exists() and not data.is_dir():
            raise InvalidField("--data", "is a file", value=str(data), remedy="Name a folder, or one to be created.")
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
    """Raise InvalidField for a folder that `shoal backup` wrote, which would look like an empty data folder."""
    if (data / BACKUP_MANIFEST).exists() and not holds_installation(data):
        raise InvalidField(
            "--data",
            "is a backup, not a data folder",
            value=str(data),
            remedy=f"Restore it into a data folder: shoal restore {shlex.quote(str(data))} --data NEW_FOLDER",
        )


def _may_use(data: Path) -> bool:
    mode = os.R_OK | os.X_OK | (0 if is_on_read_only_disk(data) else os.W_OK)
    return os.access(data, mode, effective_ids=True)


def _nearest(path: Path) -> Path:
    """Return the nearest existing folder: the path or one of its parents."""
    return next(folder for folder in (path, *path.parents) if os.path.isdir(folder))  # noqa: PTH112 - raises nothing


def find_data_without_metadata(data: Path) -> str | None:
    """Return the part of a data folder that has data although its metadata are missing or empty, if any."""
    path = data / "metadata.sqlite"
    for name in ("documents", "artifacts"):
        # Checked twice: another process may create the metadata first and the data next.
        if not _has_content(path) and any((data / name).glob("*/*/*")) and not _has_content(path):
            return name
    return None


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
