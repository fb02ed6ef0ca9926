"""Downloads objects at `s3://`: one, those below a prefix, or those that match a pattern."""

import fnmatch
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.paths.addresses import Address
from shoal.remote.fetch_quota import FetchQuota

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, S3FileSystem

__all__ = ["fetch", "key_matches"]

_PIECE: Final = 2**20
_SKIPPED: Final = (".", "_")
_WILD: Final = re.compile(r"[*?\[]")
_KEYS: Final = "Check the address, and the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, or a profile)."


def fetch(address: Address, folder: Path, quota: FetchQuota) -> Path:
    """Download the object at an address, or the objects that it stands for.

    Parameters
    ----------
    address
        `s3://…`: a key, a prefix, or a pattern.
    folder
        The destination.
    quota
        Receives the bytes, and limits them.

    Returns
    -------
    Path
        The file, or `folder` with several files below the folders of their keys.

    Raises
    ------
    InvalidField
        Where there is no such object, or access is denied.
    TooLarge
        For more bytes than the quota allows.
    """
    from pyarrow.fs import FileType

    label, (bucket, key) = address.name, address.bucket_and_key
    whole = f"{bucket}/{key}".rstrip("/")
    try:
        store = _open_store(bucket)
        info = store.get_file_info(whole)
        if info.is_file:
            target = folder / label
            _copy(store, info, target, quota)
            return target
        if _WILD.search(key) is not None:
            return _fetch_matching(store, bucket, key, folder, quota, label)
        if info.type == FileType.NotFound:
            raise InvalidField(label, "is not there", remedy=_KEYS)
        return _fetch_matching(store, bucket, f"{key}/**" if key else "**", folder, quota, label)
    except FileNotFoundError:
        raise InvalidField(label, "is not there", remedy=_KEYS) from None
    except (OSError, pa.ArrowException) as error:
        problem = f"cannot be fetched ({_describe_error(error)})"
        raise InvalidField(label, problem, remedy=_KEYS) from None


def key_matches(name: str, pattern: str) -> bool:
    """Return whether a key matches a pattern or lies below a match: `*` stays within a part, `**` stands for any
    parts."""
    return _matches_parts(name.split("/"), pattern.split("/"))


def _matches_parts(name: list[str], pattern: list[str]) -> bool:
    """Match part by part, tracking every number of parts that the pattern so far may have consumed."""
    ends = {0}
    for part in pattern:
        if part == "**":
            ends = set(range(min(ends, default=len(name) + 1), len(name) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(name) and fnmatch.fnmatchcase(name[end], part)}
    return any(end > 0 for end in ends)


def _fetch_matching(
    store: "S3FileSystem", bucket: str, pattern: str, folder: Path, quota: FetchQuota, label: str
) -> Path:
    """Download the objects that match a pattern, into the folders of their keys below the literal prefix."""
    from pyarrow.fs import FileSelector

    parts = pattern.split("/")
    fixed = next(at for at, part in enumerate(parts) if _WILD.search(part))
    prefix = "/".join([bucket, *parts[:fixed]])
    infos = store.get_file_info(FileSelector(prefix, recursive=True))
    by_name = {info.path[len(prefix) + 1 :]: info for info in infos if info.is_file}
    relative_pattern = "/".join(parts[fixed:])
    matching = {
        name: info for name, info in by_name.items() if not _is_skipped(name) and key_matches(name, relative_pattern)
    }
    if not matching:
        raise InvalidField(label, "holds no file", remedy=_KEYS)
    files = _drop_folder_markers(matching, label)
    for name, info in files.items():
        quota.check_file(name, info.size)
    quota.check_disk(label, sum(info.size for info in files.values()))
    for name, info in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(store, info, folder / name, quota)
    return folder


def _drop_folder_markers(infos: Mapping[str, "FileInfo"], label: str) -> Mapping[str, "FileInfo"]:
    """Drop the empty objects that stand for a folder.

    Raises InvalidField for an object with content and with other objects below it: no file can be a folder as well.
    """
    folders = {str(folder) for name in infos for folder in PurePosixPath(name).parents}
    for name in folders & infos.keys():
        if infos[name].size:
            remedy = f"Name the objects below with a pattern, such as s3://BUCKET/…/{name}/*, or that one alone."
            raise InvalidField(f"{label}: {name}", "is an object and a folder of objects", remedy=remedy)
    return {name: info for name, info in infos.items() if name not in folders}


def _is_skipped(name: str) -> bool:
    """Return whether a key has a hidden part, is one of Spark's files, or has an empty part."""
    return any(not part or part.startswith(_SKIPPED) for part in name.split("/"))


def _copy(store: "S3FileSystem", info: "FileInfo", target: Path, quota: FetchQuota) -> None:
    with store.open_input_stream(info.path) as source:
        quota.write(iter(lambda: source.read(_PIECE), b""), target, info.size)


def _open_store(bucket: str) -> "S3FileSystem":
    """Open the store of a bucket, with credentials and endpoint from the environment, as AWS's own tools read them."""
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


def _describe_error(error: Exception) -> str:
    """Return the kind of an S3 error without its message, which may hold keys and addresses."""
    text = str(error)
    codes = (
        "ACCESS_DENIED",
        "NO_SUCH_BUCKET",
        "INVALID_ACCESS_KEY_ID",
        "SIGNATURE_DOES_NOT_MATCH",
        "NETWORK_CONNECTION",
    )
    return next((code.replace("_", " ").lower() for code in codes if code in text), type(error).__name__)
