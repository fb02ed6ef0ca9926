"""The process of one file: reads it, and sends what it holds. A fork of the host that waited ready."""

import contextlib
import os
import resource
import socket
import sys
import traceback
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField, ShoalError
from shoal.files import open_source
from shoal.files.bounds import Bounds
from shoal.files.csv_text.plain_text import is_written_anew
from shoal.files.opening import find_sidecar
from shoal.files.reading import out_of_memory
from shoal.files.shards import are_several, name_of, size_of
from shoal.intake.frames import receive, send, send_batch, send_error, send_info
from shoal.intake.request import Limits, Request
from shoal.jobs.limits import limit_memory

__all__ = ["read_file"]

_MIB: Final = 2**20
_AT_ONCE: Final = 0.75
"""The part of the memory that one batch may take as it is unfolded."""


def read_file(asked: socket.socket) -> None:
    """Receive a request, send the file or one error, and end."""
    label = "the file"
    try:
        header, _ = receive(asked)
        request = Request.decoded(header["request"].encode())
        label = request.how.label or name_of(request.path)
        _limit(request)
        _send_file(asked, request)
    except ShoalError as error:
        send_error(asked, error)
    except MemoryError:
        send_error(asked, out_of_memory(label))
    except OSError:
        return  # nobody reads any more
    except Exception as error:  # noqa: BLE001  # a bug of ours: the caller gets a sentence, the log the trace
        trace = traceback.format_exc()
        refusal = InvalidField(label, f"cannot be read ({type(error).__name__})", remedy="Write it in another format.")
        send(asked, {"kind": "bug", "trace": trace})
        send_error(asked, refusal)


def _send_file(to: socket.socket, request: Request) -> None:
    how, limits = request.how, request.limits
    bounds = _bounds(limits)
    source = open_source(
        request.path,
        format=how.format,
        id_column=how.id_column,
        vector_columns=how.vector_columns,
        sidecar=how.sidecar,
        label=how.label,
        known_vectors=how.known_vectors,
        needs_vectors=how.needs_vectors,
        max_dimension=how.max_dimension,
        bounds=bounds,
        temporary=how.temporary,
        delimiter=how.delimiter,
        options=how.options,
        makes_ids=how.makes_ids,
        encoding=how.encoding,
        names={Path(folder): name for folder, name in how.names.items()},
    )
    send_info(to, source.info)
    for batch in source.batches():
        if len(batch):
            send_batch(to, batch)
    send(to, {"kind": "end"})


def _bounds(limits: Limits) -> Bounds:
    return Bounds(free_bytes=limits.unfolded_mib * _MIB, batch_bytes=int(limits.memory_mib * _MIB * _AT_ONCE))


def _is_copied(path: Path, request: Request) -> bool:
    """Whether a file, or the table beside it, is read from a copy."""
    how = request.how
    beside = find_sidecar(path, how.format, how.sidecar)
    if beside is not None:
        return beside.is_file() and is_written_anew(beside, None, how.encoding)
    return is_written_anew(path, how.format, how.encoding)


def _limit(request: Request) -> None:
    """Memory and processor time as allowed; nothing written but what a gzip archive holds, no core left behind."""
    limit_memory(request.limits.memory_mib)
    size = size_of(request.path)
    seconds = int(request.limits.seconds_for(size)) + 1
    written = 0
    path = request.path
    several = not isinstance(path, Path) or are_several(path)  # archives may be among them
    if several or (isinstance(path, Path) and path.is_file() and _is_copied(path, request)):
        written = min(_bounds(request.limits).unfolded_bytes(size), sys.maxsize)
    for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, written)):
        _, hard = resource.getrlimit(kind)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # where the system knows no such limit
            resource.setrlimit(kind, (soft, hard))
    with Path(os.devnull).open("wb") as nowhere:  # what a library prints as it dies is not for our log
        os.dup2(nowhere.fileno(), 2)
