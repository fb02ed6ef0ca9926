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

from shoal.durable import is_abandoned, on_read_only_disk, remove_tree
from shoal.jobs.liveness import dead_locks
from shoal.maintenance.inspection import (
    MetadataSeen,
    NamespaceSeen,
    SeenRecord,
    check_artifacts,
    check_file,
    holds_nothing,
    inspect_metadata,
    inspect_namespace,
    lost_databases,
    may_be_removed,
    remove_stray,
    stray_files,
)
from shoal.maintenance.references import broken_references
from shoal.records.execution import ACTIVE
from shoal.settings import Settings
from shoal.storage.local.artifacts import LocalArtifacts
from shoal.storage.local.data_folder import held_without_metadata
from shoal.storage.local.disk import Disk
from shoal.storage.sqlite.documents.namespaces import (
    DOCUMENTS_FORMAT,
    namespace_databases,
    namespace_folders,
    removed_folders,
)
from shoal.storage.sqlite.metadata_schema import METADATA_FORMAT
from shoal.storage.sqlite.migrations import copies_of

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
    report, data = Report(), settings.data
    seen = _metadata(report, data, quick)
    before = time.time() - idle_minutes * 60
    _documents(report, data, seen, quick, before)
    _artifacts(report, data, seen, quick)
    remedy = _REMEDIES["records" if _damaged_metadata(report) else "references"]
    report.findings += [Finding("damage", "metadata.sqlite", told, remedy) for told in _references(data, seen)]
    report.findings += _leftovers(data, before)
    report.findings += _around(report, settings)
    return report


def repair(report: Report, settings: Settings) -> list[Finding]:
    """Remove the leftovers of a report. Returns those that were removed."""
    removed = []
    for finding in report.findings:
        if finding.kind != "leftover" or finding.path is None:
            continue
        if finding.path.suffix == ".f32":
            if not remove_stray(finding.path):
                continue  # a writer has taken it into use since
        elif finding.path.is_dir():
            if finding.empty and not _is_still_empty(settings.data, finding.path):
                continue
            remove_tree(finding.path)
        else:
            finding.path.unlink(missing_ok=True)
        removed.append(finding)
    return removed


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _metadata(report: Report, data: Path, quick: bool) -> MetadataSeen:
    path = data / "metadata.sqlite"
    if not path.exists():
        lost = held_without_metadata(data) is not None
        kind: Kind = "damage" if lost else "problem"
        remedy = _REMEDIES["records"] if lost else "Is this a data folder?"
        report.findings.append(Finding(kind, path.name, "is missing", remedy))
        return MetadataSeen()
    found, wrong = check_file(path, METADATA_FORMAT, quick=quick)
    report.findings += [Finding("damage", path.name, told, _REMEDIES["records"]) for told in wrong]
    seen = inspect_metadata(path)
    report.findings += [Finding("damage", path.name, told, _REMEDIES["records"]) for told in seen.damage]
    report.looked_at.append(("records", f"{len(seen.records):,}, {_counted(len(seen.jobs), 'open job')}"))
    report.findings += _format_note(path.name, found, METADATA_FORMAT)
    return seen


def _documents(report: Report, data: Path, seen: MetadataSeen, quick: bool, before: float) -> None:
    namespaces = [path.parent for path in namespace_databases(data / "documents")]
    known = {(record.scope.organization_id, record.id) for record in seen.records if record.kind == "namespace"}
    documents = vectors = unchecked = 0
    for folder in namespaces:
        name = f"namespace {folder.name}"
        found, wrong = check_file(folder / "documents.sqlite", DOCUMENTS_FORMAT, quick=quick)
        report.findings += [Finding("damage", name, told, _REMEDIES["documents"]) for told in wrong]
        report.findings += _format_note(name, found, DOCUMENTS_FORMAT)
        looked = inspect_namespace(folder) if not quick else NamespaceSeen()
        if (folder.parent.name, folder.name) not in known and not _damaged_metadata(report):
            report.findings += _unknown(data, folder, seen, before)
        if quick:
            continue
        if looked.damage:  # a compaction may have taken a file away since its row was read
            looked = inspect_namespace(folder)
        report.findings += [Finding("damage", name, told, _REMEDIES["documents"]) for told in looked.damage]
        documents, vectors = documents + looked.documents, vectors + looked.vectors
        unchecked += looked.unchecked
    for folder in _lost(data, seen):
        told = "its documents.sqlite is missing"
        report.findings.append(Finding("damage", f"namespace {folder.name}", told, _REMEDIES["documents"]))
    looked_at = [_counted(len(namespaces), "namespace")]
    looked_at += [] if quick else [_counted(documents, "document"), _counted(vectors, "vector")]
    report.looked_at.append(("documents", ", ".join(looked_at)))
    if unchecked:
        told = f"{unchecked:,} documents were stored before there were checksums and could only be parsed"
        report.findings.append(Finding("note", "documents", told))


