"""The stores of an installation with the metadata in memory, optimistic and with conflicts."""

from shoal.settings import Settings
from shoal.storage.known_places import check_known
from shoal.storage.local.artifacts import LocalArtifacts
from shoal.storage.local.checkpoints import LocalCheckpoints
from shoal.storage.memory.conflicts import Conflicts
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.stores import Stores, exclusively

__all__ = ["memory_stores"]


def memory_stores(settings: Settings, conflicts: Conflicts | None = None) -> Stores:
    """Stores for one process. By default every third commit is refused once although nothing is in its way."""
    data = settings.data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    metadata = MemoryMetadata(conflicts or Conflicts(rate=0.33, seed=7))
    return Stores(
        metadata=metadata,
        documents=SqliteDocuments(data / "documents", check=check_known(metadata)),
        artifacts=LocalArtifacts(data / "artifacts"),
        checkpoints=LocalCheckpoints(data / "checkpoints"),
        exclusively=lambda purpose: exclusively(data / purpose),
    )
