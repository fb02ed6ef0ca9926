"""The process that reads one file and sends its content, forked from the waiting host."""

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
from shoal.files.opening import find_sidecar
from shoal.files.paths.shards import display_name, is_multiple, total_size
from shoal.files.reader_errors import out_of_memory_error
from shoal.files.text.plain_text import needs_copy
from shoal.intake.frames import receive, send, send_batch, send_error, send_info
from shoal.intake.request import Limits, Request
from shoal.jobs.limits import limit_memory

__all__ = ["read_file"]

_MIB: Final = 2**20
_AT_ONCE: Final = 0.75
"""The fraction of the memory that one decompressed batch may take."""


def read_file(answers: socket.socket) -> None:
    """Receive a request, send the file or one error, and return."""
    label = "the file"
    try:
        header, _ = receive(answers)
        request = Request.from_json(header["request"].encode())
        label = request.read_options.label or display_name(request.path)
        _apply_limits(request)
        _send_file(answers, request)
    except ShoalError as error:
        send_error(answers, error)
    except MemoryError:
        send_error(answers, out_of_memory_error(label))
    except OSError:
        return  # the reader is gone
    except Exception as error:  # noqa: BLE001  # a bug: the caller gets a sentence, the log the traceback
        trace = traceback.format_exc()
        refusal = InvalidField(label, f"cannot be read ({type(error).__name__})", remedy="Write it in another format.")
        send(answers, {"kind": "bug", "trace": trace})
        send_error(answers, refusal)


def _send_file(to: socket.socket, request: Request) -> None:
    options, limits = request.read_options, request.limits
    bounds = _to_bounds(limits)
    source = open_source(
        request.path,
        format=options.format,
        id_column=options.id_column,
        vector_columns=options.vector_columns,
        sidecar=options.sidecar,
        label=options.label,
        known_vectors=options.known_vectors,
        needs_vectors=options.needs_vectors,
        max_dimension=options.max_dimension,
        bounds=bounds,
        temporary=options.temporary,
        delimiter=options.delimiter,
        options=options.options,
        makes_ids=options.makes_ids,
        encoding=options.encoding,
        names={Path(folder): name for folder, name in options.names.items()},
    )
    send_info(to, source.info)
    for batch in source.batches():
        if len(batch):
            send_batch(to, batch)
    send(to, {"kind": "end"})


def _to_bounds(limits: Limits) -> Bounds:
    return Bounds(free_bytes=limits.unfolded_mib * _MIB, batch_bytes=int(limits.memory_mib * _MIB * _AT_ONCE))


def _needs_copy(path: Path, request: Request) -> bool:
    """Return whether a file, or the table beside it, is read from a copy."""
    options = request.read_options
    sidecar = find_sidecar(path, options.format, options.sidecar)
    if sidecar is not None:
        return sidecar.is_file() and needs_copy(sidecar, None, options.encoding)
    return needs_copy(path, options.format, options.encoding)


def _apply_limits(request: Request) -> None:
    """Limit memory and processor time, forbid core dumps, and allow writing only what a copy needs."""
    limit_memory(request.limits.memory_mib)
    size = total_size(request.path)
    seconds = int(request.limits.seconds_for(size)) + 1
    written_bytes = 0
    path = request.path
    several = not isinstance(path, Path) or is_multiple(path)  # may include archives
    if several or (isinstance(path, Path) and path.is_file() and _needs_copy(path, request)):
        written_bytes = min(_to_bounds(request.limits).max_expanded_bytes(size), sys.maxsize)
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, written_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # where the system lacks this limit
            resource.setrlimit(kind, (soft, hard))
    with Path(os.devnull).open("wb") as nowhere:  # keep the dying words of a library out of the log
        os.dup2(nowhere.fileno(), 2)
