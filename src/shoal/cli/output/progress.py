"""The progress bar: one line on stderr that names the stage and disappears at the end."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from shoal.cli.output.terminal import underlying_stream
from shoal.engine.plan import Progress, ignore_progress

__all__ = ["STAGES", "show_count", "show_progress"]

STAGES: Final[Mapping[str, str]] = {
    "read": "Reading the file",
    "filter": "Choosing documents",
    "encode": "Encoding the texts",
    "facets": "Asking about the documents",
    "choose_k": "Choosing the number of clusters",
    "load": "Loading the vectors",
    "cluster": "Finding clusters",
    "describe": "Measuring the clusters",
    "name": "Naming the clusters",
    "layout": "Drawing the map",
    "write": "Writing the results",
    "write_back": "Writing the file with its clusters",
    "publish": "Publishing the results",
    "enrich": "Enriching the documents",
}
"""Labels of the stages; one that is not listed is shown by its own name."""


_ONE_PERCENT: Final = 0.01


@contextmanager
def show_progress(quiet: bool = False) -> Iterator[Progress]:
    """Yield a progress callback that draws on stderr; silent where that is not a terminal."""
    with _interruptible() as raise_if_interrupted, _draw_bar(quiet) as draw:

        def report(stage: str, fraction: float) -> None:
            raise_if_interrupted()
            draw(stage, fraction)

        yield report


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Never lose Ctrl-C: Python drops a KeyboardInterrupt raised inside a finalizer, so it is recorded and raised
    again at the next progress report."""
    interrupted = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def raise_if_interrupted() -> None:
        if interrupted:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield raise_if_interrupted
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _draw_bar(quiet: bool) -> Iterator[Progress]:
    console = _console()
    if quiet or not console.is_terminal:
        yield ignore_progress
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<34}"), BarColumn(30), TaskProgressColumn())
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("Starting", total=None)

        def draw(stage: str, fraction: float) -> None:
            # A stage without a known fraction pulses; 0 % would look stuck.
            shown = bar.tasks[0]
            shown.total = 1.0 if fraction >= _ONE_PERCENT else None
            shown.finished_time = None  # set by the stage before
            bar.update(task, description=STAGES.get(stage, stage), completed=fraction)

        yield draw


def _console() -> Console:
    """Return a console on standard error, without colors where `NO_COLOR` is set."""
    return Console(file=underlying_stream(sys.stderr), color_system=None if os.environ.get("NO_COLOR") else "auto")


@contextmanager
def show_count() -> Iterator[Callable[[int], None]]:
    """Yield a callback that shows how many documents were read; silent where stderr is not a terminal."""
    console = _console()
    if not console.is_terminal:
        yield lambda count: None
        return
    with console.status("Reading …") as status:
        yield lambda count: status.update(f"Storing … {count:,} documents")
