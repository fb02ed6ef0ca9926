"""The calling side: starts one host per process, has its children read files, and survives whatever happens to them."""

import atexit
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from shoal.columns import DocumentBatch
from shoal.errors import InvalidField, Overloaded, ShoalError, TooLarge, Unavailable
from shoal.files import SourceInfo
from shoal.files.paths.shards import Files, display_name, total_size
from shoal.files.reader_errors import out_of_memory_error
from shoal.intake.frames import STATUS, BrokenFrame, parse_batch, parse_error, parse_info, receive, send
from shoal.intake.request import Limits, ReadOptions, Request

__all__ = ["READERS", "FileReaders", "ForeignFile", "readers_needed"]

READERS: Final = 4
"""How many small files are read at once, each with half of the memory that a file may need."""
_SMALL_BYTES: Final = 2**20
_GZIP: Final = b"\x1f\x8b"
_WAIT_SECONDS: Final = 10.0
_SILENT_TIMES: Final = 5.0
"""The socket timeout as a multiple of the processor time, which takes longer in wall time on a busy machine."""
_log = logging.getLogger("shoal.intake")


class ForeignFile:
    """A file being read by a child process. `label` names it in errors."""

    def __init__(self, answers: socket.socket, status: int, label: str, seconds: float) -> None:
        self._answers, self._status, self._label, self._seconds = answers, status, label, seconds
        answers.settimeout(seconds * _SILENT_TIMES)
        try:
            self.info: SourceInfo = parse_info(self._receive_expected("info")[0])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Skip the rest of the file: a child that is still running is killed."""
        self._answers.close()
        os.close(self._status)

    def batches(self) -> Iterator[DocumentBatch]:
        """Yield the documents, validated, a few MiB at a time. Raises InvalidField or TooLarge for anything wrong
        with the file."""
        while True:
            header, buffers = self._receive_expected("batch", "end")
            if header["kind"] == "end":
                return
            yield parse_batch(header, buffers)

    def _receive_expected(self, *expected: str) -> tuple[dict[str, Any], list[bytearray]]:
        while True:
            try:
                header, buffers = receive(self._answers)
            except (BrokenFrame, ConnectionError, ValueError, KeyError):
                raise self._explain_end() from None
            except TimeoutError:
                raise self._timeout_error() from None
            if header["kind"] == "error":
                raise parse_error(header)
            if header["kind"] in expected:
                return header, buffers
            _log.warning("Reading %s met what was not foreseen: %s", self._label, header.get("trace"))

    def _explain_end(self) -> ShoalError:
        """Build the error for a child that ended early."""
        status_bytes = os.read(self._status, STATUS.size)
        if len(status_bytes) != STATUS.size:  # the host was killed, and its children with it; not caused by the file
            _log.warning("The process that readers start from ended while %s was read", self._label)
            return Unavailable(f"{self._label}: reading was interrupted, because its process was ended. Send it again.")
        code = STATUS.unpack(status_bytes)[0]
        _log.info("Reading %s ended its process with %d", self._label, code)
        if code == -signal.SIGXCPU:
            return self._timeout_error()
        if code == -signal.SIGKILL:  # by the kernel, when the machine is out of memory
            return out_of_memory_error(self._label)
        name = signal.Signals(-code).name if code < 0 else str(code)
        # Libraries crash for damaged files, and some of them when out of memory.
        remedy = (
            "The file is damaged, or needs more memory than SHOAL_IMPORT_MEMORY_MIB allows: write it again, in smaller "
            "parts or in another format."
        )
        return InvalidField(self._label, f"cannot be read (its reader ended with {name})", remedy=remedy)

    def _timeout_error(self) -> TooLarge:
        return TooLarge(
            f"{self._label}: needs more than {self._seconds:,.0f} s of processor time to read "
            "(SHOAL_IMPORT_SECONDS). Send it in parts, or raise the setting.",
            field=self._label,
            setting="SHOAL_IMPORT_SECONDS",
        )


def readers_needed(file_bytes: int) -> int:
    """Return how many readers a file of this size occupies: one for a small file, two for any other.

    So all files read at once need at most twice the memory that one may need.
    """
    return 1 if file_bytes <= _SMALL_BYTES else 2


class FileReaders:
    """Reads files in child processes: four small ones at once or two large ones, and three readers per organization."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reading: Counter[str] = Counter()
        self._changed = threading.Condition()

    def prepare(self) -> None:
        """Start the host, so that the first file need not wait for it."""
        _HOST.start()

    @contextmanager
    def reading(self, path: Files, options: ReadOptions, organization_id: str) -> Iterator[ForeignFile]:
        """Open a file until the block ends; a child that is still running then is killed.

        Raises InvalidField or TooLarge for anything wrong with the file, Overloaded where too many are being read,
        Unavailable where the reading process was killed from outside.
        """
        # The size of a pipe is unknown, and an archive expands to many times its size.
        needed = readers_needed(_SMALL_BYTES + 1 if _is_gzip(path) else total_size(path) or _SMALL_BYTES + 1)
        limits = self._limits if needed > 1 else self._limits.halve()
        with self._acquire_slot(organization_id, needed):
            try:
                file = _start_reading(path, options, limits)
            except Unavailable:  # nothing was read yet: retry once with a new host
                file = _start_reading(path, options, limits)
            with closing(file):
                yield file

    @contextmanager
    def _acquire_slot(self, organization_id: str, needed: int) -> Iterator[None]:
        def is_free() -> bool:
            theirs = self._reading[organization_id] + needed
            return self._reading.total() + needed <= READERS and theirs < READERS

        with self._changed:
            if not self._changed.wait_for(is_free, _WAIT_SECONDS):
                raise Overloaded("Too many files are being read at once. Send this one again later.", 5)
            self._reading[organization_id] += needed
        try:
            yield
        finally:
            with self._changed:
                self._reading[organization_id] -= needed
                self._changed.notify_all()


