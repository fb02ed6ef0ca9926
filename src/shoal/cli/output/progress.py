"""The progress bar: one line on stderr that tells the stage and goes away when the work is done."""

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

from shoal.cli.output.terminal import unfiltered
from shoal.engine.plan import Progress, ignore_progress

__all__ = ["STAGES", "counted", "shown"]

STAGES: Final[Mapping[str, str]] = {
    "read": "Reading the file",
    "filter": "Choosing documents",
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
"""The stages as people read them; one that is not listed is shown by its own name."""


_ONE_PERCENT: Final = 0.01


@contextmanager
def shown(quiet: bool = False) -> Iterator[Progress]:
    """A progress callback that draws on stderr; silent where that is no terminal."""
    with _interruptible() as stop_if_asked, _drawn(quiet) as draw:

        def tell(stage: str, fraction: float) -> None:
            stop_if_asked()
            draw(stage, fraction)

        yield tell


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Ctrl-C is never lost: Python drops the interrupt where it strikes inside a finalizer, so it is remembered, and
    the next sign of progress raises it again."""
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _drawn(quiet: bool) -> Iterator[Progress]:
    console = _console()
    if quiet or not console.is_terminal:
        yield ignore_progress
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<34}"), BarColumn(30), TaskProgressColumn())
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("Starting", total=None)

        def draw(stage: str, fraction: float) -> None:
            # A stage that has not said how far it is moves to and fro; 0 % would look like standing still.
            shown = bar.tasks[0]
            shown.total = 1.0 if fraction >= _ONE_PERCENT else None
            shown.finished_time = None  # of the stage before
            bar.update(task, description=STAGES.get(stage, stage), completed=fraction)

        yield draw


def _console() -> Console:
    """Standard error, without any colour where `NO_COLOR` is set."""
    return Console(file=unfiltered(sys.stderr), color_system=None if os.environ.get("NO_COLOR") else "auto")


@contextmanager
def counted() -> Iterator[Callable[[int], None]]:
    """A callback that shows how many documents were read so far; silent where stderr is no terminal."""
    console = _console()
    if not console.is_terminal:
        yield lambda count: None
        return
    with console.status("Reading …") as status:
        yield lambda count: status.update(f"Storing … {count:,} documents")
