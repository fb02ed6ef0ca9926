"""A data folder is its owner's alone, also one that was made by hand or by an earlier version."""

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
"""The folders that Shoal makes in it."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_log = logging.getLogger("shoal.privacy")


def others_may_enter(path: Path) -> bool:
    """Whether a file or folder is open to others than its owner."""
    return bool(path.stat().st_mode & _OTHERS)


def not_ours(folder: Path) -> InvalidField:
    """The error about a folder that the user who runs Shoal may not write to: whose it is, and the remedy."""
    about = folder.stat()
    runs, owner = f"{_user(os.geteuid())} ({os.geteuid()})", f"{_user(about.st_uid)} ({about.st_uid})"
    give = f"chown -R {os.geteuid()}:{os.getegid()} {shlex.quote(str(folder))}"
    return InvalidField(
        "--data",
        f"the folder {folder} belongs to {owner}, mode {stat.S_IMODE(about.st_mode):04o}, and Shoal runs as {runs}, "
        "who may not write there",
        remedy=f"Give it away ({give}, as root), or name another folder.",
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return "a user without a name"


def make_private(data: Path) -> None:
    """Take the rights of others from the data folder and from the folders in it, and say so in the log.

    A folder that holds other things than ours, or belongs to another user, is left as it is, with a warning: what Shoal
    makes in it is private all the same.
    """
    known = (data / "metadata.sqlite").exists() or not any(data.iterdir())
    for folder in (data, *(data / name for name in OURS)):
        if not folder.is_dir() or not others_may_enter(folder):
            continue
        about = {"folder": str(folder), "mode": f"{stat.S_IMODE(folder.stat().st_mode):04o}"}
        if folder.stat().st_uid != os.geteuid() or (folder == data and not known):
            _log.warning("data.open_to_others", extra=about)
            continue
        try:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~_OTHERS)
        except OSError as error:
            _log.warning("data.open_to_others", extra={**about, "cause": error.strerror})
        else:
            _log.warning("data.made_private", extra=about)
