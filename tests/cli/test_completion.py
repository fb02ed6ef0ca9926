"""Completion at the Tab key, in the shells themselves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

BIN = Path(sys.executable).parent
ENVIRON = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
BASH = """
eval "$(shoal completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shoal_completion shoal
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete_in_bash(*words: str) -> list[str]:
    """What bash would offer for the last of the words."""
    command = ["bash", "--norc", "--noprofile", "-c", BASH, "bash", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRON)
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["shoal", "clu"], {"cluster"}),
        (["shoal", "keys", ""], {"list", "create", "rotate", "revoke"}),
        (["shoal", "cluster", "--seed"], {"--seed"}),
        (["shoal", "completion", ""], {"bash", "zsh", "fish"}),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_bash_completes_commands_and_options(words: list[str], offered: set[str]) -> None:
    assert set(complete_in_bash(*words)) == offered


def test_bash_completes_files_where_shoal_offers_nothing() -> None:
    assert complete_in_bash("shoal", "cluster", "rev") == []

    script = subprocess.run([BIN / "shoal", "completion", "bash"], capture_output=True, text=True, check=True).stdout
    assert "complete -o default" in script


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_read_without_a_complaint(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = f"shoal completion {shell}"
    command = f"{script} | source" if shell == "fish" else f'autoload -U compinit; compinit -D; eval "$({script})"'

    done = subprocess.run(
        [shell, "-c", command], capture_output=True, text=True, check=False, env=ENVIRON | {"HOME": str(tmp_path)}
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unknown_shell_is_refused_with_those_there_are() -> None:
    done = subprocess.run([BIN / "shoal", "completion", "ksh"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
    assert done.stdout == ""
