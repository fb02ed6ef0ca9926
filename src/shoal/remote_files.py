"""Files at `https://` and `s3://`, fetched into a folder of this process's own before they are read.

For the command line and the library, whose user names the address. A server never fetches what a caller names.
"""

import fnmatch
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pyarrow as pa

from shoal.engine.plan import Progress, silent
from shoal.errors import InvalidField, TooLarge
from shoal.files.bounds import size_text
from shoal.files.remote_names import remote_address, remote_name
from shoal.files.shards import Files

if TYPE_CHECKING:
    import httpx
    from pyarrow.fs import FileInfo, S3FileSystem

__all__ = ["Fetched", "local_files"]

_PIECE: Final = 2**20
_ROOM_LEFT: Final = 256 * 2**20
"""What fetching leaves free on the disk."""
_SECONDS: Final = 30.0
_SKIPPED: Final = (".", "_")
_WILD: Final = frozenset("*?[")
_KEYS: Final = "Check the address, and the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, or a profile)."


class Fetched:
    """The file at an address, or the files of a folder or a pattern in S3, on this machine at `path`.

    Parameters
    ----------
    address
        `https://`, `http://` or `s3://`.
    progress
        Hears "read" with the part that is there.

    Raises
    ------
    InvalidField
        For an address that does not answer with a file.
    TooLarge
        For more than there is room for on the disk.
    """

    def __init__(self, address: str, progress: Progress = silent) -> None:
        self._label, self._progress = remote_name(address), progress
        self._folder = tempfile.TemporaryDirectory(prefix="shoal-")
        try:
            get = self._from_s3 if address.startswith("s3:") else self._from_web
            self.path: Path = get(address, Path(self._folder.name))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()

    def _from_web(self, address: str, folder: Path) -> Path:
        import httpx

        target = folder / self._label
        # Not packed on its way: the name says whether the file itself is.
        headers = {"Accept-Encoding": "identity"}
        try:
            with (
                httpx.Client(follow_redirects=True, timeout=_SECONDS, headers=headers) as client,
                client.stream("GET", address) as answer,
            ):
                self._check_answer(address, answer)
                size = int(answer.headers.get("content-length", 0))
                packed = target.suffix.lower() == ".gz"
                with target.open("wb") as file:
                    self._write(answer.iter_raw() if packed else answer.iter_bytes(), file, size)
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # their texts may hold the address with its keys
            problem = f"cannot be fetched ({type(error).__name__})"
            raise InvalidField(self._label, problem, remedy="Check the address and the network.") from None
        return target

    def _check_answer(self, address: str, answer: "httpx.Response") -> None:
        if address.startswith("https:") and any(one.url.scheme != "https" for one in (*answer.history, answer)):
            raise InvalidField(self._label, "is passed on to an address without encryption", remedy="Name it yourself.")
        if not answer.is_success:
            remedy = "Check the address." if answer.status_code == 404 else "Check the address and its keys."
            raise InvalidField(self._label, f"cannot be fetched: the server says {answer.status_code}", remedy=remedy)
        if answer.headers.get("content-type", "").startswith("text/html"):
            remedy = "Name the address of the file itself, such as the one behind Raw or Download."
            raise InvalidField(self._label, "is a web page, not a file", remedy=remedy)

    def _from_s3(self, address: str, folder: Path) -> Path:
        from pyarrow.fs import FileType

        parts = urlsplit(address)
        key = f"{parts.netloc}{parts.path}".rstrip("/")
        try:
            store = _s3(parts.netloc)
            if _WILD & set(parts.path):
                return self._all(store, key, folder, pattern=True)
            found = store.get_file_info(key)
            if found.type == FileType.Directory:
                return self._all(store, key, folder, pattern=False)
            if found.type == FileType.NotFound:
                raise InvalidField(self._label, "is not there", remedy=_KEYS)
            self._copy(store, found, folder / self._label)
        except (OSError, pa.ArrowException) as error:
            problem = f"cannot be fetched ({_reason(error)})"
            raise InvalidField(self._label, problem, remedy=_KEYS) from None
        return folder / self._label

    def _all(self, store: "S3FileSystem", key: str, folder: Path, *, pattern: bool) -> Path:
        """The files below a key, or those that match it, in the folders that they lie in."""
        from pyarrow.fs import FileSelector

        above = key
        while pattern and _WILD & set(above):
            above = above.rpartition("/")[0]
        found = [one for one in store.get_file_info(FileSelector(above, recursive=True)) if one.is_file]
        named = {one.path.removeprefix(f"{above}/"): one for one in found}
        kept = {
            name: one
            for name, one in named.items()
            if not any(not part or part.startswith(_SKIPPED) for part in name.split("/"))
            and (not pattern or fnmatch.fnmatchcase(one.path, key))
        }
        if not kept:
            raise InvalidField(self._label, "holds no file", remedy=_KEYS)
        self._check_room(sum(one.size for one in kept.values()))
        for name, one in kept.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self._copy(store, one, folder / name)
        return folder

    def _copy(self, store: "S3FileSystem", found: "FileInfo", target: Path) -> None:
        with store.open_input_stream(found.path) as source, target.open("wb") as file:
            self._write(iter(lambda: source.read(_PIECE), b""), file, found.size)

    def _write(self, pieces: Iterator[bytes], file: IO[bytes], size: int) -> None:
        """Raises TooLarge as soon as the disk would be full, whatever size was announced."""
        self._check_room(size)
        written = 0
        for piece in pieces:
            file.write(piece)
            if (written + len(piece)) // _ROOM_LEFT != written // _ROOM_LEFT:
                self._check_room(0)
            written += len(piece)
            if size:
                self._progress("read", min(written / size, 1.0))

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._folder.name).free
        if free < size + _ROOM_LEFT:
            raise TooLarge(
                f"{self._label}: cannot be fetched, as only {size_text(free)} are free on the disk of "
                f"{tempfile.gettempdir()}. Make room there, or name another folder with TMPDIR.",
                field=self._label,
            )


@contextmanager
def local_files(path: Files, progress: Progress = silent) -> Iterator[Files]:
    """The path itself, or where the file at an address lies until the block ends. Raises as `Fetched`."""
    address = remote_address(path)
    if address is None:
        yield path
        return
    fetched = Fetched(address, progress)
    try:
        yield fetched.path
    finally:
        fetched.close()


def _s3(bucket: str) -> "S3FileSystem":
    """The store of a bucket, with the keys and the endpoint of the environment, as AWS's own tools have them."""
    from pyarrow.fs import S3FileSystem, resolve_s3_region

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and not endpoint:
        region = resolve_s3_region(bucket)
    parts = urlsplit(endpoint)
    return S3FileSystem(
        region=region,
        scheme=parts.scheme or "https",
        endpoint_override=parts.netloc or None,
        anonymous=os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true"),
    )


def _reason(error: Exception) -> str:
    """The kind of an error of S3, without its text: that may hold keys and addresses."""
    text = str(error)
    known = (
        "ACCESS_DENIED",
        "NO_SUCH_BUCKET",
        "INVALID_ACCESS_KEY_ID",
        "SIGNATURE_DOES_NOT_MATCH",
        "NETWORK_CONNECTION",
    )
    return next((one.replace("_", " ").lower() for one in known if one in text), type(error).__name__)
