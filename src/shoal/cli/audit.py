"""`shoal audit`: who did what, read directly from the data folder."""

import getpass
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shoal.cli.installation import open_services
from shoal.cli.output.terminal import escape_controls

if TYPE_CHECKING:
    from rich.table import Table

    from shoal.records.audit import AuditEntry, AuditQuestion, Origin
    from shoal.records.scope import Scope
    from shoal.repositories.audit import Audit

__all__ = ["audit", "command_line_origin"]

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_ROOM_FOR_DETAILS: Final = 110


def audit(
    action: Annotated[str | None, typer.Option(help="An action, or how it begins: key. or cluster.delete.")] = None,
    key: Annotated[str | None, typer.Option(help="Name or id of the key that was used.")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only calls that were refused.")] = False,
    since: Annotated[str | None, typer.Option(help="A span such as 30m, 24h or 7d, or a date: 2026-11-01.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many rows at most, the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all fields.")] = False,
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
) -> None:
    """Show who did what: every change, and every call that was refused, newest first."""
    # Imported here so that `shoal --help` stays fast.
    from shoal.records.audit import AuditQuestion
    from shoal.records.scope import Scope
    from shoal.repositories.audit import INSTALLATION

    question = AuditQuestion(action="key.refuse" if refused else action, key=key, since=_parse_since(since))
    with open_services(data) as services:
        names = {
            organization.organization_id: str(organization.organization_name)
            for organization in services.keys.organizations()
        }
        logs = [_iter_newest(services.audit, scope, question) for scope in (*map(Scope, names), INSTALLATION)]
        newest_first = heapq.merge(*logs, key=lambda entry: entry.created_at, reverse=True)
        entries = list(islice(newest_first, limit))
    if as_json:
        for entry in entries:
            print(escape_controls(entry.model_dump_json().encode()).decode())
    else:
        _print_table(entries, names)


def command_line_origin() -> "Origin":
    """Return the caller of a command that works on the data folder: the user of the operating system."""
    from shoal.records.audit import Origin

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        user = None
    return Origin("command line", user=user)


def _iter_newest(log: "Audit", scope: "Scope", question: "AuditQuestion") -> "Iterator[AuditEntry]":
    """Yield the entries of one organization, a page at a time."""
    from shoal.records.queries.paging import Page
    from shoal.storage.protocols.records import Query

    offset, more = 0, True
    while more:
        page = log.search(scope, Query(page=Page(limit=1000, offset=offset)), question)
        yield from page.items
        offset, more = offset + len(page.items), page.more


def _parse_since(text: str | None) -> datetime | None:
    from shoal.errors import InvalidField

    if text is None:
        return None
    span, unit = text[:-1], _UNITS.get(text[-1:])
    try:
        if unit is not None and span.isdigit():
            return datetime.now(UTC) - int(span) * unit
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidField(
            "--since", "is not a time", value=text, remedy="Use a span such as 30m, 24h or 7d, or a date: 2026-11-01."
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _print_table(entries: "Sequence[AuditEntry]", names: Mapping[str, str]) -> None:
    """Print the entries; `names` of the organizations by id are shown where there are several."""
    from shoal.cli.output.table import make_console

    console = make_console()
    if not entries:
        console.print("No entries match.")
        return
    console.print(_build_table(entries, names, width=console.width))
    if console.width < _ROOM_FOR_DETAILS:
        console.print(f"Details need {_ROOM_FOR_DETAILS} columns, or --json.", style="dim")


def _build_table(entries: "Iterable[AuditEntry]", names: Mapping[str, str], *, width: int) -> "Table":
    """Build the table. Names come from callers, so control characters are stripped."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from shoal.cli.output.table import strip_controls

    roomy, several = width >= _ROOM_FOR_DETAILS, len(names) > 1
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, expand=roomy)
    table.add_column("time (UTC)", no_wrap=True, style="dim", min_width=19)
    if several:
        table.add_column("of", overflow="ellipsis", no_wrap=True, max_width=24 if roomy else 8)
    table.add_column("who", overflow="ellipsis", no_wrap=True, min_width=12, max_width=24 if roomy else 12)
    table.add_column("action", no_wrap=True, min_width=17)
    table.add_column("what", overflow="ellipsis", no_wrap=True, min_width=22 if roomy else 12, max_width=36)
    if roomy:
        table.add_column("details", overflow="ellipsis", no_wrap=True, style="dim", ratio=1)
    for entry in entries:
        style = "" if entry.outcome == "done" else "red"
        cells = [f"{entry.created_at:%Y-%m-%d %H:%M:%S}"]
        cells += [names.get(entry.organization_id or "", "-")] if several else []
        action = entry.action if entry.outcome == "done" else entry.outcome
        cells += [_format_caller(entry), action, entry.resource_id or ("-" if roomy else _format_details(entry) or "-")]
        cells += [_format_details(entry)] if roomy else []
        table.add_row(*(Text(strip_controls(cell), style) for cell in cells))
    return table


def _format_caller(entry: "AuditEntry") -> str:
    if entry.via == "command line":
        return f"{entry.user or 'unknown user'} (command line)"
    return entry.key_name or str(entry.details.get("key_name") or entry.address or "unknown")


def _format_details(entry: "AuditEntry") -> str:
    return " ".join(
        f"{name}={value if isinstance(value, (str, int)) else json.dumps(value)}"
        for name, value in entry.details.items()
    )
