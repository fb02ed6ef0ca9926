"""Files at `https://` and `s3://`, fetched into a folder of this process's own before they are read.

For the command line and the library, whose user names the address. A server never fetches what a caller names.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from shoal.engine.plan import Progress, ignore_progress
from shoal.files.addresses import Address, Place, Places
from shoal.files.shards import Files
from shoal.remote import bucket_files, web_files
from shoal.remote.fetch_room import Room

__all__ = ["Fetched", "files_here", "local_files"]

_LONGEST_NAME: Final = 200


def files_here(places: Places) -> Files | None:
    """The same where none of them is an address, else None."""
    if isinstance(places, Path):
        return places
    paths = [place for place in _each(places) if isinstance(place, Path)]
    return paths if len(paths) == len(_each(places)) else None


class Fetched:
    """The files at addresses, on this machine until they are closed.

    Parameters
    ----------
    places
        An address, or several places of which some are addresses: `https://`, `http://` or `s3://`, there also a
        folder or a pattern.
    progress
        Hears "read" with the part that is there.

    Attributes
    ----------
    path
        Where they lie.
    names
        What the folders stand for that hold them, where there are several.

    Raises
    ------
    InvalidField
        For an address that does not answer with a file.
    TooLarge
        For more than there is room for on the disk, or than `fetch_mib` allows.
    """

    def __init__(self, places: Places, progress: Progress = ignore_progress) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="shoal-")
        root = Path(self._folder.name)
        self.names: Mapping[Path, str] = {}
        try:
            room = Room(root, progress)
            if isinstance(places, Address):
                self.path: Files = _fetched(places, root, room)
                return
            names, paths = dict[Path, str](), list[Path]()
            for number, place in enumerate(dict.fromkeys(_each(places))):
                if isinstance(place, Path):
                    paths.append(place)
                    continue
                (folder := root / str(number)).mkdir()
                paths.append(_fetched(place, folder, room))
                names[folder] = place.shown if paths[-1] == folder else place.shown.rpartition("/")[0]
            self.path, self.names = paths, names
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()


def _each(places: Places) -> list[Place]:
    return [places] if isinstance(places, (Path, Address)) else list(places)


def _fetched(address: Address, folder: Path, room: Room) -> Path:
    if address.scheme == "s3":
        return bucket_files.fetch(address, folder, room)
    target = folder / _file_name(address.name)
    web_files.fetch(address, target, room)
    return target


def _file_name(name: str) -> str:
    """A name that a folder takes, with the ending that says the format."""
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    return "download" + "".join(PurePosixPath(name).suffixes[-2:])[-_LONGEST_NAME // 4 :]


@contextmanager
def local_files(places: Places, progress: Progress = ignore_progress) -> Iterator[tuple[Files, Mapping[Path, str]]]:
    """Where files lie until the block ends, and what the folders of those that were fetched stand for. Raises as
    `Fetched`."""
    if (here := files_here(places)) is not None:
        yield here, {}
        return
    fetched = Fetched(places, progress)
    try:
        yield fetched.path, fetched.names
    finally:
        fetched.close()
