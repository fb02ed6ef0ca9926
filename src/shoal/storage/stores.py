"""The stores of an installation: the only file that names concrete ones."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from shoal.durable import locked
from shoal.errors import Corrupt
from shoal.settings import Settings
from shoal.storage.known_places import check_known
from shoal.storage.local.artifacts import LocalArtifacts
from shoal.storage.local.checkpoints import LocalCheckpoints
from shoal.storage.local.data_folder import held_without_metadata, make_data_folder
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
    """What everything is kept in.

    Parameters
    ----------
    metadata, documents, artifacts, checkpoints
        The stores.
    exclusively
        A lock over all processes that use these stores, by what it is for (one lower-case word).
    """

    metadata: MetadataStore
    documents: DocumentStore
    artifacts: ArtifactStore
    checkpoints: CheckpointStore
    exclusively: Callable[[str], AbstractContextManager[None]]

    def checkpoint(self) -> None:
        """Give the room of journals back."""
        self.metadata.checkpoint()
        self.documents.checkpoint()

    def close(self) -> None:
        """Close every store; later calls raise Unavailable."""
        self.documents.close()
        self.metadata.close()


def open_stores(settings: Settings) -> Stores:
    """Open the data folder of the settings, made private (0700): SQLite, vector segments and files on the local disk.

    Raises InvalidField for what cannot be a data folder, Corrupt for one that has lost the record of its contents.
    """
    data = settings.data
    make_data_folder(data)
    _refuse_without_metadata(data)
    make_private(data)
    metadata = SqliteMetadata(data / "metadata.sqlite")
    adopt_document_state(data / "documents", metadata)
    return Stores(
        metadata=metadata,
        documents=SqliteDocuments(data / "documents", check=check_known(metadata)),
        artifacts=LocalArtifacts(data / "artifacts"),
        checkpoints=LocalCheckpoints(data / "checkpoints"),
        exclusively=lambda purpose: exclusively(data / purpose),
    )


def open_inspection(settings: Settings) -> Inspection:
    """What the doctor looks through; nothing is opened for writing."""
    return LocalInspection(settings)


def store_versions() -> dict[str, str]:
    """The versions of the databases in use, by their names."""
    return {"sqlite": SQLITE_VERSION}


def exclusively(folder: Path) -> AbstractContextManager[None]:
    """A lock over all processes of the data folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return locked(folder)


def _refuse_without_metadata(data: Path) -> None:
    """Taken for a new installation, the folder would get a new key, and tidying would remove results as nobody's."""
    held = held_without_metadata(data)
    if held is not None:
        raise Corrupt(
            f"{data} holds {held} and has lost its metadata.sqlite, which tells what they are. "
            "Restore the folder from a backup; for a new beginning name another folder."
        )