def _unknown(data: Path, folder: Path, seen: MetadataSeen, before: float) -> Iterator[Finding]:
    """A namespace without a record: one that is being deleted, one whose creation was killed, or a riddle."""
    place = (folder.parent.name, folder.name)
    name = f"namespace {folder.name}"
    if any((one.scope.organization_id, one.body.get("namespace_id")) == place for one in _removals(seen)):
        yield Finding("note", name, "was deleted; a worker clears it away when it starts, and every minute")
    elif holds_nothing(folder):
        database = folder / "documents.sqlite"  # its folder is touched by everybody who reads it
        if (database if database.exists() else folder).stat().st_mtime <= before:
            yield from _leftover(data, folder, "is empty: its creation did not end", time.time(), empty=True)
    else:
        remedy = f"If it was deleted, remove {folder.relative_to(data)}."
        yield Finding("problem", name, "no record speaks of it", remedy)


def _removals(seen: MetadataSeen) -> Iterator[SeenRecord]:
    return (record for record in seen.records if record.kind == "removal" and record.body.get("whole_namespace"))


def _lost(data: Path, seen: MetadataSeen) -> list[Path]:
    """The folders of namespaces whose documents were there and are no more."""
    lost = [path for path in _written(data, seen) if not (path / "documents.sqlite").exists()]
    if lost:  # not of one that was removed since its records were read
        lost = [path for path in lost if path in set(_written(data, inspect_metadata(data / "metadata.sqlite")))]
    return sorted({*lost, *lost_databases(data / "documents")})


def _written(data: Path, seen: MetadataSeen) -> Iterator[Path]:
    """The folders of namespaces that hold documents for certain: a run published what it found in them."""
    for record in seen.records:
        if record.kind == "execution" and record.body.get("published"):
            yield data / "documents" / record.scope.organization_id / record.scope.namespace_id


def _damaged_metadata(report: Report) -> bool:
    """Whether what the records say, and what they do not say, can be relied on."""
    return any(finding.kind == "damage" and finding.where == "metadata.sqlite" for finding in report.findings)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _artifacts(report: Report, data: Path, seen: MetadataSeen, quick: bool) -> None:
    there = (data / "artifacts").is_dir()
    store, tables, runs = LocalArtifacts(data / "artifacts") if there else None, 0, 0
    for record in seen.records:
        if record.kind != "execution" or quick:
            continue
        count, wrong = check_artifacts(store, record.scope, record.id) if store else (0, [])
        kept = record.body.get("published") and record.body.get("results_removed_at") is None
        if count == 0 and kept and record.body.get("status") not in ACTIVE:
            wrong = ["it is published, and its artifacts are missing"]
        tables, runs = tables + count, runs + (count > 0)
        if wrong and not _still_kept(data, record):
            continue
        report.findings += [Finding("damage", f"run {record.id}", told, _REMEDIES["artifacts"]) for told in wrong]
    if not quick:
        report.looked_at.append(("artifacts", f"{_counted(tables, 'table')} of {_counted(runs, 'run')}"))


