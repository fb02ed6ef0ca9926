"""The host process, which has every reader loaded and forks a child for each file.

A fork takes milliseconds where a new process takes half a second. On its standard input, a socket, the host receives
two descriptors per file: the socket that the child answers on, and a pipe for the child's exit status. The host ends
with that socket, and kills a child whose pipe has no reader left.
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
from shoal.jobs.lifeline import die_with_parent
from shoal.without_pandas import keep_pandas_out

__all__ = ["main"]


def main() -> None:
    """Serve until standard input closes."""
    gc.collect()
    gc.freeze()  # or a collection in a child would write to shared pages, and so copy them
    control = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: dict[int, int] = {}  # pid to the pipe for its exit status
    watched = select.poll()
    watched.register(control, select.POLLIN)
    watched.register(woken, select.POLLIN)
    while True:
        for descriptor, _ in watched.poll():
            if descriptor == woken:
                os.read(woken, 4096)
                _report_exits(children, watched)
            elif descriptor == control.fileno():
                if not _start_child(control, children, watched):
                    _kill_all(children)
                    return
            else:
                _kill(children, descriptor)


def _start_child(control: socket.socket, children: dict[int, int], watched: select.poll) -> bool:
    """Fork a child for the received descriptors; return False at the end of the control socket."""
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
    watched.register(status, 0)  # only for POLLERR: its reader is gone
    return True


def _become_child(control: socket.socket, answer: int) -> None:
    try:
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        with socket.socket(fileno=answer) as answers:
            read_file(answers)
    finally:
        os._exit(0)


def _report_exits(children: dict[int, int], watched: select.poll) -> None:
    """Write the exit status of every child that ended."""
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
    """Kill the child whose status pipe lost its reader."""
    for pid, child_pipe in children.items():
        if child_pipe == pipe:
            os.kill(pid, signal.SIGKILL)


def _kill_all(children: dict[int, int]) -> None:
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    keep_pandas_out()  # or each child would import it again
    main()
    sys.stdout.flush()
    os._exit(0)
