"""What the doctor asks of an installation: everything is read from end to end, and nothing is changed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = [
    "Checked",
    "DiskRoom",
    "Inspection",
    "Leftover",
    "MetadataSeen",
    "NamespaceSeen",
    "OpenJob",
    "SeenRecord",
]


@dataclass(frozen=True, slots=True)
class SeenRecord:
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
class MetadataSeen:
    records: list[SeenRecord] = field(default_factory=list)
    jobs: list[OpenJob] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


@dataclass(slots=True)
class NamespaceSeen:
    """What a namespace holds. `unchecked` documents have no checksum, because they are older than those."""

    documents: int = 0
    vectors: int = 0
    unchecked: int = 0
    damage: list[str] = field(default_factory=list)


class Checked(NamedTuple):
    """A database file: its name, its format, the newest format that this version knows, and what is wrong with it."""

    name: str
    format: int
    known: int
    damage: list[str]


class Leftover(NamedTuple):
    """Something that a crash left and nobody uses. With `empty` it is removed only while it holds nothing."""

    path: Path
    problem: str
    empty: bool = False


class DiskRoom(NamedTuple):
    """The disk of the installation, in bytes."""

    free: int
    total: int
    reserve: int
    low: bool


class Inspection(Protocol):
    """An installation whose data lie in one folder. A place is the folder of a namespace in it."""

    data: Path

    # ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def metadata_name(self) -> str:
        """What the file of the metadata is called."""

    def has_metadata(self) -> bool:
        """Whether the metadata are there."""

    def held_without_metadata(self) -> str | None:
        """Which part holds something though the metadata, which tell what it is, are gone or empty."""

    def check_metadata(self, *, quick: bool) -> Checked:
        """The file itself: pages, indexes, commits."""

    def read_metadata(self) -> MetadataSeen:
        """Every record against its checksum, and the jobs that are not done."""

    # ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────

    def namespaces(self) -> list[Path]:
        """The places of the namespaces that have documents."""

    def place_of(self, scope: Scope) -> Path:
        """Where a namespace lies."""

    def has_documents(self, place: Path) -> bool:
        """Whether the documents of a namespace are there."""

    def check_namespace(self, place: Path, *, quick: bool) -> Checked:
        """The file itself: pages, indexes, commits."""

    def read_namespace(self, place: Path) -> NamespaceSeen:
        """Every payload and every vector against its checksum."""

    def lost_namespaces(self) -> list[Path]:
        """The places whose documents were there and are no more."""

    def holds_nothing(self, place: Path) -> bool:
        """Whether a namespace holds no data."""

    def touched(self, place: Path) -> float:
        """When somebody last wrote to a namespace, in seconds since the epoch."""

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def check_artifacts(self, scope: Scope, run_id: str) -> tuple[int, list[str]]:
        """How many tables the artifacts of a run have, 0 where there are none, and what is wrong with them."""

    def leftovers(self) -> Iterator[Leftover]:
        """What crashes left, whoever may still be at it."""

    def remove(self, leftover: Leftover) -> bool:
        """Remove a leftover. False where it is in use by now."""

    def is_read_only(self) -> bool:
        """Whether the disk is mounted read-only."""

    def room(self) -> DiskRoom:
        """How much room the disk has."""

    def exposed(self) -> Iterator[Path]:
        """The files and folders that others than their owner can get at, and should not."""

    def earlier_copies(self) -> Iterator[Path]:
        """Files as they were before a migration."""
