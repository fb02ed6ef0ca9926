"""The stores of an installation in memory: metadata optimistic and with conflicts, documents without transactions."""

from shoal.settings import Settings
from shoal.storage.known_places import check_known
from shoal.storage.memory.artifacts import MemoryArtifacts
from shoal.storage.memory.checkpoints import MemoryCheckpoints
from shoal.storage.memory.conflicts import Conflicts
from shoal.storage.memory.documents import MemoryDocuments
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.stores import Stores, exclusively

__all__ = ["memory_stores"]


def memory_stores(settings: Settings, conflicts: Conflicts | None = None) -> Stores:
    """Stores for one process. By default every third commit is refused once although nothing is in its way."""
    data = settings.data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    metadata = MemoryMetadata(conflicts or Conflicts(rate=0.33, seed=7))
    return Stores(
        metadata=metadata,
        documents=MemoryDocuments(check=check_known(metadata)),
        artifacts=MemoryArtifacts(),
        checkpoints=MemoryCheckpoints(),
        exclusively=lambda purpose: exclusively(data / purpose),
    )
