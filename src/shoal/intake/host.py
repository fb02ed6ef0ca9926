"""The process that waits with every reader loaded and becomes, for each file, a child of its own: a fork takes
milliseconds where a new process takes half a second.

On its standard input, a socket, it is sent two descriptors for each file: the socket that the child answers on, and a
pipe for the host to write the child's exit status to. It ends with that socket, and kills a child whose pipe nobody
reads.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys

from shoal.intake.child import read_file
from shoal.intake.frames import STATUS
from shoal.jobs.lifeline import killed_with_parent
from shoal.without_pandas import keep_pandas_out

__all__ = ["main"]


def main() -> None:
    """Serve until standard input closes."""
    gc.collect()
    gc.freeze()  # or collections in a child would write to, and so copy, what it shares with the host
    control = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: dict[int, int] = {}  # pid to the pipe for its status
    watched = select.poll()
    watched.register(control, select.POLLIN)
    watched.register(woken, select.POLLIN)
    while True:
        for descriptor, _ in watched.poll():
            if descriptor == woken:
                os.read(woken, 4096)
                _report(children, watched)
            elif descriptor == control.fileno():
                if not _begin(control, children, watched):
                    _kill_all(children)
                    return
            else:
                _kill(children, descriptor)


def _begin(control: socket.socket, children: dict[int, int], watched: select.poll) -> bool:
    """Start a child for what was sent; False where nothing will be any more."""
    sent, descriptors, _, _ = socket.recv_fds(control, 1, 2)
    if not sent:
        return False
    if len(descriptors) != 2:
        return True
    answer, status = descriptors
    pid = os.fork()
    if not pid:
        _become_child(control, answer)
    os.close(answer)
    children[pid] = status
    watched.register(status, 0)  # only whether its reader is gone
    return True


def _become_child(control: socket.socket, answer: int) -> None:
    try:
        killed_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        with socket.socket(fileno=answer) as asked:
            read_file(asked)
    finally:
        os._exit(0)


def _report(children: dict[int, int], watched: select.poll) -> None:
    """Tell the status of every child that ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        pipe = children.pop(pid)
        watched.unregister(pipe)
        with contextlib.suppress(BrokenPipeError):
            os.write(pipe, STATUS.pack(os.waitstatus_to_exitcode(status)))
        os.close(pipe)


def _kill(children: dict[int, int], pipe: int) -> None:
    """Nobody waits for this child any more."""
    for pid, held in children.items():
        if held == pipe:
            os.kill(pid, signal.SIGKILL)


def _kill_all(children: dict[int, int]) -> None:
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    keep_pandas_out()  # or each child would import it again
    main()
    sys.stdout.flush()
    os._exit(0)
