"""The documents keep up with the code."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shoal.cli.main import app
from shoal.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)])


def commands() -> list[str]:
    """Every command, those of groups with the group's name."""
    single = [str(command.name) for command in app.registered_commands]
    grouped = [
        f"{group.name} {inner.name or inner.callback.__name__}"
        for group in app.registered_groups
        if group.typer_instance is not None
        for inner in group.typer_instance.registered_commands
        if inner.callback is not None
    ]
    return single + grouped


def options_of(command: str) -> list[list[str]]:
    """The names of each option that the help of a command shows: `-q` and `--quiet`, `--map` and `--no-map`."""
    shown = CliRunner().invoke(app, [command, "--help"]).stdout
    lines = re.findall(r"^  (-[a-z-]+(?:(?:, | / )-[a-z-]+)*)", shown, re.MULTILINE)
    return [re.split(", | / ", line) for line in lines if line != "--help"]


def test_every_setting_has_its_line_with_variable_and_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    for field in fields(Settings):
        row = next((line for line in page.splitlines() if line.startswith(f"| `{field.name}` ")), "")

        assert f"`SHOAL_{field.name.upper()}`" in row, f"docs/settings.md lacks {field.name}"
        if field.name != "data":
            value = field.default
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            assert f"| {f'`{shown}`' if shown else 'empty'} |" in row, f"the default of {field.name} is told wrong"


def test_every_command_is_told() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    found = commands()

    assert {"cluster", "demo", "serve", "import", "worker"} <= set(found)
    for name in found:
        group, _, inner = name.partition(" ")
        assert f"## shoal {group}" in page, f"docs/cli.md lacks shoal {name}"
        assert not inner or f"`{inner}" in page, f"docs/cli.md lacks shoal {name}"


def test_the_index_of_the_documentation_leads_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    trees = re.findall(r"^```{toctree}\n(?::[^\n]*\n)*\n(.*?)^```$", index.read_text(), re.MULTILINE | re.DOTALL)
    linked = {(index.parent / f"{target}.md").resolve() for tree in trees for target in tree.split()}

    assert {page for page in PAGES if page.parent != ROOT} - {index} <= linked


@pytest.mark.parametrize("command", ["cluster", "import", "show"])
def test_every_option_of_a_command_has_its_words(command: str) -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    options = options_of(command)

    assert options
    assert [names for names in options if not any(f"`{name}" in page or f" {name}" in page for name in names)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_file_the_architecture_names_exists() -> None:
    table = re.findall(r"^\| .+ \| (.+) \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    named = [name for row in table for name in re.findall(r"`([a-z_/]+\.(?:py|md))`", row)]

    assert len(named) > 5
    for name in named:
        places = [ROOT / name, ROOT / "src/shoal" / name, ROOT / "src/shoal/files" / name]
        assert any(place.exists() for place in places), name


def test_constraints_pin_every_dependency_and_hold_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    project = (ROOT / "pyproject.toml").read_text()
    needed = re.findall(r'^\s+"([a-z0-9-]+)[>=]=', project, re.MULTILINE)

    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    assert len(needed) > 20
    assert set(needed) <= pinned
