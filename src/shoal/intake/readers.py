"""The side that asks: starts the host once for this process, has files read by its children, and is hurt by none."""

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
from shoal.files.reading import out_of_memory
from shoal.files.shards import Files, name_of, size_of
from shoal.intake.frames import STATUS, Broken, batch_of, error_of, info_of, receive, send
from shoal.intake.request import How, Limits, Request

__all__ = ["READERS", "FileReaders", "ForeignFile", "readers_for"]

READERS: Final = 4
"""How many small files are read at once, each with half of the memory that a file may need."""
_SMALL_BYTES: Final = 2**20
_GZIP: Final = b"\x1f\x8b"
_WAIT_SECONDS: Final = 10.0
_SILENT_TIMES: Final = 5.0
"""A child is silent for no longer than its processor time, which takes longer by the clock on a busy machine."""
_log = logging.getLogger("shoal.intake")


class ForeignFile:
    """A file that is being read by a child. `label` names it in errors."""

    def __init__(self, answers: socket.socket, status: int, label: str, seconds: float) -> None:
        self._answers, self._status, self._label, self._seconds = answers, status, label, seconds
        answers.settimeout(seconds * _SILENT_TIMES)
        try:
            self.info: SourceInfo = info_of(self._next("info")[0])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the rest of the file: a child that is not done is killed."""
        self._answers.close()
        os.close(self._status)

    def batches(self) -> Iterator[DocumentBatch]:
        """The documents, checked, a few MiB at a time. Raises InvalidField or TooLarge for a fault of the file."""
        while True:
            header, buffers = self._next("batch", "end")
            if header["kind"] == "end":
                return
            yield batch_of(header, buffers)

    def _next(self, *expected: str) -> tuple[dict[str, Any], list[bytearray]]:
        while True:
            try:
                header, buffers = receive(self._answers)
            except (Broken, ConnectionError, ValueError, KeyError):
                raise self._ending() from None
            except TimeoutError:
                raise self._too_slow() from None
            if header["kind"] == "error":
                raise error_of(header)
            if header["kind"] in expected:
                return header, buffers
            _log.warning("Reading %s met what was not foreseen: %s", self._label, header.get("trace"))

    def _ending(self) -> ShoalError:
        """Why the child said no more."""
        told = os.read(self._status, STATUS.size)
        if len(told) != STATUS.size:  # the host was ended, and its children with it: the file has no part in that
            _log.warning("The process that readers start from ended while %s was read", self._label)
            return Unavailable(f"{self._label}: reading was interrupted, because its process was ended. Send it again.")
        code = STATUS.unpack(told)[0]
        _log.info("Reading %s ended its process with %d", self._label, code)
        if code == -signal.SIGXCPU:
            return self._too_slow()
        if code == -signal.SIGKILL:  # the kernel's, when the machine has no memory left
            return out_of_memory(self._label)
        name = signal.Signals(-code).name if code < 0 else str(code)
        # Libraries end so for damaged files, and some of them where they get no memory.
        remedy = (
            "The file is damaged, or needs more memory than SHOAL_IMPORT_MEMORY_MIB allows: write it again, in smaller "
            "parts or in another format."
        )
        return InvalidField(self._label, f"cannot be read (its reader ended with {name})", remedy=remedy)

    def _too_slow(self) -> TooLarge:
        return TooLarge(
            f"{self._label}: takes more than {self._seconds:,.0f} s of processor time to read "
            "(SHOAL_IMPORT_SECONDS). Send it in parts, or raise the setting.",
            field=self._label,
            setting="SHOAL_IMPORT_SECONDS",
        )


def readers_for(file_bytes: int) -> int:
    """How many of the readers a file of so many bytes stands for: a small one for one, any other for two. So all that
    are read at once need at most twice the memory that one may need."""
    return 1 if file_bytes <= _SMALL_BYTES else 2


class FileReaders:
    """Reads files in processes of their own, four small ones at once or two, three readers for one organisation."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reading: Counter[str] = Counter()
        self._changed = threading.Condition()

    def prepare(self) -> None:
        """Have the host started, so that the first file need not wait for it."""
        _HOST.start()

    @contextmanager
    def reading(self, path: Files, how: How, organization_id: str) -> Iterator[ForeignFile]:
        """The file, until the block ends; a child that is not done by then is killed.

        Raises InvalidField or TooLarge for what is wrong with the file, Overloaded where too many are being read,
        Unavailable where the process that reads was ended from outside.
        """
        # A pipe may say anything, and an archive holds many times its size.
        needed = readers_for(_SMALL_BYTES + 1 if _is_packed(path) else size_of(path) or _SMALL_BYTES + 1)
        limits = self._limits if needed > 1 else self._limits.halved()
        with self._slot(organization_id, needed):
            try:
                file = _open(path, how, limits)
            except Unavailable:  # nothing was read yet: another host takes it from the start
                file = _open(path, how, limits)
            with closing(file):
                yield file

    @contextmanager
    def _slot(self, organization_id: str, needed: int) -> Iterator[None]:
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


def _is_packed(path: Files) -> bool:
    """Whether a file is a gzip archive."""
    if not isinstance(path, Path) or not path.is_file():
        return False
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP
    return False


def _open(path: Files, how: How, limits: Limits) -> ForeignFile:
    absolute = path.absolute() if isinstance(path, Path) else [one.absolute() for one in path]
    answers, status = _HOST.begin(Request(absolute, how, limits))
    seconds = limits.seconds_for(size_of(path))
    return ForeignFile(answers, status, how.label or name_of(path), seconds)


class _Host:
    """The host of this process. It knows nothing of stores and settings, so one serves all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = 0

    def start(self) -> None:
        """Start it where it does not run."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._drop()

    def begin(self, request: Request) -> tuple[socket.socket, int]:
        """A child for a request: the socket it answers on, and a pipe with its exit status once it ended.

        Raises Unavailable where no process can be started.
        """
        ours, theirs = socket.socketpair()
        status, told = os.pipe()
        try:
            self._hand_over([theirs.fileno(), told])
            send(ours, {"request": request.encoded().decode()})
        except OSError as error:
            ours.close()
            os.close(status)
            raise Unavailable(f"No process can be started to read the file ({error.strerror}).") from error
        finally:
            theirs.close()
            os.close(told)
        return ours, status

    def _hand_over(self, descriptors: list[int]) -> None:
        with self._lock:
            try:
                socket.send_fds(self._running(), [b"r"], descriptors)
            except ConnectionError:  # it was killed: another
                self._drop()
                socket.send_fds(self._running(), [b"r"], descriptors)

    def _running(self) -> socket.socket:
        ended = self._process is None or self._process.poll() is not None
        if self._control is not None and self._owner == os.getpid() and not ended:
            return self._control
        self._drop()
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

    def _drop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self._control = self._process = None


_ENVIRON: Final = {
    "OPENBLAS_NUM_THREADS": "1",  # a process that has threads cannot be forked safely
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # the thread of Arrow's second allocator is one too
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve more than they use, which the limit would count
    "MALLOC_ARENA_MAX": "2",
}
_HOST: Final = _Host()
atexit.register(_HOST.close)
