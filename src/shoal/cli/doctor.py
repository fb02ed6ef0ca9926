"""`shoal doctor`: check a data folder, report what is wrong, and remove what crashes left behind."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shoal.cli.output.terminal import escape_controls
from shoal.settings import Settings

if TYPE_CHECKING:
    from shoal.maintenance.doctor import Finding, Report

__all__ = ["doctor"]

_STYLES: Final = {"damage": "bold red", "problem": "bold yellow", "leftover": "cyan", "note": "dim"}


def doctor(
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Remove leftovers; data are never touched.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only the structure: no payload, vector or table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
    idle_minutes: Annotated[
        float, typer.Option(min=0, help="Minutes without writes before something counts as left over.")
    ] = 60.0,
) -> None:
    """Look through a data folder, also of a running server. Exits with 1 if anything needs fixing."""
    # Imported here so that `shoal --help` stays fast.
    from shoal.errors import InvalidField
    from shoal.maintenance import doctor as service
    from shoal.storage.local.data_folder import check_data_folder

    settings = Settings.read(data=data)
    check_data_folder(settings.data)
    if not settings.data.is_dir():
        raise InvalidField("--data", "is no folder", value=str(settings.data))
    report = service.examine(settings, quick=quick, idle_minutes=idle_minutes)
    removed = service.repair(report, settings) if repair else []
    if as_json:
        _print_json(settings, report, removed)
    else:
        _print_tables(settings, report, removed)
    raise typer.Exit(0 if report.sound else 1)


def _print_json(settings: Settings, report: "Report", removed: "list[Finding]") -> None:
    import orjson

    content = {
        "data": str(settings.data),
        "sound": report.sound,
        "versions": _collect_versions(),
        "looked_at": dict(report.looked_at),
        "findings": [
            {"kind": f.kind, "where": f.where, "problem": f.problem, "remedy": f.remedy, "removed": f in removed}
            for f in report.findings
        ],
    }
    print(escape_controls(orjson.dumps(content, option=orjson.OPT_INDENT_2)).decode())


def _print_tables(settings: Settings, report: "Report", removed: "list[Finding]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from shoal.cli.output.table import make_console, strip_controls

    console = make_console()
    console.print(Text.assemble(("Data folder ", "dim"), strip_controls(str(settings.data))))
    checked = Table.grid(padding=(0, 2))
    for what, amount in [
        *report.looked_at,
        ("versions", ", ".join(f"{k} {v}" for k, v in _collect_versions().items())),
    ]:
        checked.add_row(Text(f"  {what}", "dim"), amount)
    console.print(checked)
    if report.findings:
        table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for column in ("", "where", "found", "what to do"):
            table.add_column(column, overflow="fold")
        for finding in sorted(report.findings, key=lambda finding: list(_STYLES).index(finding.kind)):
            done = "Removed." if finding in removed else finding.remedy
            kind = Text(finding.kind, _STYLES[finding.kind])
            table.add_row(
                kind,
                Text(strip_controls(finding.where)),
                Text(strip_controls(finding.problem)),
                Text(strip_controls(done), "dim"),
            )
        console.print(table)
    console.print(_format_verdict(report))


def _format_verdict(report: "Report") -> str:
    counted = [
        f"{count:,} × {kind}" for kind in _STYLES if (count := sum(finding.kind == kind for finding in report.findings))
    ]
    if report.sound:
        return f"[green]✓[/green] Sound{': ' if counted else ''}{', '.join(counted)}."
    return f"[red]✗[/red] Not sound: {', '.join(counted)}."


def _collect_versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    from shoal.storage.stores import store_versions

    return {"shoal": version("shoal"), "python": platform.python_version(), **store_versions()}