def _is_gzip(path: Files) -> bool:
    """Return whether a file is a gzip archive."""
    if not isinstance(path, Path) or not path.is_file():
        return False
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP
    return False


def _start_reading(path: Files, options: ReadOptions, limits: Limits) -> ForeignFile:
    absolute = path.absolute() if isinstance(path, Path) else [part.absolute() for part in path]
    answers, status = _HOST.begin(Request(absolute, options, limits))
    seconds = limits.seconds_for(total_size(path))
    return ForeignFile(answers, status, options.label or display_name(path), seconds)


class _Host:
    """The host of this process. It knows neither stores nor settings, so one serves all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = 0

    def start(self) -> None:
        """Start it unless it runs."""
        with self._lock:
            self._ensure_running()

    def close(self) -> None:
        """Stop it."""
        with self._lock:
            self._stop()

    def begin(self, request: Request) -> tuple[socket.socket, int]:
        """Start a child for a request.

        Returns the socket that it answers on, and a pipe with its exit status once it ended. Raises Unavailable where
        no process can be started.
        """
        ours, theirs = socket.socketpair()
        status, status_writer = os.pipe()
        try:
            self._send_descriptors([theirs.fileno(), status_writer])
            send(ours, {"request": request.to_json().decode()})
        except OSError as error:
            ours.close()
            os.close(status)
            raise Unavailable(f"No process can be started to read the file ({error.strerror}).") from error
        finally:
            theirs.close()
            os.close(status_writer)
        return ours, status

    def _send_descriptors(self, descriptors: list[int]) -> None:
        with self._lock:
            try:
                socket.send_fds(self._ensure_running(), [b"r"], descriptors)
            except ConnectionError:  # it was killed: start another
                self._stop()
                socket.send_fds(self._ensure_running(), [b"r"], descriptors)

    def _ensure_running(self) -> socket.socket:
        ended = self._process is None or self._process.poll() is not None
        if self._control is not None and self._owner == os.getpid() and not ended:
            return self._control
        self._stop()
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shoal.intake.host"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRON},
                start_new_session=True,
            )
        self._control, self._owner = control, os.getpid()
        return control

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self._control = self._process = None


_ENVIRON: Final = {
    "OPENBLAS_NUM_THREADS": "1",  # a multithreaded process cannot be forked safely
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # Arrow's jemalloc would start a thread, too
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve more than they use, which counts against the limit
    "MALLOC_ARENA_MAX": "2",
}
_HOST: Final = _Host()
atexit.register(_HOST.close)
