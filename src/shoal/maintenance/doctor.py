"""Examination of a data folder: files, checksums and references.

Nothing is changed, except that `repair` removes leftovers: files that no row, manifest or process refers to. Data is
never touched. A server may run meanwhile."""

import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from shoal.jobs.liveness import find_dead_locks
from shoal.maintenance.references import broken_references
from shoal.records.runs.execution import ACTIVE
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
    """A finding. `damage`: data is lost or wrong. `problem`: something to fix. `leftover`: harmless, and removed by a
    repair. `note`: for information. `path` is what a repair removes."""

    kind: Kind
    where: str
    problem: str
    remedy: str = ""
    path: Path | None = None
    empty: bool = False
    """Whether it is removed only if it is empty."""


@dataclass(slots=True)
class Report:
    """What was examined, as (what, amount) pairs, and the findings."""

    looked_at: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether there is neither damage nor a problem."""
        return not any(finding.kind in ("damage", "problem") for finding in self.findings)


def examine(settings: Settings, *, quick: bool = False, idle_minutes: float = 60.0) -> Report:
    """Examine `settings.data`. With `quick` only the structure is read: no payloads, vectors or tables.

    Leftovers are reported when they have not been modified for `idle_minutes`.
    """
    report, inspection = Report(), open_inspection(settings)
    metadata = _check_metadata(report, inspection, quick)
    idle_since = time.time() - idle_minutes * 60
    _check_documents(report, inspection, metadata, quick, idle_since)
    _check_artifacts(report, inspection, metadata, quick)
    remedy = _REMEDIES["records" if _is_metadata_damaged(report, inspection) else "references"]
    where = inspection.metadata_name()
    report.findings += [
        Finding("damage", where, problem, remedy) for problem in _check_references(inspection, metadata)
    ]
    report.findings += _find_leftovers(inspection, idle_since)
    report.findings += _check_environment(report, inspection)
    return report


def repair(report: Report, settings: Settings) -> list[Finding]:
    """Remove the leftovers of a report. Returns the removed ones."""
    inspection = open_inspection(settings)
    return [
        finding
        for finding in report.findings
        if finding.kind == "leftover"
        and finding.path is not None
        and inspection.remove(Leftover(finding.path, finding.problem, finding.empty))
    ]


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_metadata(report: Report, inspection: Inspection, quick: bool) -> MetadataReport:
    name = inspection.metadata_name()
    if not inspection.has_metadata():
        lost = inspection.find_data_without_metadata() is not None
        kind: Kind = "damage" if lost else "problem"
        remedy = _REMEDIES["records"] if lost else "Is this a data folder?"
        report.findings.append(Finding(kind, name, "is missing", remedy))
        return MetadataReport()
    checked, metadata = inspection.check_metadata(quick=quick), inspection.read_metadata()
    damage = [*checked.damage, *metadata.damage]
    report.findings += [Finding("damage", name, problem, _REMEDIES["records"]) for problem in damage]
    report.looked_at.append(("records", f"{len(metadata.records):,}, {_format_count(len(metadata.jobs), 'open job')}"))
    report.findings += _format_note(name, checked.format, checked.newest)
    return metadata


def _check_documents(
    report: Report, inspection: Inspection, metadata: MetadataReport, quick: bool, idle_since: float
) -> None:
    namespaces = inspection.namespaces()
    recorded = {(record.scope.organization_id, record.id) for record in metadata.records if record.kind == "namespace"}
    documents = vectors = unchecked = 0
    for folder in namespaces:
        checked = inspection.check_namespace(folder, quick=quick)
        name = checked.name
        report.findings += [Finding("damage", name, problem, _REMEDIES["documents"]) for problem in checked.damage]
        report.findings += _format_note(name, checked.format, checked.newest)
        contents = inspection.read_namespace(folder) if not quick else NamespaceReport()
        if (folder.parent.name, folder.name) not in recorded and not _is_metadata_damaged(report, inspection):
            report.findings += _check_unrecorded(inspection, folder, metadata, idle_since)
        if quick:
            continue
        if contents.damage:  # a compaction may have removed a file since its row was read
            contents = inspection.read_namespace(folder)
        report.findings += [Finding("damage", name, problem, _REMEDIES["documents"]) for problem in contents.damage]
        documents, vectors = documents + contents.documents, vectors + contents.vectors
        unchecked += contents.unchecked
    for folder in _find_lost(inspection, metadata):
        problem = "its documents.sqlite is missing"
        report.findings.append(Finding("damage", f"namespace {folder.name}", problem, _REMEDIES["documents"]))
    looked_at = [_format_count(len(namespaces), "namespace")]
    looked_at += [] if quick else [_format_count(documents, "document"), _format_count(vectors, "vector")]
    report.looked_at.append(("documents", ", ".join(looked_at)))
    if unchecked:
        problem = f"{unchecked:,} documents were stored before there were checksums and could only be parsed"
        report.findings.append(Finding("note", "documents", problem))


def _check_unrecorded(
    inspection: Inspection, folder: Path, metadata: MetadataReport, idle_since: float
) -> Iterator[Finding]:
    """Check a namespace without a record: it is being deleted, its creation was interrupted, or it is unexplained."""
    key, name = (folder.parent.name, folder.name), f"namespace {folder.name}"
    if any(
        (record.scope.organization_id, record.body.get("namespace_id")) == key
        for record in _namespace_removals(metadata)
    ):
        yield Finding("note", name, "was deleted; a worker removes its data on start and every minute")
    elif inspection.holds_nothing(folder):
        if inspection.last_write(folder) <= idle_since:
            leftover = Leftover(folder, "is empty: its creation was interrupted", empty=True)
            yield from _check_leftover(inspection.data, leftover, time.time())
    else:
        remedy = f"If it was deleted, remove {folder.relative_to(inspection.data)}."
        yield Finding("problem", name, "no record refers to it", remedy)


def _namespace_removals(metadata: MetadataReport) -> Iterator[InspectedRecord]:
    return (record for record in metadata.records if record.kind == "removal" and record.body.get("whole_namespace"))


def _find_lost(inspection: Inspection, metadata: MetadataReport) -> list[Path]:
    """Return the folders of namespaces whose documents have been lost."""
    lost = [folder for folder in _namespaces_with_results(inspection, metadata) if not inspection.has_documents(folder)]
    if lost:  # except of one that was deleted since its records were read
        lost = [
            folder for folder in lost if folder in set(_namespaces_with_results(inspection, inspection.read_metadata()))
        ]
    return sorted({*lost, *inspection.lost_namespaces()})


def _namespaces_with_results(inspection: Inspection, metadata: MetadataReport) -> Iterator[Path]:
    """Yield the folders of namespaces that must hold documents, because a run has published results."""
    for record in metadata.records:
        if record.kind == "execution" and record.body.get("published"):
            yield inspection.place_of(record.scope)


def _is_metadata_damaged(report: Report, inspection: Inspection) -> bool:
    """Whether the records, and the absence of records, are unreliable."""
    name = inspection.metadata_name()
    return any(finding.kind == "damage" and finding.where == name for finding in report.findings)


def _format_count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _check_artifacts(report: Report, inspection: Inspection, metadata: MetadataReport, quick: bool) -> None:
    tables, runs = 0, 0
    for record in metadata.records:
        if record.kind != "execution" or quick:
            continue
        count, problems = inspection.check_artifacts(record.scope, record.id)
        has_results = record.body.get("published") and record.body.get("results_removed_at") is None
        if count == 0 and has_results and record.body.get("status") not in ACTIVE:
            problems = ["it is published, and its artifacts are missing"]
        tables, runs = tables + count, runs + (count > 0)
        if problems and not _is_unchanged(inspection, record):
            continue
        report.findings += [
            Finding("damage", f"run {record.id}", problem, _REMEDIES["artifacts"]) for problem in problems
        ]
    if not quick:
        report.looked_at.append(("artifacts", f"{_format_count(tables, 'table')} of {_format_count(runs, 'run')}"))


def _is_unchanged(inspection: Inspection, run: InspectedRecord) -> bool:
    """Whether a run is the same as when it was read: it may have been deleted, changed or expired since."""
    records_now = inspection.read_metadata().records
    return any(record.id == run.id and record.scope == run.scope and record.body == run.body for record in records_now)


def _check_references(inspection: Inspection, metadata: MetadataReport) -> Sequence[str]:
    broken = list(broken_references(metadata))
    if broken:  # a run may have changed between two reads; a broken reference persists
        time.sleep(1.0)
        still_broken = set(broken_references(inspection.read_metadata()))
        broken = [problem for problem in broken if problem in still_broken]
    return broken


def _find_leftovers(inspection: Inspection, idle_since: float) -> Iterator[Finding]:
    """Find leftovers of crashes: in the stores, and locks of dead processes."""
    data = inspection.data
    for leftover in inspection.leftovers():
        yield from _check_leftover(data, leftover, idle_since)
    for path in [*find_dead_locks(data / "workers"), *find_dead_locks(data / "servers")]:
        yield from _check_leftover(data, Leftover(path, "is the lock of a process that has ended"), idle_since)


def _check_leftover(data: Path, leftover: Leftover, idle_since: float) -> Iterator[Finding]:
    try:
        touched = leftover.path.stat().st_mtime
    except FileNotFoundError:
        return
    if touched <= idle_since:
        where = str(leftover.path.relative_to(data))
        yield Finding("leftover", where, leftover.problem, "--repair removes it.", leftover.path, leftover.empty)


def _check_environment(report: Report, inspection: Inspection) -> Iterator[Finding]:
    """Check the disk, file modes, and copies of earlier formats."""
    if inspection.is_read_only():
        yield Finding("note", "disk", "is mounted read-only: a server cannot start here", "Mount it writable.")
    space = inspection.space()
    report.looked_at.append(
        (
            "disk",
            f"{space.free / _MIB:,.0f} MiB free of {space.total / _MIB:,.0f}, {space.reserve / _MIB:,.0f} in reserve",
        )
    )
    if space.low:
        yield Finding("problem", "disk", "less is free than the reserve: new data is rejected", "Free some space.")
    for path in inspection.insecure_paths():
        mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
        remedy = f"chmod {'700' if path.is_dir() else '600'} it."
        yield Finding("problem", path.name, f"users other than its owner can access it (mode {mode})", remedy)
    for copy in inspection.earlier_copies():
        problem = f"is a copy from before the last migration ({copy.stat().st_size / _MIB:,.1f} MiB)"
        where = str(copy.relative_to(inspection.data))
        yield Finding("note", where, problem, "Delete it once you are sure to stay with this version.")


def _format_note(name: str, format: int, current: int) -> Iterator[Finding]:
    if 0 < format < current:
        yield Finding("note", name, f"has format {format}; the next start migrates it to format {current}")
