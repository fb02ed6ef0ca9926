"""Online backup of a data folder, and its restore.

The copy is consistent because all write locks are held for one moment, while a snapshot of each database is begun and
every vector file and artifact gets a hard link. That takes milliseconds; then writers continue, however long the
copying takes. So the copy holds exactly the writes that were acknowledged before that moment, everything that its
metadata names is in it, and a vector file that is compacted meanwhile keeps its bytes.

The hard links are in `.backup.*.part` in the data folder, on the same disk; after a crash `shoal doctor` removes them.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
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

__all__ = ["CopySummary", "back_up", "restore"]

_FORMAT: Final = 1
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CopySummary:
    """The number of files and bytes that a backup or a restore wrote."""

    files: int
    bytes: int


def back_up(data: Path, target: Path, *, about: Json, with_key: bool = False) -> CopySummary:
    """Copy the data folder to `target`, which must not exist or be empty; it appears as a whole or not at all.

    `about` goes into the manifest. Raises InvalidField for the target, InsufficientStorage, Corrupt for damaged or
    missing files, Unavailable where the write locks could not be acquired."""
    _check_empty(target, "TARGET")
    if target.resolve().is_relative_to(data.resolve()):
        raise InvalidField("TARGET", "lies in the data folder, and would be lost with it", value=str(target))
    if not (data / "metadata.sqlite").exists():
        raise InvalidField("--data", "holds no metadata.sqlite", value=str(data), remedy="Is this a data folder?")
    if is_on_read_only_disk(data):
        raise Unavailable(
            f"The disk of {data} is mounted read-only, and a backup of a live folder locks its databases. Mount it "
            "writable; or copy the folder as it is, since nothing can write to it."
        )
    for folder in lost_databases(data / "documents"):
        raise Corrupt(f"{short_name(folder / 'documents.sqlite')} is missing. Run `shoal doctor` for details.")
    part = _part_path(target)
    links = data / f".backup.{secrets.token_hex(6)}.part"
    try:
        with _translate_errors(target), at_one_moment(data, links, lambda: _link_files(data, links)) as snapshots:
            part.mkdir(parents=True, mode=0o700)
            writer = _Writer(part)
            for snapshot in snapshots:
                snapshot.copy_to(writer.place(snapshot.path))
                writer.note(snapshot.path)
            _copy_vectors(snapshots, links, writer)
            _copy_artifacts(links, writer)
            if with_key and (data / "key").exists():
                writer.copy(data / "key", Path("key"))
            writer.finish(about)
            _rename_into_place(part, target)
        return writer.summary
    finally:
        remove_tree(links)
        remove_tree(part)


def restore(source: Path, data: Path) -> CopySummary:
    """Put a backup back as a data folder, which must not exist or be empty; it appears as a whole or not at all.

    Every byte is checked against the manifest. Raises InvalidField for the folders, Corrupt for a damaged backup,
    Conflict for one of a newer version, InsufficientStorage.
    """
    _check_empty(data, "--data")
    manifest = _read_manifest(source)
    part = _part_path(data)
    try:
        with _translate_errors(data):
            part.mkdir(parents=True, mode=0o700)
            needed = sum(entry["bytes"] for entry in manifest["files"].values())
            free = measure_space(part, 0).free
            if free < needed:
                raise InsufficientStorage(
                    f"The backup needs {needed / 2**20:,.0f} MiB, and the disk of {data} has {free / 2**20:,.0f} MiB "
                    "free. Make room, or restore it to another disk.",
                    needed_bytes=needed,
                )
            for name, entry in manifest["files"].items():
                _restore_file(source, part, name, entry)
            _sync_all(part)
            _rename_into_place(part, data)
        return CopySummary(len(manifest["files"]), needed)
    finally:
        remove_tree(part)


# ── copying ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Writer:
    """Writes files below a folder and records size and SHA-256 of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Json] = {}

    @property
    def summary(self) -> CopySummary:
        return CopySummary(len(self._files), sum(int(entry["bytes"]) for entry in self._files.values()))

    def copy(self, path: Path, name: Path, size: int | None = None) -> None:
        """Copy a file, or its first `size` bytes. Raises Corrupt where it is shorter."""
        place = self.place(name)
        with path.open("rb") as source, _create_private(place) as target:
            left = os.fstat(source.fileno()).st_size if size is None else size
            while left and (chunk := source.read(min(_CHUNK_BYTES, left))):
                target.write(chunk)
                left -= len(chunk)
        if left:
            raise Corrupt(f"{name} is shorter than what was stored in it. Run `shoal doctor` for details.")
        self.note(name)

    def place(self, name: Path) -> Path:
        """Return the path of a file in the backup."""
        path = self._folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def note(self, name: Path) -> None:
        """Add a complete file to the manifest."""
        path = self.place(name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._files[name.as_posix()] = {"bytes": path.stat().st_size, "sha256": digest}

    def finish(self, about: Json) -> None:
        """Write the manifest and sync everything to disk."""
        manifest: Json = {"format": _FORMAT, **about, "files": self._files}
        whole = manifest | {"checksum": manifest_checksum(manifest)}
        with _create_private(self._folder / BACKUP_MANIFEST) as file:
            file.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
        _sync_all(self._folder)


@contextlib.contextmanager
def _create_private(path: Path) -> Iterator[BinaryIO]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


def _link_files(data: Path, links: Path) -> None:
    """Create hard links to vector files and to complete artifacts, which are manifests and the files they name."""
    for folder in namespace_folders(data / "documents"):
        for path in folder.glob("vectors/*/*/*.f32"):
            _link(path, links / path.relative_to(data))
    for manifest in (data / "artifacts").glob("*/*/*/manifest.json"):
        generation = str(orjson.loads(manifest.read_bytes()).get("generation"))
        for path in (manifest, *(manifest.parent / generation).glob("*")):
            _link(path, links / path.relative_to(data))


def _link(path: Path, name: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    name.hardlink_to(path)


def _copy_vectors(snapshots: list[Snapshot], links: Path, writer: _Writer) -> None:
    """Copy the committed part of each segment, according to its snapshot; the bytes beyond are uncommitted."""
    for snapshot in snapshots[1:]:
        for path, size in snapshot.segments():
            if not size and not (links / path).exists():
                continue  # declared, but never written
            try:
                writer.copy(links / path, path, size)
            except FileNotFoundError:
                raise Corrupt(f"{path} is missing. Run `shoal doctor` for details.") from None


def _copy_artifacts(links: Path, writer: _Writer) -> None:
    for path in sorted((links / "artifacts").rglob("*")):
        if path.is_file():
            writer.copy(path, path.relative_to(links))


# ── restoring ────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def _restore_file(source: Path, part: Path, name: str, entry: Json) -> None:
    target = part / name
    if not target.resolve().is_relative_to(part.resolve()):
        raise Corrupt(f"The backup names the file {name!r}, which lies outside of it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    try:
        with (source / "data" / name).open("rb") as file, _create_private(target) as copy:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                copy.write(chunk)
    except FileNotFoundError:
        raise Corrupt(f"The backup lacks {name}. Nothing was restored; take another backup.", file=name) from None
    if size != entry["bytes"] or digest.hexdigest() != entry["sha256"]:
        raise Corrupt(f"{name} in the backup is damaged. Nothing was restored; take another backup.", file=name)


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_empty(folder: Path, field: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        remedy = "Name a folder that does not exist yet, or move this one aside first."
        raise InvalidField(field, "is not empty", value=str(folder), remedy=remedy)


def _part_path(folder: Path) -> Path:
    return folder.absolute().with_name(f".{folder.absolute().name}.{secrets.token_hex(6)}.part")


def _rename_into_place(part: Path, folder: Path) -> None:
    """Rename the folder atomically to its final name; an existing empty folder is replaced."""
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
def _translate_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder  # in the source or in the target folder
        if is_full(error):
            raise InsufficientStorage(f"The disk of {where} is full; nothing was left in {folder}.") from error
        raise Unavailable(f"{where} failed ({error.strerror or error}); nothing was left in {folder}.") from error
