"""Generated ids for files without any: derived from the content, so that no two files share any."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["GeneratedIds", "note_already_imported", "note_generated"]

_DIGEST_BYTES: Final = 6
_DIGITS: Final = 10
_PIECE: Final = 2**20


class GeneratedIds:
    """Generates ids such as `3f9a1cd04b7e-0000000007`: a hash of all of the files, and the row number.

    The same content has the same ids whatever the file is called; their text order is file order.

    Parameters
    ----------
    paths
        The files, in the order of their rows. They are read when the first id is generated.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._digest = ""

    def __call__(self, first: int, rows: int) -> list[str]:
        self._digest = self._digest or self._hash_files()
        return [f"{self._digest}-{row:0{_DIGITS}d}" for row in range(first, first + rows)]

    def _hash_files(self) -> str:
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for path in self._paths:
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
        return digest.hexdigest()


def note_generated(option: str) -> str:
    """Return the note on a file with generated ids. `option` names a column of ids."""
    return (
        "There is no column of ids, so ids were generated from the file's content: another file replaces none of these "
        f"documents. To update them by a later file, name a column of ids: {option}."
    )


def note_already_imported(documents: int) -> str:
    """Return the note where all documents of a file with generated ids were already stored."""
    are = "1 document is" if documents == 1 else f"{documents:,} documents are"
    return f"The same file was imported before: its {are} there already, and none was added."
