"""Objects at `s3://`: one, those below a key, or those that match a pattern."""

import fnmatch
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.addresses import Address
from shoal.remote.fetch_room import Room

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, S3FileSystem

__all__ = ["fetch", "key_matches"]

_PIECE: Final = 2**20
_SKIPPED: Final = (".", "_")
_WILD: Final = re.compile(r"[*?\[]")
_KEYS: Final = "Check the address, and the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, or a profile)."


def fetch(address: Address, folder: Path, room: Room) -> Path:
    """Fetch the object at an address, or the objects that it stands for.

    Parameters
    ----------
    address
        `s3://…`, a key, a folder of keys, or a pattern of them.
    folder
        Where to.
    room
        Takes the bytes.

    Returns
    -------
    Path
        The file, or `folder` with several in the folders that their keys say.

    Raises
    ------
    InvalidField
        Where there is no such object, or the keys do not open it.
    TooLarge
        For more than there is room for.
    """
    from pyarrow.fs import FileType

    label, (bucket, key) = address.name, address.bucket_and_key
    whole = f"{bucket}/{key}".rstrip("/")
    try:
        store = _store(bucket)
        found = store.get_file_info(whole)
        if found.is_file:
            target = folder / label
            _copy(store, found, target, room)
            return target
        if _WILD.search(key) is not None:
            return _all(store, bucket, key, folder, room, label)
        if found.type == FileType.NotFound:
            raise InvalidField(label, "is not there", remedy=_KEYS)
        return _all(store, bucket, f"{key}/**" if key else "**", folder, room, label)
    except FileNotFoundError:
        raise InvalidField(label, "is not there", remedy=_KEYS) from None
    except (OSError, pa.ArrowException) as error:
        problem = f"cannot be fetched ({_reason(error)})"
        raise InvalidField(label, problem, remedy=_KEYS) from None


def key_matches(name: str, pattern: str) -> bool:
    """Whether a key is one of a pattern, or lies below one: `*` stays within a part, `**` stands for any parts."""
    return _part_matches(name.split("/"), pattern.split("/"))


def _part_matches(name: list[str], pattern: list[str]) -> bool:
    """Walks the pattern with all numbers of parts of the name that it may have used up."""
    ends = {0}
    for part in pattern:
        if part == "**":
            ends = set(range(min(ends, default=len(name) + 1), len(name) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(name) and fnmatch.fnmatchcase(name[end], part)}
    return any(end > 0 for end in ends)


def _all(store: "S3FileSystem", bucket: str, pattern: str, folder: Path, room: Room, label: str) -> Path:
    """The objects that match a pattern, in the folders that they lie in below its fixed part."""
    from pyarrow.fs import FileSelector

    parts = pattern.split("/")
    fixed = next(at for at, part in enumerate(parts) if _WILD.search(part))
    above = "/".join([bucket, *parts[:fixed]])
    listed = store.get_file_info(FileSelector(above, recursive=True))
    named = {one.path[len(above) + 1 :]: one for one in listed if one.is_file}
    wanted = "/".join(parts[fixed:])
    kept = {name: one for name, one in named.items() if not _is_left_out(name) and key_matches(name, wanted)}
    if not kept:
        raise InvalidField(label, "holds no file", remedy=_KEYS)
    files = _without_markers(kept, label)
    for name, one in files.items():
        room.check_file(name, one.size)
    room.check_disk(label, sum(one.size for one in files.values()))
    for name, one in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(store, one, folder / name, room)
    return folder


def _without_markers(found: Mapping[str, "FileInfo"], label: str) -> Mapping[str, "FileInfo"]:
    """Without the empty objects that stand for a folder. Raises InvalidField for an object that holds something, and
    has others below it: no file is a folder as well."""
    folders = {str(above) for name in found for above in PurePosixPath(name).parents}
    for name in folders & found.keys():
        if found[name].size:
            remedy = f"Name the objects below with a pattern, such as s3://BUCKET/…/{name}/*, or that one alone."
            raise InvalidField(f"{label}: {name}", "is an object and a folder of objects", remedy=remedy)
    return {name: one for name, one in found.items() if name not in folders}


def _is_left_out(name: str) -> bool:
    """Whether a key is hidden or Spark's, or leads out of the folder."""
    return any(not part or part.startswith(_SKIPPED) for part in name.split("/"))


def _copy(store: "S3FileSystem", found: "FileInfo", target: Path, room: Room) -> None:
    with store.open_input_stream(found.path) as source:
        room.write(iter(lambda: source.read(_PIECE), b""), target, found.size)


def _store(bucket: str) -> "S3FileSystem":
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
