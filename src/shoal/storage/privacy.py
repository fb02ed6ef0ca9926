"""A data folder is its owner's alone, also one that was made by hand or by an earlier version."""

import logging
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["OURS", "make_private", "others_may_enter"]

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
