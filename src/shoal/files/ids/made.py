"""Ids for the rows of a file without any: made of the file's content, so that no other file has the same."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["MadeIds", "imported_before", "made_for"]

_DIGEST_BYTES: Final = 6
_DIGITS: Final = 10
_PIECE: Final = 2**20


class MadeIds:
    """Makes ids such as `3f9a1cd04b7e-0000000007`: a digest of all of the files, and the row.

    The same content has the same ids whatever the file is called; in their order as text rows stand as in the file.

    Parameters
    ----------
    paths
        The files, in the order of their rows. They are read when the first id is made.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._digest = ""

    def __call__(self, first: int, rows: int) -> list[str]:
        self._digest = self._digest or self._read()
        return [f"{self._digest}-{row:0{_DIGITS}d}" for row in range(first, first + rows)]

    def _read(self) -> str:
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for path in self._paths:
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
        return digest.hexdigest()


def made_for(option: str) -> str:
    """The note on a file whose ids were made. `option` names a column of ids."""
    return (
        "There is no column of ids, so ids were made of the file's content: another file replaces none of these "
        f"documents. To update them by a later file, name a column of ids: {option}."
    )


def imported_before(documents: int) -> str:
    """The note where all of a file's made ids were stored before."""
    are = "1 document is" if documents == 1 else f"{documents:,} documents are"
    return f"The same file was imported before: its {are} there already, and none was added."
