"""Parquet tables of a run in a folder, told by a manifest.

    <root>/<organisation>/<namespace>/<run>/manifest.json       written last, replaced at one moment
    <root>/<organisation>/<namespace>/<run>/<generation>/*.parquet

Each write makes a new generation and then flips the manifest to it, so a run can be written again (by a worker that
resumes it) while others read, and a crash at any point leaves the old state or the new one.
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

from shoal.durable import disk_error, locked, make_folder, remove_tree, sync_folder, written_whole
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
_LOOKS: Final = 5


class LocalArtifacts:
    """The ArtifactStore of one machine: a folder for all threads and processes.

    The manifest is `{run_id, attempt, generation, files: {name: {sha256, size_bytes, rows}}, meta, checksum}`; every
    byte that is read is checked against it first, and it against its own checksum.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        with _speaking_shoal():
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
        """Write every table and then the manifest, which is returned. Writing a run again replaces it whole.

        Raises InvalidField for a name that is no lower-case word, Conflict where a later attempt has written, or the
        run is deleted meanwhile.
        """
        folder = self._run(scope, run_id)
        for name in tables:
            if not _TABLE.fullmatch(name):
                raise InvalidField("name", "must be a lower-case word", value=name)
        with _speaking_shoal(), _writing(folder):
            generation = secrets.token_hex(8)
            files = _write_generation(folder, generation, tables)
            hit("artifact.before_manifest")
            manifest = {"run_id": run_id, "attempt": attempt, "generation": generation, "files": files, "meta": meta}
            content = orjson.dumps(manifest | {"checksum": manifest_checksum(manifest)}, option=orjson.OPT_INDENT_2)
            with locked(folder.parent):
                _check_latest(folder, attempt)
                with written_whole(folder / _MANIFEST, private=True) as file:
                    file.write(content)
            hit("artifact.manifest")
        written: Json = orjson.loads(content)
        return written

    def manifest(self, scope: Scope, run_id: str) -> Json | None:
        """None where the run has no artifacts. Raises Corrupt."""
        with _speaking_shoal():
            return _read_manifest(self._run(scope, run_id))

    def read(self, scope: Scope, run_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The table, or some of its columns in the order asked for. Raises NotFound where the run has no such table,
        or the table no such column, and Corrupt where bytes do not match."""
        _, content = self._checked(scope, run_id, name)
        try:
            with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
                for column in columns or ():
                    if column not in file.schema_arrow.names:
                        raise NotFound(f"column of {name}", column)
                table = file.read(columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:
            raise _damaged(run_id, name) from error
        return table if columns is None else table.select(list(columns))

    def path(self, scope: Scope, run_id: str, name: str) -> Path:
        """A local Parquet file with the table, for downloads; its bytes were checked. Open it at once: it goes away
        when the run is written again. Raises NotFound and Corrupt."""
        return self._checked(scope, run_id, name)[0]

    def open(self, scope: Scope, run_id: str, name: str) -> tuple[BinaryIO, int]:
        """See ArtifactStore. The bytes were checked."""
        for _ in range(_LOOKS):
            path, content = self._checked(scope, run_id, name)
            with suppress(FileNotFoundError):  # the run was written again since
                return path.open("rb"), content.size
        raise _damaged(run_id, name)

    def delete(self, scope: Scope, run_id: str) -> None:
        """Nothing happens where the run has no artifacts."""
        _remove_at_once(self._run(scope, run_id))

    def delete_scope(self, scope: Scope) -> None:
        """Delete the artifacts of exactly this organisation and namespace."""
        _remove_at_once(self._namespace(scope))

    def runs(self) -> list[tuple[Scope, str]]:
        """See ArtifactStore."""
        folders = [one for one in self._root.glob("*/*/*") if one.is_dir() and not one.name.startswith(".")]
        return sorted(
            ((Scope(one.parent.parent.name, one.parent.name), one.name) for one in folders), key=lambda each: each[1]
        )

    @staticmethod
    def unnamed(root: Path) -> Iterator[Path]:
        """The generations below `root` that no manifest names, where nobody writes."""
        for folder in sorted(root.glob("*/*/*")):
            if not folder.is_dir() or folder.name.startswith("."):
                continue
            try:
                with locked(folder, wait=False):
                    named = _in_use(_read_manifest(folder))
                    yield from [e for e in sorted(folder.iterdir()) if e.name not in named and e.name[0] != "."]
            except (OSError, Corrupt):
                continue  # being written or deleted, or damaged, which is told elsewhere

    def _checked(self, scope: Scope, run_id: str, name: str) -> tuple[Path, pa.Buffer]:
        """Where a table lies, and its bytes, which are what was written."""
        folder = self._run(scope, run_id)
        for _ in range(_LOOKS):
            with _speaking_shoal():
                manifest = _read_manifest(folder)
            if manifest is None or name not in manifest["files"]:
                raise NotFound("artifact", f"{run_id}/{name}")
            path = folder / manifest["generation"] / f"{name}.parquet"
            try:
                return path, _checked_bytes(path, manifest["files"][name], run_id, name)
            except FileNotFoundError:
                continue  # the run was written again since its manifest was read
            except OSError as error:
                raise _damaged(run_id, name) from error
        raise _damaged(run_id, name)

    def _namespace(self, scope: Scope) -> Path:
        namespace = _component("namespace_id", scope.namespace_id) if scope.namespace_id else _NO_NAMESPACE
        return self._root / _component("organization_id", scope.organization_id) / namespace

    def _run(self, scope: Scope, run_id: str) -> Path:
        return self._namespace(scope) / _component("run_id", run_id)


def _component(field: str, id: str) -> str:
    # Ids are made by the server; this is the second lock on the door.
    if not _ID.fullmatch(id):
        raise InvalidField(field, "must hold only letters, digits, '_' and '-'", value=id)
    return id


@contextmanager
def _speaking_shoal() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Conflict("The artifacts were deleted while they were being written.") from error
    except OSError as error:
        raise disk_error(error, "The artifacts' disk did not answer") from error


def _damaged(run_id: str, name: str) -> Corrupt:
    return Corrupt(
        f"The artifact {name!r} of {run_id} is damaged. Execute the cluster again.", run_id=run_id, name=name
    )


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Hold the run's folder while a generation is written; afterwards clear away what no manifest names.

    Writers share the lock, because a hung one must not stop the one that took over its run; only who is alone clears
    away, so nobody loses files it is still writing. The system frees the lock of a process that dies.
    """
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            yield
        finally:
            _clear_away(folder, descriptor)
    finally:
        os.close(descriptor)


def _clear_away(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        manifest = _read_manifest(folder)
        left = [entry for entry in folder.iterdir() if entry.name not in _in_use(manifest)]
    except (BlockingIOError, FileNotFoundError, Corrupt):
        return  # somebody else writes here, or deleted the run, or damage has to stay for a look
    for entry in left:
        if entry.is_dir():
            remove_tree(entry)
        else:
            entry.unlink(missing_ok=True)


def _in_use(manifest: Json | None) -> set[str]:
    return set() if manifest is None else {_MANIFEST, manifest["generation"]}


def _check_latest(folder: Path, attempt: int) -> None:
    """Raises Conflict where a later attempt has written the run."""
    with suppress(Corrupt):  # a damaged manifest is replaced
        latest = (_read_manifest(folder) or {}).get("attempt", 0)
        if latest > attempt:
            raise Conflict(f"Attempt {latest} of {folder.name} has written its results; those of {attempt} come late.")


def _write_generation(folder: Path, generation: str, tables: Mapping[str, pa.Table]) -> Json:
    """Write a folder of tables that appears whole; returns the manifest's `files`."""
    part = folder / f".{generation}.part"
    part.mkdir(mode=0o700)
    files = {name: _write_table(part / f"{name}.parquet", table) for name, table in tables.items()}
    part.rename(folder / generation)
    sync_folder(folder)
    return files


def _write_table(path: Path, table: pa.Table) -> Json:
    with written_whole(path, private=True) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        hit("artifact.table")
    with path.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    return {"sha256": digest, "size_bytes": path.stat().st_size, "rows": table.num_rows}


def _remove_at_once(folder: Path) -> None:
    """The folder is gone for readers at one moment; what a crash leaves over is removed with the next one."""
    with _speaking_shoal():
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
        raise _damaged(folder.name, "manifest") from error
    if not isinstance(manifest, dict) or manifest.get("checksum") != manifest_checksum(manifest):
        raise _damaged(folder.name, "manifest")
    return manifest


def _checked_bytes(path: Path, told: Json, run_id: str, name: str) -> pa.Buffer:
    """The bytes of a file as a memory map. Raises Corrupt where they are not what the manifest tells."""
    if path.stat().st_size != told["size_bytes"]:
        raise _damaged(run_id, name)
    with pa.memory_map(str(path)) as source:
        content = source.read_buffer()
    if hashlib.sha256(content).hexdigest() != told["sha256"]:
        raise _damaged(run_id, name)
    return content
