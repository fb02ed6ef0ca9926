"""The files of a model in a folder, as one digest: another model in the same place has another name."""

import hashlib
from pathlib import Path

__all__ = ["name_model"]


def name_model(kind: str, address: str) -> str:
    """Name a model: by its folder and a digest of all files there, which reads them once; else by its address.

    Parameters
    ----------
    kind : str
        Of encoder, such as `onnx`.
    address : str
        A folder, or the name of a model in a hub.

    Returns
    -------
    str
    """
    folder = Path(address)
    if not folder.is_dir():
        return f"{kind}:{address}"
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and not _is_hidden(each, folder)):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\0".encode("utf-8", "surrogateescape"))
    return f"{kind}:{folder.resolve().name}@{digest.hexdigest()[:12]}"


def _is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file belongs to a tool that keeps the folder, such as Git, and not to the model."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
