"""Integrity checks of an installation on a local disk: SQLite files, vector segments, artifacts and leftovers."""

import stat
from collections.abc import Iterator
from pathlib import Path

from shoal.durable import is_abandoned, is_on_read_only_disk, remove_tree
from shoal.errors import ShoalError
from shoal.records.scope import Scope
from shoal.settings import Settings
from shoal.storage.local.artifacts import LocalArtifacts
from shoal.storage.local.data_folder import find_data_without_metadata
from shoal.storage.local.disk import Disk
from shoal.storage.protocols.inspection import Checked, DiskSpace, Leftover, MetadataReport, NamespaceReport
from shoal.storage.sqlite import inspection as sqlite
from shoal.storage.sqlite.documents.namespaces import (
    DOCUMENTS_FORMAT,
    namespace_databases,
    namespace_folders,
    tombstone_folders,
)
from shoal.storage.sqlite.metadata_schema import METADATA_FORMAT
from shoal.storage.sqlite.migrations import copies_of

__all__ = ["LocalInspection"]


class LocalInspection:
    """The Inspection of a data folder. See the protocol for each method."""

    def __init__(self, settings: Settings) -> None:
        self.data, self._settings = settings.data, settings
        self._metadata, self._documents = self.data / "metadata.sqlite", self.data / "documents"

    def metadata_name(self) -> str:
        return self._metadata.name

    def has_metadata(self) -> bool:
        return self._metadata.exists()

    def find_data_without_metadata(self) -> str | None:
        return find_data_without_metadata(self.data)

    def check_metadata(self, *, quick: bool) -> Checked:
        return Checked(
            self._metadata.name,
            *_with_newest(METADATA_FORMAT, sqlite.check_file(self._metadata, METADATA_FORMAT, quick=quick)),
        )

    def read_metadata(self) -> MetadataReport:
        return sqlite.inspect_metadata(self._metadata)

    def namespaces(self) -> list[Path]:
        return [path.parent for path in namespace_databases(self._documents)]

    def place_of(self, scope: Scope) -> Path:
        return self._documents / scope.organization_id / scope.namespace_id

    def has_documents(self, place: Path) -> bool:
        return (place / "documents.sqlite").exists()

    def check_namespace(self, place: Path, *, quick: bool) -> Checked:
        path = place / "documents.sqlite"
        return Checked(
            f"namespace {place.name}",
            *_with_newest(DOCUMENTS_FORMAT, sqlite.check_file(path, DOCUMENTS_FORMAT, quick=quick)),
        )

    def read_namespace(self, place: Path) -> NamespaceReport:
        return sqlite.inspect_namespace(place)

    def lost_namespaces(self) -> list[Path]:
        return sqlite.lost_databases(self._documents)

    def holds_nothing(self, place: Path) -> bool:
        return sqlite.holds_nothing(place)

    def last_write(self, place: Path) -> float:
        database = place / "documents.sqlite"  # reading the database already changes the time of its folder
        return (database if database.exists() else place).stat().st_mtime

    def check_artifacts(self, scope: Scope, run_id: str) -> tuple[int, list[str]]:
        if not (self.data / "artifacts").is_dir():
            return 0, []
        return _check_artifacts(LocalArtifacts(self.data / "artifacts"), scope, run_id)

    def leftovers(self) -> Iterator[Leftover]:
        for path in sorted(self.data.rglob(".*.part")):
            yield Leftover(path, "was being written when its process ended")
        artifacts = self.data / "artifacts"
        gone = [*sorted(artifacts.glob("*/.*.gone")), *sorted(artifacts.glob("*/*/.*.gone"))]
        for path in gone + tombstone_folders(self._documents):
            yield Leftover(path, "was being deleted")
        for path in sorted((self.data / "spool").glob("*")):
            if is_abandoned(path):
                yield Leftover(path, "is an unfinished upload")
        for path in self._empty_folders():
            yield Leftover(path, "is an empty folder: its contents were never written", empty=True)
        for path in LocalArtifacts.find_orphans(artifacts):
            yield Leftover(path, "is not in any manifest")
        for folder in namespace_folders(self._documents):
            for path in sqlite.stray_files(folder):
                yield Leftover(path, "holds vectors that no row refers to")

    def remove(self, leftover: Leftover) -> bool:
        path = leftover.path
        if path.suffix == ".f32":
            return sqlite.remove_stray(path)  # a writer may have taken it into use since
        if not path.is_dir():
            path.unlink(missing_ok=True)
            return True
        if leftover.empty and not self._is_still_empty(path):
            return False
        remove_tree(path)
        return True

    def is_read_only(self) -> bool:
        return is_on_read_only_disk(self.data)

    def space(self) -> DiskSpace:
        settings = self._settings
        space = Disk(self.data, reserve_mib=settings.disk_reserve_mib, ballast_mib=settings.ballast_mib).space()
        return DiskSpace(space.free, space.total, space.reserve, space.low)

    def insecure_paths(self) -> Iterator[Path]:
        for path in (self.data, self.data / "key", self.data / "links.secret"):
            if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                yield path

    def earlier_copies(self) -> Iterator[Path]:
        for path in [self._metadata, *namespace_databases(self._documents)]:
            yield from copies_of(path)

    def _empty_folders(self) -> Iterator[Path]:
        """Yield the empty folders of namespaces and runs."""
        for pattern in ("documents/*/[!.]*", "artifacts/*/[!.]*/[!.]*", "checkpoints/*/*/*"):
            yield from (path for path in sorted(self.data.glob(pattern)) if path.is_dir() and not any(path.iterdir()))

    def _is_still_empty(self, folder: Path) -> bool:
        if folder.parent.parent == self._documents:
            return sqlite.may_be_removed(folder)
        return not any(folder.iterdir())


def _with_newest(newest: int, checked: tuple[int, list[str]]) -> tuple[int, int, list[str]]:
    return checked[0], newest, checked[1]


def _check_artifacts(store: LocalArtifacts, scope: Scope, run_id: str) -> tuple[int, list[str]]:
    """Count the tables in the artifacts of a run, 0 if there are none, and describe their damage."""
    damage: list[str] = []
    try:
        manifest = store.manifest(scope, run_id)
    except ShoalError:
        return 1, ["its manifest is damaged"]
    tables = manifest["files"] if manifest else {}
    for name in tables:
        try:
            store.open(scope, run_id, name)[0].close()
        except ShoalError:
            damage.append(f"its table {name!r} is damaged or missing")
    return len(tables), damage
