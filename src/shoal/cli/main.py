"""The command `shoal`: its subcommands, and how every error ends."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from shoal.cli.audit import audit
from shoal.cli.backup import backup, restore
from shoal.cli.cluster import cluster
from shoal.cli.completion import completion
from shoal.cli.demo import demo
from shoal.cli.doctor import doctor
from shoal.cli.import_ import import_
from shoal.cli.keys import keys_app
from shoal.cli.organizations import organizations_app
from shoal.cli.output.terminal import plain_output, underlying_stream
from shoal.cli.serve import serve
from shoal.cli.show import show
from shoal.cli.work import worker
from shoal.errors import ShoalError
from shoal.without_pandas import keep_pandas_out

__all__ = ["app", "main"]

_SIGPIPE_EXIT: Final = 141
"""The exit code that a shell reports for SIGPIPE."""


class Commands(TyperGroup):
    """The commands of Shoal, with a hint where a file is given instead of one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that `args` start with. Raises ShoalError for the name of a file."""
        if args and args[0] not in self.commands and Path(args[0]).exists():
            line = shlex.join(["shoal", "cluster", *args])
            kind = "folder" if Path(args[0]).is_dir() else "file"
            raise ShoalError(f"{args[0]} is a {kind}, not a command. To cluster it: {line}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="shoal",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is twice as fast
    help="Find the groups in embedded documents, name them, write them back, and serve them.",
    epilog="Start with `shoal demo`, or with a file of yours: `shoal cluster FILE`.",
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"shoal {version('shoal')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before a command."""


app.command("cluster", short_help="Named clusters from a file, without a server.")(cluster)
app.command("show", short_help="Print earlier results again, or the documents of a cluster.")(show)
app.command("demo", short_help="Group and name 2,280 real questions, end to end.")(demo)
app.command("serve", short_help="Serve the API on this machine.")(serve)
app.command("import", short_help="Store a file's documents, here or on a server.")(import_)
app.command("worker", short_help="Carry out runs beside `serve --workers 0`.")(worker)
app.command("doctor", short_help="Look through a data folder for damage.")(doctor)
app.command("backup", short_help="Copy a data folder, also of a running server.")(backup)
app.command("restore", short_help="Make a data folder from a backup.")(restore)
app.command("audit", short_help="Who did what: changes and refused calls.")(audit)
app.command("completion", short_help="Print the script for completion with Tab.")(completion)
app.add_typer(keys_app, name="keys", short_help="List, create, rotate and revoke API keys.")
app.add_typer(organizations_app, name="organizations", short_help="List and create organisations.")


def main() -> None:
    """Run one command. Exits with 0, 2 for anything the user can fix (one line on stderr), 130 for Ctrl-C."""
    with plain_output():
        _run()


def _run() -> None:
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except ShoalError as error:
        _exit_with_error(error.message)
    except BrokenPipeError:  # `| head`: the reader closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), underlying_stream(sys.stdout).fileno())
        raise SystemExit(_SIGPIPE_EXIT) from None
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _exit_with_error(f"{error.strerror or error}{where}.")
    except MemoryError:
        _exit_with_error(
            "Not enough memory for this. Take fewer rows (--sample, --where) or a machine with more memory."
        )


def _exit_with_error(message: str) -> None:
    """Print the message as one line on stderr and exit with code 2."""
    print(f"shoal: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    keep_pandas_out()
    main()
