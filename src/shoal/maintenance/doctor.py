"""A whole data folder, looked through: files, checksums, and whether what refers to something finds it.

Nothing is changed, except that `repair` removes leftovers: files that no row, manifest or process speaks of. Data are
never touched. A server may run meanwhile.
"""

import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from shoal.jobs.liveness import dead_locks
from shoal.maintenance.references import broken_references
from shoal.records.execution import ACTIVE
from shoal.settings import Settings
from shoal.storage.protocols.inspection import InspectedRecord, Inspection, Leftover, MetadataReport, NamespaceReport
from shoal.storage.stores import open_inspection

__all__ = ["Finding", "Kind", "Report", "examine", "repair"]

Kind = Literal["damage", "problem", "leftover", "note"]
_MIB: Final = 2**20
_REMEDIES: Final = {
    "records": "Restore the folder from a backup.",
    "documents": "Store those documents again, or restore the folder from a backup.",
    "artifacts": "Execute the cluster again.",
    "references": "Delete or execute the cluster again.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. `damage`: data are lost or wrong. `problem`: something to put right. `leftover`: in nobody's way, and
    removed by a repair. `note`: good to know. `path` is what a repair removes."""

    kind: Kind
    where: str
    told: str
    remedy: str = ""
    path: Path | None = None
    empty: bool = False
    """Whether it is removed only while it holds nothing."""


@dataclass(slots=True)
class Report:
    """What was looked at, as (what, how much) pairs, and what was found."""

    looked_at: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, wrong, or to be put right."""
        return not any(finding.kind in ("damage", "problem") for finding in self.findings)


def examine(settings: Settings, *, quick: bool = False, idle_minutes: float = 60.0) -> Report:
    """Look through `settings.data`. `quick` reads no payload, vector or table, only the structure.

    Leftovers count as such once nobody has written to them for `idle_minutes`.
    """
    report, inspection = Report(), open_inspection(settings)
    seen = _metadata(report, inspection, quick)
    before = time.time() - idle_minutes * 60
    _documents(report, inspection, seen, quick, before)
    _artifacts(report, inspection, seen, quick)
    remedy = _REMEDIES["records" if _damaged_metadata(report, inspection) else "references"]
    where = inspection.metadata_name()
    report.findings += [Finding("damage", where, told, remedy) for told in _references(inspection, seen)]
    report.findings += _leftovers(inspection, before)
    report.findings += _around(report, inspection)
    return report


def repair(report: Report, settings: Settings) -> list[Finding]:
    """Remove the leftovers of a report. Returns those that were removed."""
    inspection = open_inspection(settings)
    return [
        finding
        for finding in report.findings
        if finding.kind == "leftover"
        and finding.path is not None
        and inspection.remove(Leftover(finding.path, finding.told, finding.empty))
    ]


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _metadata(report: Report, inspection: Inspection, quick: bool) -> MetadataReport:
    name = inspection.metadata_name()
    if not inspection.has_metadata():
        lost = inspection.find_data_without_metadata() is not None
        kind: Kind = "damage" if lost else "problem"
        remedy = _REMEDIES["records"] if lost else "Is this a data folder?"
        report.findings.append(Finding(kind, name, "is missing", remedy))
        return MetadataReport()
    checked, seen = inspection.check_metadata(quick=quick), inspection.read_metadata()
    damage = [*checked.damage, *seen.damage]
    report.findings += [Finding("damage", name, told, _REMEDIES["records"]) for told in damage]
    report.looked_at.append(("records", f"{len(seen.records):,}, {_counted(len(seen.jobs), 'open job')}"))
    report.findings += _format_note(name, checked.format, checked.newest)
    return seen


def _documents(report: Report, inspection: Inspection, seen: MetadataReport, quick: bool, before: float) -> None:
    namespaces = inspection.namespaces()
    known = {(record.scope.organization_id, record.id) for record in seen.records if record.kind == "namespace"}
    documents = vectors = unchecked = 0
    for place in namespaces:
        checked = inspection.check_namespace(place, quick=quick)
        name = checked.name
        report.findings += [Finding("damage", name, told, _REMEDIES["documents"]) for told in checked.damage]
        report.findings += _format_note(name, checked.format, checked.newest)
        looked = inspection.read_namespace(place) if not quick else NamespaceReport()
        if (place.parent.name, place.name) not in known and not _damaged_metadata(report, inspection):
            report.findings += _unknown(inspection, place, seen, before)
        if quick:
            continue
        if looked.damage:  # a compaction may have taken a file away since its row was read
            looked = inspection.read_namespace(place)
        report.findings += [Finding("damage", name, told, _REMEDIES["documents"]) for told in looked.damage]
        documents, vectors = documents + looked.documents, vectors + looked.vectors
        unchecked += looked.unchecked
    for place in _lost(inspection, seen):
        told = "its documents.sqlite is missing"
        report.findings.append(Finding("damage", f"namespace {place.name}", told, _REMEDIES["documents"]))
    looked_at = [_counted(len(namespaces), "namespace")]
    looked_at += [] if quick else [_counted(documents, "document"), _counted(vectors, "vector")]
    report.looked_at.append(("documents", ", ".join(looked_at)))
    if unchecked:
        told = f"{unchecked:,} documents were stored before there were checksums and could only be parsed"
        report.findings.append(Finding("note", "documents", told))


def _unknown(inspection: Inspection, place: Path, seen: MetadataReport, before: float) -> Iterator[Finding]:
    """A namespace without a record: one that is being deleted, one whose creation was killed, or a riddle."""
    here, name = (place.parent.name, place.name), f"namespace {place.name}"
    if any((one.scope.organization_id, one.body.get("namespace_id")) == here for one in _removals(seen)):
        yield Finding("note", name, "was deleted; a worker clears it away when it starts, and every minute")
    elif inspection.holds_nothing(place):
        if inspection.last_write(place) <= before:
            left = Leftover(place, "is empty: its creation did not end", empty=True)
            yield from _leftover(inspection.data, left, time.time())
    else:
        remedy = f"If it was deleted, remove {place.relative_to(inspection.data)}."
        yield Finding("problem", name, "no record speaks of it", remedy)


def _removals(seen: MetadataReport) -> Iterator[InspectedRecord]:
    return (record for record in seen.records if record.kind == "removal" and record.body.get("whole_namespace"))


def _lost(inspection: Inspection, seen: MetadataReport) -> list[Path]:
    """The places of namespaces whose documents were there and are no more."""
    lost = [place for place in _written(inspection, seen) if not inspection.has_documents(place)]
    if lost:  # not of one that was removed since its records were read
        lost = [place for place in lost if place in set(_written(inspection, inspection.read_metadata()))]
    return sorted({*lost, *inspection.lost_namespaces()})


def _written(inspection: Inspection, seen: MetadataReport) -> Iterator[Path]:
    """The places of namespaces that hold documents for certain: a run published what it found in them."""
    for record in seen.records:
        if record.kind == "execution" and record.body.get("published"):
            yield inspection.place_of(record.scope)


def _damaged_metadata(report: Report, inspection: Inspection) -> bool:
    """Whether what the records say, and what they do not say, cannot be relied on."""
    name = inspection.metadata_name()
    return any(finding.kind == "damage" and finding.where == name for finding in report.findings)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _artifacts(report: Report, inspection: Inspection, seen: MetadataReport, quick: bool) -> None:
    tables, runs = 0, 0
    for record in seen.records:
        if record.kind != "execution" or quick:
            continue
        count, wrong = inspection.check_artifacts(record.scope, record.id)
        kept = record.body.get("published") and record.body.get("results_removed_at") is None
        if count == 0 and kept and record.body.get("status") not in ACTIVE:
            wrong = ["it is published, and its artifacts are missing"]
        tables, runs = tables + count, runs + (count > 0)
        if wrong and not _still_kept(inspection, record):
            continue
        report.findings += [Finding("damage", f"run {record.id}", told, _REMEDIES["artifacts"]) for told in wrong]
    if not quick:
        report.looked_at.append(("artifacts", f"{_counted(tables, 'table')} of {_counted(runs, 'run')}"))


def _still_kept(inspection: Inspection, run: InspectedRecord) -> bool:
    """Whether a run has its results still: it may have been deleted, written again or expired since it was read."""
    again = inspection.read_metadata().records
    return any(one.id == run.id and one.scope == run.scope and one.body == run.body for one in again)


def _references(inspection: Inspection, seen: MetadataReport) -> Sequence[str]:
    broken = list(broken_references(seen))
    if broken:  # a run that moved on between two reads: what is broken stays so
        time.sleep(1.0)
        again = set(broken_references(inspection.read_metadata()))
        broken = [told for told in broken if told in again]
    return broken


def _leftovers(inspection: Inspection, before: float) -> Iterator[Finding]:
    """What crashes left: in the stores, and locks of dead workers."""
    data = inspection.data
    for left in inspection.leftovers():
        yield from _leftover(data, left, before)
    for path in [*dead_locks(data / "workers"), *dead_locks(data / "servers")]:
        yield from _leftover(data, Leftover(path, "is the lock of a process that is gone"), before)


def _leftover(data: Path, left: Leftover, before: float) -> Iterator[Finding]:
    try:
        touched = left.path.stat().st_mtime
    except FileNotFoundError:
        return
    if touched <= before:
        where = str(left.path.relative_to(data))
        yield Finding("leftover", where, left.problem, "--repair removes it.", left.path, left.empty)


def _around(report: Report, inspection: Inspection) -> Iterator[Finding]:
    """The disk, the key file, copies of earlier formats."""
    if inspection.is_read_only():
        yield Finding("note", "disk", "is mounted read-only: a server cannot start here", "Mount it writable.")
    room = inspection.space()
    report.looked_at.append(
        ("disk", f"{room.free / _MIB:,.0f} MiB free of {room.total / _MIB:,.0f}, {room.reserve / _MIB:,.0f} in reserve")
    )
    if room.low:
        yield Finding("problem", "disk", "less is free than the reserve: new data are refused", "Free some space.")
    for path in inspection.insecure_paths():
        mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
        remedy = f"chmod {'700' if path.is_dir() else '600'} it."
        yield Finding("problem", path.name, f"others than its owner can get at it (mode {mode})", remedy)
    for copy in inspection.earlier_copies():
        told = f"is the file before its last migration ({copy.stat().st_size / _MIB:,.1f} MiB)"
        where = str(copy.relative_to(inspection.data))
        yield Finding("note", where, told, "Delete it once you stay with this version.")


def _format_note(name: str, found: int, known: int) -> Iterator[Finding]:
    if 0 < found < known:
        yield Finding("note", name, f"has format {found}; the next start brings it to format {known}")