def _still_kept(data: Path, run: SeenRecord) -> bool:
    """Whether a run has its results still: it may have been deleted, written again or expired since it was read."""
    again = inspect_metadata(data / "metadata.sqlite").records
    return any(one.id == run.id and one.scope == run.scope and one.body == run.body for one in again)


def _references(data: Path, seen: MetadataSeen) -> Sequence[str]:
    broken = list(broken_references(seen))
    if broken:  # a run that moved on between two reads: what is broken stays so
        time.sleep(1.0)
        again = set(broken_references(inspect_metadata(data / "metadata.sqlite")))
        broken = [told for told in broken if told in again]
    return broken


def _leftovers(data: Path, before: float) -> Iterator[Finding]:
    """What crashes left: files being written, generations that no manifest names, locks of dead workers."""
    for path in sorted(data.rglob(".*.part")):
        yield from _leftover(data, path, "was being written when its process ended", before)
    artifacts = data / "artifacts"
    gone = [*sorted(artifacts.glob("*/.*.gone")), *sorted(artifacts.glob("*/*/.*.gone"))]
    for path in gone + removed_folders(data / "documents"):
        yield from _leftover(data, path, "was being deleted", before)
    for path in sorted((data / "spool").glob("*")):
        if is_abandoned(path):
            yield from _leftover(data, path, "is an upload that did not end", before)
    for path in _empty_folders(data):
        yield from _leftover(data, path, "is an empty folder: what was to be in it did not come", before, empty=True)
    for path in LocalArtifacts.unnamed(data / "artifacts"):
        yield from _leftover(data, path, "is named by no manifest", before)
    for folder in namespace_folders(data / "documents"):
        for path in stray_files(folder):
            yield from _leftover(data, path, "holds vectors that no row speaks of", before)
    for path in [*dead_locks(data / "workers"), *dead_locks(data / "servers")]:
        yield from _leftover(data, path, "is the lock of a process that is gone", before)


def _empty_folders(data: Path) -> Iterator[Path]:
    """Folders of namespaces and runs in which there is nothing."""
    for pattern in ("documents/*/[!.]*", "artifacts/*/[!.]*/[!.]*", "checkpoints/*/*/*"):
        yield from (path for path in sorted(data.glob(pattern)) if path.is_dir() and not any(path.iterdir()))


def _is_still_empty(data: Path, folder: Path) -> bool:
    if folder.parent.parent == data / "documents":
        return may_be_removed(folder)
    return not any(folder.iterdir())


def _leftover(data: Path, path: Path, told: str, before: float, *, empty: bool = False) -> Iterator[Finding]:
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return
    if touched <= before:
        yield Finding("leftover", str(path.relative_to(data)), told, "--repair removes it.", path, empty)


def _around(report: Report, settings: Settings) -> Iterator[Finding]:
    """The disk, the key file, copies of earlier formats."""
    data = settings.data
    if on_read_only_disk(data):
        yield Finding("note", "disk", "is mounted read-only: a server cannot start here", "Mount it writable.")
    room = Disk(data, reserve_mib=settings.disk_reserve_mib, ballast_mib=settings.ballast_mib).room()
    report.looked_at.append(
        ("disk", f"{room.free / _MIB:,.0f} MiB free of {room.total / _MIB:,.0f}, {room.reserve / _MIB:,.0f} in reserve")
    )
    if room.low:
        yield Finding("problem", "disk", "less is free than the reserve: new data are refused", "Free some space.")
    for path in (data, data / "key", data / "links.secret"):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
            remedy = f"chmod {'700' if path.is_dir() else '600'} it."
            yield Finding("problem", path.name, f"others than its owner can get at it (mode {mode})", remedy)
    for path in [data / "metadata.sqlite", *namespace_databases(data / "documents")]:
        for copy in copies_of(path):
            told = f"is the file before its last migration ({copy.stat().st_size / _MIB:,.1f} MiB)"
            yield Finding("note", str(copy.relative_to(data)), told, "Delete it once you stay with this version.")


def _format_note(name: str, found: int, known: int) -> Iterator[Finding]:
    if 0 < found < known:
        yield Finding("note", name, f"has format {found}; the next start brings it to format {known}")
