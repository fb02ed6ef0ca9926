"""A data folder copied while a server works on it, and put back.

What makes the copy consistent is one moment at which no database can be written: their write locks are all held while
a snapshot of each is begun and every vector file and artifact gets a second name. That takes milliseconds; afterwards
everybody writes on, and the copying takes as long as it takes. So the copy holds exactly the writes that were
acknowledged before that moment, whatever metadata name is in it, and a vector file that is compacted away meanwhile
keeps its bytes.

The second names lie in `.backup.*.part` in the data folder, on the same disk; a crash leaves them to `shoal doctor`.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from shoal.durable import is_full, is_on_read_only_disk, remove_tree, short_name, sync_folder
from shoal.errors import Conflict, Corrupt, InsufficientStorage, InvalidField, Unavailable
from shoal.storage.checksums import manifest_checksum
from shoal.storage.local.data_folder import BACKUP_MANIFEST
from shoal.storage.local.disk import measure_space
from shoal.storage.protocols.records import Json
from shoal.storage.sqlite.documents.namespaces import namespace_folders
from shoal.storage.sqlite.inspection import lost_databases
from shoal.storage.sqlite.moment import Snapshot, at_one_moment

__all__ = ["Copied", "back_up", "restore"]

_FORMAT: Final = 1
_PIECE: Final = 1 << 20

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup or a restore wrote."""

    files: int
    bytes: int


def back_up(data: Path, target: Path, *, about: Json, with_key: bool = False) -> Copied:
    """Copy the data folder to `target`, which must not exist or be empty; it appears whole or not at all.

    `about` goes into the manifest. Raises InvalidField for the target, InsufficientStorage, Corrupt for what is damaged
    or gone, Unavailable where writers left no moment.
    """
    _check_free(target, "TARGET")
    if target.resolve().is_relative_to(data.resolve()):
        raise InvalidField("TARGET", "lies in the data folder, and would be lost with it", value=str(target))
    if not (data / "metadata.sqlite").exists():
        raise InvalidField("--data", "holds no metadata.sqlite", value=str(data), remedy="Is this a data folder?")
    if is_on_read_only_disk(data):
        raise Unavailable(
            f"The disk of {data} is mounted read-only, and a backup of a live folder locks its databases. Mount it "
            "writable; or copy the folder as it is, since nobody can write to it."
        )
    for folder in lost_databases(data / "documents"):
        raise Corrupt(f"{short_name(folder / 'documents.sqlite')} is missing. `shoal doctor` tells more.")
    part = _beside(target)
    linked = data / f".backup.{secrets.token_hex(6)}.part"
    try:
        with _speaking(target), at_one_moment(data, linked, lambda: _link_all(data, linked)) as snapshots:
            part.mkdir(parents=True, mode=0o700)
            writer = _Writer(part)
            for snapshot in snapshots:
                snapshot.copy_to(writer.place(snapshot.path))
                writer.note(snapshot.path)
            _copy_vectors(snapshots, linked, writer)
            _copy_artifacts(linked, writer)
            if with_key and (data / "key").exists():
                writer.copy(data / "key", Path("key"))
            writer.finish(about)
            _take_name(part, target)
        return writer.copied
    finally:
        remove_tree(linked)
        remove_tree(part)


def restore(source: Path, data: Path) -> Copied:
    """Put a backup back as a data folder, which must not exist or be empty; it appears whole or not at all.

    Every byte is checked against the manifest on the way. Raises InvalidField for the folders, Corrupt for a backup
    that is not what was written, Conflict for one of a newer version, InsufficientStorage.
    """
    _check_free(data, "--data")
    manifest = _read_manifest(source)
    part = _beside(data)
    try:
        with _speaking(data):
            part.mkdir(parents=True, mode=0o700)
            needed = sum(told["bytes"] for told in manifest["files"].values())
            free = measure_space(part, 0).free
            if free < needed:
                raise InsufficientStorage(
                    f"The backup needs {needed / 2**20:,.0f} MiB, and the disk of {data} has {free / 2**20:,.0f} MiB "
                    "free. Make room, or restore it to another disk.",
                    needed_bytes=needed,
                )
            for name, told in manifest["files"].items():
                _put_back(source, part, name, told)
            _sync_all(part)
            _take_name(part, data)
        return Copied(len(manifest["files"]), needed)
    finally:
        remove_tree(part)


