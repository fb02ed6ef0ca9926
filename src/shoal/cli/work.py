"""`shoal worker`: execute runs for servers that share the data folder."""

from pathlib import Path
from typing import Annotated

import typer

from shoal import logs
from shoal.cli.installation import check_data_folder_exists
from shoal.settings import Settings

__all__ = ["worker"]


def worker(
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Threads a run may use; 0 takes all cores.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text, or json for one object a line.")] = None,
) -> None:
    """Carry out runs until Ctrl-C; only needed beside `shoal serve --workers 0`."""
    # Imported here so that `shoal --help` stays fast.
    from shoal.cli.processes.worker import work
    from shoal.engine import kernels

    kernels.native()  # reject invalid SHOAL_KERNELS or SHOAL_INSTRUCTIONS now, not at the first run
    settings = Settings.read(data=data, threads=threads, log_level=log_level, log_format=log_format)
    check_data_folder_exists(settings)
    logs.configure(settings.log_level, settings.log_format)
    if settings.log_format == "text":
        print(f"Carrying out runs on {settings.data} until Ctrl-C", flush=True)
    work(settings)
