"""Parquet tables of a run in a folder, listed in a manifest.

    <root>/<organisation>/<namespace>/<run>/manifest.json       written last, replaced atomically
    <root>/<organisation>/<namespace>/<run>/<generation>/*.parquet

Each write creates a new generation and then switches the manifest to it, so that a run can be written again (by a
worker that resumes it) while others read, and a crash at any point leaves the old state or the new one.
"""

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.durable import atomic_write, disk_error, lock_folder, make_folder, remove_tree, sync_folder
from shoal.errors import Conflict, Corrupt, InvalidField, NotFound
from shoal.failpoints import hit
from shoal.records.scope import Scope
from shoal.storage.checksums import manifest_checksum
from shoal.storage.protocols.records import Json

__all__ = ["LocalArtifacts"]

_MANIFEST: Final = "manifest.json"
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TABLE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NO_NAMESPACE: Final = "_"
_GONE: Final = ".gone"
_TRIES: Final = 5


class LocalArtifacts:
    """The ArtifactStore of one machine: a folder for all threads and processes.

    The manifest is `{run_id, attempt, generation, files: {name: {sha256, size_bytes, rows}}, meta, checksum}`. It is
    checked against its own checksum, and every table against it before it is read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        with _translate_errors():
            make_folder(root)

    def write(
        self,
        scope: Scope,
        run_id: str,
        tables: Mapping[str, pa.Table],
        meta: Json,
        *,
        attempt: int = 0,
    ) -> Json:
        """See ArtifactStore. Raises InvalidField for a name that is not a lower-case word."""
        folder = self._run(scope, run_id)
        for name in tables:
            if not _TABLE.fullmatch(name):
                raise InvalidField("name", "must be a lower-case word", value=name)
        with _translate_errors(), _hold_for_writing(folder):
            generation = secrets.token_hex(8)
            files = _write_generation(folder, generation, tables)
            hit("artifact.before_manifest")
            manifest = {"run_id": run_id, "attempt": attempt, "generation": generation, "files": files, "meta": meta}
            content = orjson.dumps(manifest | {"checksum": manifest_checksum(manifest)}, option=orjson.OPT_INDENT_2)
            with lock_folder(folder.parent):
                _check_latest(folder, attempt)
                with atomic_write(folder / _MANIFEST, private=True) as file:
                    file.write(content)
            hit("artifact.manifest")
        written: Json = orjson.loads(content)
        return written

    def manifest(self, scope: Scope, run_id: str) -> Json | None:
        """See ArtifactStore. Raises Corrupt."""
        with _translate_errors():
            return _read_manifest(self._run(scope, run_id))

    def read(self, scope: Scope, run_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """See ArtifactStore.

        Columns are in the order of `columns`; raises NotFound for a column that does not exist.
        """
        _, content = self._locate(scope, run_id, name)
        try:
            with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
                for column in columns or ():
                    if column not in file.schema_arrow.names:
                        raise NotFound(f"column of {name}", column)
                table = file.read(columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:
            raise _damage_error(run_id, name) from error
        return table if columns is None else table.select(list(columns))

    def open(self, scope: Scope, run_id: str, name: str) -> tuple[BinaryIO, int]:
        """See ArtifactStore. The bytes are checked first."""
        for _ in range(_TRIES):
            path, content = self._locate(scope, run_id, name)
            with suppress(FileNotFoundError):  # the run was written again since
                return path.open("rb"), content.size
        raise _damage_error(run_id, name)

    def delete(self, scope: Scope, run_id: str) -> None:
        """See ArtifactStore."""
        _remove_atomically(self._run(scope, run_id))

    def delete_scope(self, scope: Scope) -> None:
        """See ArtifactStore."""
        _remove_atomically(self._namespace(scope))

    def runs(self) -> list[tuple[Scope, str]]:
        """See ArtifactStore."""
        folders = [path for path in self._root.glob("*/*/*") if path.is_dir() and not path.name.startswith(".")]
        return sorted(
            ((Scope(path.parent.parent.name, path.parent.name), path.name) for path in folders),
            key=lambda each: each[1],
        )

    @staticmethod
    def find_orphans(root: Path) -> Iterator[Path]:
        """Yield the generations below `root` that no manifest refers to, except in runs that are being written."""
        for folder in sorted(root.glob("*/*/*")):
            if not folder.is_dir() or folder.name.startswith("."):
                continue
            try:
                with lock_folder(folder, wait=False):
                    in_use = _in_use(_read_manifest(folder))
                    yield from [e for e in sorted(folder.iterdir()) if e.name not in in_use and e.name[0] != "."]
            except (OSError, Corrupt):
                continue  # being written or deleted, or damaged, which is reported elsewhere

    def _locate(self, scope: Scope, run_id: str, name: str) -> tuple[Path, pa.Buffer]:
        """Return the path of a table and its bytes, checked."""
        folder = self._run(scope, run_id)
        for _ in range(_TRIES):
            with _translate_errors():
                manifest = _read_manifest(folder)
            if manifest is None or name not in manifest["files"]:
                raise NotFound("artifact", f"{run_id}/{name}")
            path = folder / manifest["generation"] / f"{name}.parquet"
            try:
                return path, _read_checked(path, manifest["files"][name], run_id, name)
            except FileNotFoundError:
                continue  # the run was written again since its manifest was read
            except OSError as error:
                raise _damage_error(run_id, name) from error
        raise _damage_error(run_id, name)

    def _namespace(self, scope: Scope) -> Path:
        namespace = _component("namespace_id", scope.namespace_id) if scope.namespace_id else _NO_NAMESPACE
        return self._root / _component("organization_id", scope.organization_id) / namespace

    def _run(self, scope: Scope, run_id: str) -> Path:
        return self._namespace(scope) / _component("run_id", run_id)


def _component(field: str, id: str) -> str:
    # Ids are generated by the server; this is a second line of defence.
    if not _ID.fullmatch(id):
        raise InvalidField(field, "must hold only letters, digits, '_' and '-'", value=id)
    return id


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Conflict("The artifacts were deleted while they were being written.") from error
    except OSError as error:
        raise disk_error(error, "The artifacts' disk did not answer") from error


def _damage_error(run_id: str, name: str) -> Corrupt:
    return Corrupt(
        f"The artifact {name!r} of {run_id} is damaged. Execute the cluster again.", run_id=run_id, name=name
    )


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _hold_for_writing(folder: Path) -> Iterator[None]:
    """Lock the folder of a run while a generation is written; afterwards remove what no manifest refers to.

    Writers share the lock, because a hung one must not block its successor. Only a writer that is alone cleans up, so
    that none loses files it is still writing. The operating system releases the lock of a process that dies.
    """
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            yield
        finally:
            _clean_up(folder, descriptor)
    finally:
        os.close(descriptor)


def _clean_up(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        manifest = _read_manifest(folder)
        left = [entry for entry in folder.iterdir() if entry.name not in _in_use(manifest)]
    except (BlockingIOError, FileNotFoundError, Corrupt):
        return  # another process writes here or deleted the run, or the damage must be preserved
    for entry in left:
        if entry.is_dir():
            remove_tree(entry)
        else:
            entry.unlink(missing_ok=True)


def _in_use(manifest: Json | None) -> set[str]:
    return set() if manifest is None else {_MANIFEST, manifest["generation"]}


def _check_latest(folder: Path, attempt: int) -> None:
    """Raise Conflict if a later attempt has written the run."""
    with suppress(Corrupt):  # a damaged manifest is replaced
        latest = (_read_manifest(folder) or {}).get("attempt", 0)
        if latest > attempt:
            raise Conflict(f"Attempt {latest} of {folder.name} has written its results; attempt {attempt} is too late.")


def _write_generation(folder: Path, generation: str, tables: Mapping[str, pa.Table]) -> Json:
    """Write a folder of tables that appears atomically. Returns the `files` of the manifest."""
    part = folder / f".{generation}.part"
    part.mkdir(mode=0o700)
    files = {name: _write_table(part / f"{name}.parquet", table) for name, table in tables.items()}
    part.rename(folder / generation)
    sync_folder(folder)
    return files


def _write_table(path: Path, table: pa.Table) -> Json:
    with atomic_write(path, private=True) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        hit("artifact.table")
    with path.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    return {"sha256": digest, "size_bytes": path.stat().st_size, "rows": table.num_rows}


def _remove_atomically(folder: Path) -> None:
    """Remove a folder atomically for readers; what a crash leaves behind is removed with the next one."""
    with _translate_errors():
        with suppress(FileNotFoundError):
            folder.rename(folder.with_name(f".{folder.name}.{secrets.token_hex(6)}{_GONE}"))
            sync_folder(folder.parent)
            hit("remove.renamed")
        for gone in folder.parent.glob(f".*{_GONE}"):
            remove_tree(gone)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_manifest(folder: Path) -> Json | None:
    try:
        content = (folder / _MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    try:
        manifest = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _damage_error(folder.name, "manifest") from error
    if not isinstance(manifest, dict) or manifest.get("checksum") != manifest_checksum(manifest):
        raise _damage_error(folder.name, "manifest")
    return manifest


def _read_checked(path: Path, entry: Json, run_id: str, name: str) -> pa.Buffer:
    """Read a file as a memory map. Raises Corrupt if it does not match its entry in the manifest."""
    if path.stat().st_size != entry["size_bytes"]:
        raise _damage_error(run_id, name)
    with pa.memory_map(str(path)) as source:
        content = source.read_buffer()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise _damage_error(run_id, name)
    return content
