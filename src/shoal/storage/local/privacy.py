"""Permissions of the data folder: private to its owner, even if it was created by hand or by an earlier version."""

import logging
import os
import pwd
import shlex
import stat
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField

__all__ = ["OURS", "make_private", "not_ours", "others_may_enter"]

OURS: Final = (
    *("documents", "artifacts", "checkpoints", "spool"),
    *("workers", "servers", "housekeeping", "removals"),
)
"""The folders that Shoal creates in a data folder."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_log = logging.getLogger("shoal.privacy")


def others_may_enter(path: Path) -> bool:
    """Whether other users than the owner have any permission on a file or folder."""
    return bool(path.stat().st_mode & _OTHERS)


def not_ours(folder: Path) -> InvalidField:
    """Return the error for a folder that the user running Shoal may not write to: its owner, and the remedy."""
    about = folder.stat()
    runs, owner = f"{_user(os.geteuid())} ({os.geteuid()})", f"{_user(about.st_uid)} ({about.st_uid})"
    give = f"chown -R {os.geteuid()}:{os.getegid()} {shlex.quote(str(folder))}"
    return InvalidField(
        "--data",
        f"the folder {folder} belongs to {owner}, mode {stat.S_IMODE(about.st_mode):04o}, and Shoal runs as {runs}, "
        "who may not write there",
        remedy=f"Change its owner ({give}, as root), or name another folder.",
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return "a user without a name"


def make_private(data: Path) -> None:
    """Remove the permissions of other users from the data folder and its subfolders, and log it.

    A folder with foreign contents, or of another user, is left as it is, with a warning: what Shoal creates in it is
    private in any case.
    """
    is_ours = (data / "metadata.sqlite").exists() or not any(data.iterdir())
    for folder in (data, *(data / name for name in OURS)):
        if not folder.is_dir() or not others_may_enter(folder):
            continue
        about = {"folder": str(folder), "mode": f"{stat.S_IMODE(folder.stat().st_mode):04o}"}
        if folder.stat().st_uid != os.geteuid() or (folder == data and not is_ours):
            _log.warning("data.open_to_others", extra=about)
            continue
        try:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~_OTHERS)
        except OSError as error:
            _log.warning("data.open_to_others", extra={**about, "cause": error.strerror})
        else:
            _log.warning("data.made_private", extra=about)
