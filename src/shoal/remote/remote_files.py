"""Files at `https://` and `s3://`, downloaded to a private temporary folder before they are read.

For the command line and the library, whose user names the address. A server never fetches an address that a caller
names.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from shoal.engine.plan import Progress, ignore_progress
from shoal.files.paths.addresses import Address, Place, Places
from shoal.files.paths.shards import Files
from shoal.remote import bucket_files, web_files
from shoal.remote.fetch_quota import FetchQuota

__all__ = ["FetchedFiles", "as_local_files", "local_files"]

_LONGEST_NAME: Final = 200


def as_local_files(places: Places) -> Files | None:
    """Return the places where all of them are local, else None."""
    if isinstance(places, Path):
        return places
    paths = [place for place in _to_list(places) if isinstance(place, Path)]
    return paths if len(paths) == len(_to_list(places)) else None


class FetchedFiles:
    """Files at addresses, downloaded until `close`.

    Parameters
    ----------
    places
        An address, or several places of which some are addresses: `https://`, `http://` or `s3://`; for S3 also a
        prefix or a pattern.
    progress
        Called with "read" and the fraction that has arrived.

    Attributes
    ----------
    path
        The local copies.
    names
        The addresses of the folders that hold them, where there are several.

    Raises
    ------
    InvalidField
        For an address that does not return a file.
    TooLarge
        For more than fits on the disk, or than `fetch_mib` allows.
    """

    def __init__(self, places: Places, progress: Progress = ignore_progress) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="shoal-")
        root = Path(self._folder.name)
        self.names: Mapping[Path, str] = {}
        try:
            quota = FetchQuota(root, progress)
            if isinstance(places, Address):
                self.path: Files = _fetch(places, root, quota)
                return
            names, paths = dict[Path, str](), list[Path]()
            for number, place in enumerate(dict.fromkeys(_to_list(places))):
                if isinstance(place, Path):
                    paths.append(place)
                    continue
                (folder := root / str(number)).mkdir()
                paths.append(_fetch(place, folder, quota))
                names[folder] = place.redacted if paths[-1] == folder else place.redacted.rpartition("/")[0]
            self.path, self.names = paths, names
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the copies."""
        self._folder.cleanup()


def _to_list(places: Places) -> list[Place]:
    return [places] if isinstance(places, (Path, Address)) else list(places)


def _fetch(address: Address, folder: Path, quota: FetchQuota) -> Path:
    if address.scheme == "s3":
        return bucket_files.fetch(address, folder, quota)
    target = folder / _file_name(address.name)
    web_files.fetch(address, target, quota)
    return target


def _file_name(name: str) -> str:
    """Return a valid file name that keeps the suffix, which implies the format."""
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    return "download" + "".join(PurePosixPath(name).suffixes[-2:])[-_LONGEST_NAME // 4 :]


@contextmanager
def local_files(places: Places, progress: Progress = ignore_progress) -> Iterator[tuple[Files, Mapping[Path, str]]]:
    """Yield local paths until the block ends, and the addresses of folders of downloaded files. Raises as
    `FetchedFiles`."""
    if (local := as_local_files(places)) is not None:
        yield local, {}
        return
    fetched = FetchedFiles(places, progress)
    try:
        yield fetched.path, fetched.names
    finally:
        fetched.close()
