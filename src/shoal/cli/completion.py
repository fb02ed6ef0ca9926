"""`shoal completion`: the shell script that completes commands, options and files."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import shell_complete

__all__ = ["Shell", "completion"]


class Shell(StrEnum):
    """The supported shells."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", show_choices=False)],
) -> None:
    """Print the completion script of a shell: eval "$(shoal completion bash)" switches it on."""
    command = context.find_root().command
    shell_complete(command, {}, prog_name="shoal", complete_var="_SHOAL_COMPLETE", instruction=f"source_{shell.value}")