# ── copying ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Writer:
    """Writes files below a folder and notes size and SHA-256 of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Json] = {}

    @property
    def copied(self) -> Copied:
        return Copied(len(self._files), sum(int(told["bytes"]) for told in self._files.values()))

    def copy(self, path: Path, name: Path, size: int | None = None) -> None:
        """Copy a file, or its first `size` bytes. Raises Corrupt where it is shorter."""
        place = self.place(name)
        with path.open("rb") as source, _private(place) as target:
            left = os.fstat(source.fileno()).st_size if size is None else size
            while left and (piece := source.read(min(_PIECE, left))):
                target.write(piece)
                left -= len(piece)
        if left:
            raise Corrupt(f"{name} is shorter than what was stored in it. `shoal doctor` tells more.")
        self.note(name)

    def place(self, name: Path) -> Path:
        """Where a file of this name goes."""
        path = self._folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def note(self, name: Path) -> None:
        """Take a finished file into the manifest."""
        path = self.place(name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._files[name.as_posix()] = {"bytes": path.stat().st_size, "sha256": digest}

    def finish(self, about: Json) -> None:
        """Write the manifest and put everything on disk."""
        manifest: Json = {"format": _FORMAT, **about, "files": self._files}
        whole = manifest | {"checksum": manifest_checksum(manifest)}
        with _private(self._folder / BACKUP_MANIFEST) as file:
            file.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
        _sync_all(self._folder)


@contextlib.contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


def _link_all(data: Path, linked: Path) -> None:
    """Second names for vector files, and for the artifacts that are whole: those of a manifest and what it names."""
    for folder in namespace_folders(data / "documents"):
        for path in folder.glob("vectors/*/*/*.f32"):
            _link(path, linked / path.relative_to(data))
    for manifest in (data / "artifacts").glob("*/*/*/manifest.json"):
        generation = str(orjson.loads(manifest.read_bytes()).get("generation"))
        for path in (manifest, *(manifest.parent / generation).glob("*")):
            _link(path, linked / path.relative_to(data))


def _link(path: Path, name: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    name.hardlink_to(path)


def _copy_vectors(snapshots: list[Snapshot], linked: Path, writer: _Writer) -> None:
    """The committed part of each segment, as its snapshot tells it; what lies behind belongs to nobody yet."""
    for snapshot in snapshots[1:]:
        for path, size in snapshot.segments():
            if not size and not (linked / path).exists():
                continue  # declared, and never written to
            try:
                writer.copy(linked / path, path, size)
            except FileNotFoundError:
                raise Corrupt(f"{path} is missing. `shoal doctor` tells more.") from None


def _copy_artifacts(linked: Path, writer: _Writer) -> None:
    for path in sorted((linked / "artifacts").rglob("*")):
        if path.is_file():
            writer.copy(path, path.relative_to(linked))


# ── putting back ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_manifest(source: Path) -> Json:
    path = source / BACKUP_MANIFEST
    try:
        manifest = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise InvalidField(
            "SOURCE", f"holds no {BACKUP_MANIFEST}", value=str(source), remedy="Is this a backup?"
        ) from None
    except orjson.JSONDecodeError:
        raise Corrupt(f"{path} is damaged. Take another backup.") from None
    if not isinstance(manifest, dict) or manifest.get("checksum") != manifest_checksum(manifest):
        raise Corrupt(f"{path} is damaged. Take another backup.")
    if manifest["format"] > _FORMAT:
        raise Conflict(f"{path} was written by a newer Shoal ({manifest.get('shoal')}). Install the newer version.")
    return manifest


def _put_back(source: Path, part: Path, name: str, told: Json) -> None:
    target = part / name
    if not target.resolve().is_relative_to(part.resolve()):
        raise Corrupt(f"The backup names the file {name!r}, which lies outside of it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, seen = hashlib.sha256(), 0
    try:
        with (source / "data" / name).open("rb") as file, _private(target) as copy:
            while piece := file.read(_PIECE):
                digest.update(piece)
                seen += len(piece)
                copy.write(piece)
    except FileNotFoundError:
        raise Corrupt(f"The backup lacks {name}. Nothing was restored; take another backup.", file=name) from None
    if seen != told["bytes"] or digest.hexdigest() != told["sha256"]:
        raise Corrupt(f"{name} in the backup is damaged. Nothing was restored; take another backup.", file=name)


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_free(folder: Path, field: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        remedy = "Name a folder that does not exist yet, or move this one aside first."
        raise InvalidField(field, "is not empty", value=str(folder), remedy=remedy)


def _beside(folder: Path) -> Path:
    return folder.absolute().with_name(f".{folder.absolute().name}.{secrets.token_hex(6)}.part")


def _take_name(part: Path, folder: Path) -> None:
    """The folder is there at one moment. An empty one that is there already gives way."""
    part.rename(folder.absolute())
    sync_folder(folder.absolute().parent)


def _sync_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


@contextlib.contextmanager
def _speaking(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder  # of the folder that is copied, or of the one that is made
        if is_full(error):
            raise InsufficientStorage(f"The disk of {where} is full; nothing was left in {folder}.") from error
        raise Unavailable(f"{where} failed ({error.strerror or error}); nothing was left in {folder}.") from error
