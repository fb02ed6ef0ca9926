"""What a run has finished so far, stage by stage, so that the next attempt goes on from there.

    <root>/<organisation>/<namespace>/<run>/<stage>.npz     arrays, uncompressed, never pickled
    <root>/<organisation>/<namespace>/<run>/<stage>.json    {input, output, bytes, about}: written last

`input` is the hash of what the stage was made from, `output` that of the arrays' file. A checkpoint of another input,
or a damaged one, is as good as none: the stage is made again. That is also why nothing is synced: what a power cut
tears does not fit its hash. Two attempts of a run may write the same stage; both write the same.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shoal.durable import make_folder, remove_tree, written_whole
from shoal.errors import Unavailable
from shoal.failpoints import hit
from shoal.records.scope import Scope
from shoal.storage.protocols.checkpoints import Kept
from shoal.storage.protocols.records import Json

__all__ = ["LocalCheckpoints"]

_ARRAYS: Final = ".npz"
_TOLD: Final = ".json"


class LocalCheckpoints:
    """The CheckpointStore of one machine, in a folder. Ids are the server's own."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(
        self, scope: Scope, run_id: str, stage: str, made_from: str, arrays: Mapping[str, NDArray[Any]], about: Json
    ) -> None:
        """See CheckpointStore. Raises Unavailable where the disk does not take it."""
        path = self._folder(scope, run_id) / stage
        try:
            make_folder(path.parent)
            with written_whole(path.with_suffix(_ARRAYS), synced=False, private=True) as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # names of ours, never `allow_pickle`
            hit("run.checkpoint.written")
            size, digest = _size_and_hash(path.with_suffix(_ARRAYS))
            with written_whole(path.with_suffix(_TOLD), synced=False, private=True) as file:
                file.write(orjson.dumps({"input": made_from, "output": digest, "bytes": size, "about": about}))
        except OSError as error:
            raise Unavailable(f"A checkpoint could not be written ({error.strerror or error}).") from error

    def read(self, scope: Scope, run_id: str, stage: str, made_from: str) -> Kept | None:
        """See CheckpointStore."""
        path = self._folder(scope, run_id) / stage
        try:
            told: Json = orjson.loads(path.with_suffix(_TOLD).read_bytes())
            arrays = path.with_suffix(_ARRAYS)
            if told["input"] != made_from or _size_and_hash(arrays) != (told["bytes"], told["output"]):
                return None
            with np.load(arrays, allow_pickle=False) as file:
                return Kept(dict(file), told["about"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def delete(self, scope: Scope, run_id: str, stage: str | None = None) -> None:
        """See CheckpointStore."""
        folder = self._folder(scope, run_id)
        try:
            if stage is None:
                remove_tree(folder)
                return
            for suffix in (_TOLD, _ARRAYS):
                (folder / stage).with_suffix(suffix).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"A checkpoint could not be removed ({error.strerror or error}).") from error

    def delete_scope(self, scope: Scope) -> None:
        """See CheckpointStore."""
        remove_tree(self._root / scope.organization_id / scope.namespace_id)

    def stages(self, scope: Scope, run_id: str) -> frozenset[str]:
        """See CheckpointStore."""
        return frozenset(path.stem for path in self._folder(scope, run_id).glob(f"*{_TOLD}"))

    def runs(self) -> list[tuple[Scope, str]]:
        """See CheckpointStore."""
        folders = self._root.glob("*/*/*")
        return sorted(
            ((Scope(one.parent.parent.name, one.parent.name), one.name) for one in folders), key=lambda each: each[1]
        )

    def _folder(self, scope: Scope, run_id: str) -> Path:
        return self._root / scope.organization_id / scope.namespace_id / run_id


def _size_and_hash(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "blake2b").hexdigest()
