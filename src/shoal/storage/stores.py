"""The stores of an installation: the module that chooses their implementations."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shoal.durable import lock_folder
from shoal.errors import Corrupt
from shoal.settings import Settings
from shoal.storage.known_places import check_known
from shoal.storage.local.artifacts import LocalArtifacts
from shoal.storage.local.checkpoints import LocalCheckpoints
from shoal.storage.local.data_folder import find_data_without_metadata, make_data_folder
from shoal.storage.local.inspection import LocalInspection
from shoal.storage.local.privacy import make_private
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.checkpoints import CheckpointStore
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.inspection import Inspection
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.sqlite.adoption import adopt_document_state
from shoal.storage.sqlite.database import SQLITE_VERSION
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.sqlite.metadata import SqliteMetadata

__all__ = ["Stores", "exclusively", "open_inspection", "open_stores", "store_versions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The stores of an installation.

    Parameters
    ----------
    metadata, documents, artifacts, checkpoints
        The stores.
    exclusively
        Returns a lock across all processes that use these stores, by its purpose (one lower-case word).
    are_local
        Whether a record is read in this process, in less time than a switch of threads takes.
    """

    metadata: MetadataStore
    documents: DocumentStore
    artifacts: ArtifactStore
    checkpoints: CheckpointStore
    exclusively: Callable[[str], AbstractContextManager[None]]
    are_local: bool = False

    def checkpoint(self) -> None:
        """Truncate the journals of the stores."""
        self.metadata.checkpoint()
        self.documents.checkpoint()

    def close(self) -> None:
        """Close every store; later calls raise Unavailable."""
        self.documents.close()
        self.metadata.close()


def open_stores(settings: Settings, replies_since: Callable[[MetadataStore], datetime] | None = None) -> Stores:
    """Open the data folder of the settings, made private (0700): SQLite, vector segments and files on the local disk.

    `replies_since` returns the time since which saved replies are still replayed, for the migration of folders of
    earlier versions.

    Raises InvalidField for a path that cannot be a data folder, Corrupt for a folder without its metadata.
    """
    data = settings.data
    make_data_folder(data)
    _refuse_without_metadata(data)
    make_private(data)
    metadata = SqliteMetadata(data / "metadata.sqlite")
    adopt_document_state(data / "documents", metadata, replies_since)
    return Stores(
        metadata=metadata,
        documents=SqliteDocuments(data / "documents", check=check_known(metadata)),
        artifacts=LocalArtifacts(data / "artifacts"),
        checkpoints=LocalCheckpoints(data / "checkpoints"),
        exclusively=lambda purpose: exclusively(data / purpose),
        are_local=True,
    )


def open_inspection(settings: Settings) -> Inspection:
    """Open the installation for `shoal doctor`; nothing is opened for writing."""
    return LocalInspection(settings)


def store_versions() -> dict[str, str]:
    """Return the versions of the databases in use, by name."""
    return {"sqlite": SQLITE_VERSION}


def exclusively(folder: Path) -> AbstractContextManager[None]:
    """Return a lock across all processes that use the data folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return lock_folder(folder)


def _refuse_without_metadata(data: Path) -> None:
    # Opened as a new installation, the folder would get a new key, and cleanup would remove its results as unowned.
    part = find_data_without_metadata(data)
    if part is not None:
        raise Corrupt(
            f"{data} holds {part} but has lost its metadata.sqlite, which describes them. "
            "Restore the folder from a backup; to start afresh, name another folder."
        )
