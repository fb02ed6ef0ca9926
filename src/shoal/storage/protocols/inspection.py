"""Integrity checks of an installation for `shoal doctor`: everything is read, nothing is changed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = [
    "Checked",
    "DiskSpace",
    "InspectedRecord",
    "Inspection",
    "Leftover",
    "MetadataReport",
    "NamespaceReport",
    "OpenJob",
]


@dataclass(frozen=True, slots=True)
class InspectedRecord:
    """A record of the metadata store. `body` is empty where it is damaged."""

    kind: str
    scope: Scope
    id: str
    body: Json


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that is queued or running."""

    id: str
    scope: Scope
    state: str


@dataclass(slots=True)
class MetadataReport:
    records: list[InspectedRecord] = field(default_factory=list)
    jobs: list[OpenJob] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


@dataclass(slots=True)
class NamespaceReport:
    """The contents of a namespace. `unchecked` documents were stored before there were checksums."""

    documents: int = 0
    vectors: int = 0
    unchecked: int = 0
    damage: list[str] = field(default_factory=list)


class Checked(NamedTuple):
    """A database file: its name, its format, the newest format that this version knows, and its damage."""

    name: str
    format: int
    newest: int
    damage: list[str]


class Leftover(NamedTuple):
    """Something unused that a crash left behind. With `empty` it is removed only while it is empty."""

    path: Path
    problem: str
    empty: bool = False


class DiskSpace(NamedTuple):
    """The space on the disk of the installation, in bytes."""

    free: int
    total: int
    reserve: int
    low: bool


class Inspection(Protocol):
    """An installation in a data folder. A place is the folder of a namespace in it."""

    data: Path

    # ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def metadata_name(self) -> str:
        """Return the name of the metadata file."""

    def has_metadata(self) -> bool:
        """Whether the metadata exist."""

    def find_data_without_metadata(self) -> str | None:
        """Return the part of the installation that has data although the metadata are missing or empty, if any."""

    def check_metadata(self, *, quick: bool) -> Checked:
        """Check the file: pages, indexes, commits."""

    def read_metadata(self) -> MetadataReport:
        """Check every record against its checksum, and list the jobs that are not done."""

    # ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────

    def namespaces(self) -> list[Path]:
        """Return the places of the namespaces that have documents."""

    def place_of(self, scope: Scope) -> Path:
        """Return the place of a namespace."""

    def has_documents(self, place: Path) -> bool:
        """Whether the documents of a namespace exist."""

    def check_namespace(self, place: Path, *, quick: bool) -> Checked:
        """Check the file: pages, indexes, commits."""

    def read_namespace(self, place: Path) -> NamespaceReport:
        """Check every payload and every vector against its checksum."""

    def lost_namespaces(self) -> list[Path]:
        """Return the places whose documents are missing."""

    def holds_nothing(self, place: Path) -> bool:
        """Whether a namespace holds no data."""

    def last_write(self, place: Path) -> float:
        """Return the time of the last write to a namespace, in seconds since the epoch."""

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def check_artifacts(self, scope: Scope, run_id: str) -> tuple[int, list[str]]:
        """Return the number of tables in the artifacts of a run, 0 if there are none, and their damage."""

    def leftovers(self) -> Iterator[Leftover]:
        """Yield what crashes left behind; some of it may still be in use."""

    def remove(self, leftover: Leftover) -> bool:
        """Remove a leftover. Returns False if it is in use by now."""

    def is_read_only(self) -> bool:
        """Whether the file system is mounted read-only."""

    def space(self) -> DiskSpace:
        """Return the space on the disk."""

    def insecure_paths(self) -> Iterator[Path]:
        """Yield the files and folders that other users can access but should not."""

    def earlier_copies(self) -> Iterator[Path]:
        """Yield the copies of files made before a migration."""
