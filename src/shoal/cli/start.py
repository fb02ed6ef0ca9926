"""The entry point of the command `shoal`. Nothing is imported yet, so Ctrl-C ends it quietly from the first moment
on."""

from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Load the command line, run one command and end the process, with the code of `shoal.cli.main.main`."""
    code: object = 0
    try:
        from shoal.without_pandas import keep_pandas_out

        keep_pandas_out()
        from shoal.cli.main import main as run

        run()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:
        code = end.code
    _end(code)


def _end(code: object) -> NoReturn:
    """End the process as the interpreter would, without tearing it down.

    A thread of Arrow that reads ahead and calls Python during teardown would abort the process ("terminate called
    without an active exception").
    """
    import atexit
    import os
    import sys
    import threading

    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads and executors
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader is gone
        pass
    os._exit(code if isinstance(code, int) else int(code is not None))
