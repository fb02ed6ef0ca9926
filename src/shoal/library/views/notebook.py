"""The notebook view of a clustering: HTML without scripts, for light and dark pages, readable without styles."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["ClusterRow", "Page", "render_page"]

_FIRST_ROWS: Final = 20
_MAX_ROWS: Final = 200
_KEYWORDS: Final = 5
_STYLE: Final = """
.shoal{--shoal-bar:#3b82c4;--shoal-line:rgba(128,128,128,.28);--shoal-track:rgba(128,128,128,.14);
font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-size:13px;line-height:1.4;color:inherit;
max-width:68rem;text-align:left}
.shoal .head{font-size:15px;font-weight:600;margin:2px 0 1px}
.shoal .quiet{opacity:.68;font-size:12px;font-weight:400}
.shoal table{border-collapse:collapse;width:100%;margin:8px 0 4px;border:0;background:transparent;color:inherit;
table-layout:auto}
.shoal tr,.shoal tr:nth-child(even),.shoal tr:hover{background:transparent!important}
.shoal th,.shoal td{border:0;border-bottom:1px solid var(--shoal-line);padding:4px 14px 5px 0;text-align:left;
font-size:13px;
vertical-align:top;color:inherit;white-space:normal;background:transparent}
.shoal th{font-size:11px!important;font-weight:500;opacity:.68;padding-bottom:3px}
.shoal .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;width:3.2rem}
.shoal td.quiet{font-size:12px;line-height:1.5}
.shoal .bar{width:92px;min-width:64px;padding-right:8px}
.shoal .track{display:block;height:9px;margin-top:5px;border-radius:2px;background:var(--shoal-track);overflow:hidden}
.shoal .fill{display:block;height:9px;border-radius:2px;background:var(--shoal-bar);min-width:2px}
.shoal .none .fill{
background:repeating-linear-gradient(45deg,rgba(128,128,128,.75) 0 3px,rgba(128,128,128,.35) 3px 6px)}
.shoal .name{font-weight:600;overflow-wrap:anywhere;min-width:11rem;max-width:26rem}
.shoal .none .name{font-weight:400;font-style:italic}
.shoal .says{max-width:30rem;overflow-wrap:anywhere;opacity:.86;padding-right:0}
.shoal summary{cursor:pointer;padding:4px 0;opacity:.8}
.shoal .note{font-size:12px;margin:3px 0;padding-left:8px;border-left:3px solid #d29922}
"""


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """One cluster: a row of the table."""

    label: str
    keywords: Sequence[str]
    size: int
    share: float
    example: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """The content of the view. `noise` counts documents in no cluster, `facts` are short phrases, `notes` sentences."""

    documents: int
    lines: Sequence[ClusterRow]
    noise: int
    facts: Sequence[str] = ()
    notes: Sequence[str] = ()


def render_page(page: Page) -> str:
    """Render the page as one element with its own style; all text from documents is escaped."""
    cluster_count = _format_count(len(page.lines), "cluster")
    facts = "".join(f" · {_escape(fact)}" for fact in page.facts)
    notes = "".join(f'<div class="note">{_escape(note)}</div>' for note in page.notes)
    return (
        f'<div class="shoal"><style>{_STYLE}</style>'
        f'<div class="head">{_format_count(page.documents, "document")} in {cluster_count}'
        f'<span class="quiet">{facts}</span></div>'
        f"{_render_table(page, page.lines[:_FIRST_ROWS], noise=True)}{_render_rest(page)}{notes}</div>"
    )


def _render_rest(page: Page) -> str:
    """Render the clusters after the first ones, collapsed."""
    more = page.lines[_FIRST_ROWS:_MAX_ROWS]
    if not more:
        return ""
    omitted = len(page.lines) - _FIRST_ROWS - len(more)
    rest = (
        f'<div class="quiet">and {omitted:,} smaller ones: clustering.centroids() has them all</div>' if omitted else ""
    )
    return (
        f"<details><summary>{_format_count(len(more), 'more cluster')}</summary>"
        f"{_render_table(page, more, noise=False)}{rest}</details>"
    )


def _render_table(page: Page, lines: Sequence[ClusterRow], *, noise: bool) -> str:
    examples = any(row.example for row in page.lines)
    headers = ['<th class="n">documents</th>', '<th class="n">share</th>', '<th class="bar"></th>', "<th>cluster</th>"]
    headers += ["<th>such as</th>"] if examples else []
    widest = max([row.size for row in page.lines] + [page.noise, 1])
    rows = [_render_row(row, widest, examples=examples) for row in lines]
    if noise and page.noise:
        share = page.noise / max(page.documents, 1)
        rows.append(
            _render_row(
                ClusterRow("in no cluster", (), page.noise, share), widest, examples=examples, kind=' class="none"'
            )
        )
    return f"<table><thead><tr>{''.join(headers)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _render_row(row: ClusterRow, widest: int, *, examples: bool, kind: str = "") -> str:
    other_keywords = [word for word in row.keywords if word.casefold() != row.label.casefold()]
    keywords = ", ".join(other_keywords[:_KEYWORDS])
    below = f'<br><span class="quiet">{_escape(keywords)}</span>' if keywords else ""
    width = 100 * row.size / widest
    says = f'<td class="says">{_escape(row.example)}</td>' if examples else ""
    return (
        f'<tr{kind}><td class="n">{row.size:,}</td><td class="n quiet">{row.share:.1%}</td>'
        f'<td class="bar"><span class="track"><span class="fill" style="width:{width:.1f}%"></span></span></td>'
        f'<td class="name">{_escape(row.label)}{below}</td>{says}</tr>'
    )


def _format_count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _escape(value: str) -> str:
    return html.escape(value)
