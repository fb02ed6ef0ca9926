"""Invariants that hold after every recovery, whatever happened before: I1 to I13.

    I1   what was acknowledged is stored, with its content
    I2   what is stored was acknowledged, or its answer was lost
    I3   a batch is stored whole or not at all
    I4   count = list = filter over all = rows of the artifacts
    I5   the visible run is whole: members, centroids, outputs, artifacts of one run
    I6   no reader ever sees a mixture of two runs (readers.py watches while others write)
    I7   every run ends, at most one run of a cluster is active, every acknowledged run exists
    I8   enrichment writes back the results of the run and changes no other field
    I9   (triggers fire once: there are no triggers yet)
    I10  no process, temporary file or orphan is left
    I11  databases pass their integrity check, artifacts their checksums
    I12  no answer contains data of another tenant
    I13  the target of a deletion is whole or gone for every reader, and gone exactly where the audit log says so

Each check raises Violated. `check_all` runs the checks that hold at any moment, `check_settled` those that need idle
clusters.
"""

import contextlib
import hashlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import orjson
import psutil

from faults.ledger import Entry, Ledger
from faults.workload import CANARY, CLUSTERS, SCRATCH, Tenants, batch_of, documents_of, scratch_name

__all__ = [
    "Violated",
    "check_all",
    "check_canary",
    "check_files",
    "check_orphans",
    "check_processes",
    "check_removals",
    "check_settled",
    "processes_on",
    "settle",
]

Json = dict[str, Any]
COLLECTIONS: Final = ("docs", "inbox")
_OVER: Final = frozenset({"completed", "failed", "canceled"})
_PAGE: Final = 1_000
SETTLE_SECONDS: Final = 90.0


class Violated(AssertionError):
    """An invariant does not hold. `name` is I1 to I13."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name, self.problem = name, problem


def check_all(client: httpx.Client, ledger: Ledger, *, since: int = 0) -> None:
    """Check what holds at any moment. Content is compared only for batches sent after operation `since`."""
    check_batches(client, ledger)
    check_content(client, ledger, since)
    check_edits_and_deletes(client, ledger)
    check_counts(client)
    check_idempotency(ledger)
    check_runs_exist(client, ledger)
    check_removals(client, ledger)


def check_settled(client: httpx.Client, *, deadline_s: float = SETTLE_SECONDS) -> dict[str, int]:
    """Wait until no run is active and check the visible results. Returns runs by status."""
    ended = settle(client, deadline_s)
    for name in CLUSTERS:
        cluster = _get(client, f"/clusters/{name}")
        if cluster["current_run_id"]:
            check_visible(client, cluster)
    return ended


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_batches(client: httpx.Client, ledger: Ledger) -> None:
    """I1, I2, I3: acknowledged batches are complete, others complete or absent, and none was never sent."""
    sent = {(e.detail["collection"], e.detail["batch"]): e for e in ledger.of_kind("ingest")}
    deleted = {e.detail["document"]: e.fate for e in ledger.of_kind("delete")}
    for collection in COLLECTIONS:
        stored = _count_by_batch(client, collection)
        for batch, count in stored.items():
            entry = sent.get((collection, batch))
            if entry is None or not entry.may_be_stored:
                raise Violated("I2", f"batch {batch} of {collection} is stored and was never sent, or refused")
            whole = len(documents_of(collection, batch))
            least, most = _count_range(whole, deleted, collection, batch)
            if not least <= count <= most:
                raise Violated("I3", f"batch {batch} of {collection} is torn: {count} of {least} to {most}")
        for (where, batch), entry in sent.items():
            if where == collection and entry.fate == "ack" and batch not in stored:
                raise Violated("I1", f"batch {batch} of {collection} was acknowledged and is lost")


def check_content(client: httpx.Client, ledger: Ledger, since: int) -> None:
    """I1: documents of new batches have the fields and vectors that were sent."""
    for entry in ledger.of_kind("ingest"):
        if entry.op <= since or entry.fate != "ack":
            continue
        collection, batch = entry.detail["collection"], entry.detail["batch"]
        gone = {e.detail["document"] for e in ledger.of_kind("delete") if e.may_be_stored}
        stored = {d["document_id"]: d for d in _documents(client, collection, {"batch": batch}, vectors=True)}
        for document in documents_of(collection, batch):
            id = document["document_id"]
            if id not in stored and id in gone:
                continue
            if id not in stored:
                raise Violated("I1", f"document {id} was acknowledged and is lost")
            if not _equals(stored[id], document):
                raise Violated("I1", f"document {id} differs from what was sent: {_summarize(stored[id])}")


def check_repetitions(client: httpx.Client, ledger: Ledger, repeat: Callable[[Entry], Entry]) -> None:
    """I1: a batch whose answer was lost is sent again under its key. It is acknowledged, and documents already
    stored keep their timestamps: they were not written twice."""
    for entry in [e for e in ledger.of_kind("ingest") if e.fate in ("unknown", "open")]:
        collection, batch = entry.detail["collection"], entry.detail["batch"]
        before = _read_times(client, collection, batch)
        again = repeat(entry)
        if again.fate != "ack":
            raise Violated("I1", f"batch {batch} of {collection} cannot be sent again: {again.reply}")
        if before and _read_times(client, collection, batch) != before:
            raise Violated("I1", f"batch {batch} of {collection} was written twice under one key")


def _read_times(client: httpx.Client, collection: str, batch: int) -> dict[str, Any]:
    documents = _documents(client, collection, {"batch": batch})
    return {d["document_id"]: (d["_internal"]["created_at"], d["_internal"]["updated_at"]) for d in documents}


def check_edits_and_deletes(client: httpx.Client, ledger: Ledger) -> None:
    """I1, I2, I8: a document holds its last acknowledged edit or a later unanswered one; deletions persist."""
    deletes = {e.detail["document"]: e for e in ledger.of_kind("delete")}
    alive = {d["document_id"]: d for d in _documents(client, "docs", None)}
    for id, entry in deletes.items():
        if entry.fate == "ack" and id in alive:
            raise Violated("I1", f"the deletion of {id} was acknowledged and is undone")
    for id, allowed in _find_possible_notes(ledger).items():
        if id in alive and alive[id].get("note") not in allowed:
            raise Violated(
                "I1", f"document {id} has note {alive[id].get('note')}, not one of {sorted(map(str, allowed))}"
            )
    for id, document in alive.items():
        if id not in deletes and not _fields_as_sent(document):
            raise Violated("I8", f"fields of {id} changed without an edit: {_summarize(document)}")


def check_counts(client: httpx.Client) -> None:
    """I4: all counts agree."""
    for collection in COLLECTIONS:
        where = f"/collections/{collection}/documents"
        counted = _get(client, f"{where}/count")["count"]
        everything = {"include_total": True, "limit": 1}
        listed = _post(client, f"{where}/list", everything)["pagination"]["total"]
        query = everything | {"filters": {"field": "batch", "operator": "gte", "value": 0}}
        filtered = _post(client, f"{where}/list", query)["pagination"]["total"]
        if not counted == listed == filtered:
            raise Violated("I4", f"{collection}: count {counted}, list {listed}, filter {filtered}")


def _find_possible_notes(ledger: Ledger) -> dict[str, set[int | None]]:
    """Map each document to the edits that may be the last one stored."""
    notes: dict[str, set[int | None]] = {}
    for entry in ledger.of_kind("edit"):
        before = notes.get(entry.detail["document"], {None})
        if entry.fate == "ack":
            notes[entry.detail["document"]] = {entry.op}
        elif entry.may_be_stored:
            notes[entry.detail["document"]] = before | {entry.op}
    return notes


def _count_range(whole: int, deleted: dict[str, Any], collection: str, batch: int) -> tuple[int, int]:
    """Return the least and the largest possible number of documents of a batch."""
    gone = [fate for id, fate in deleted.items() if batch_of(id)[:2] == (collection, batch)]
    sure = sum(fate == "ack" for fate in gone)
    return whole - sum(fate != "refused" for fate in gone), whole - sure


def _equals(stored: Json, sent: Json) -> bool:
    vectors = stored.get("vectors") or {}
    same = vectors.keys() == sent["vectors"].keys()
    same = same and all(
        np.array_equal(np.float32(vectors[name]), np.float32(sent["vectors"][name])) for name in vectors
    )
    return _fields_as_sent(stored) and same


def _fields_as_sent(stored: Json) -> bool:
    _, batch, row = batch_of(stored["document_id"])
    sent = {"batch": batch, "row": row, "text": f"word{row % 7} of batch"}
    own = {"document_id", "collection_id", "vectors", "_internal", "note", "group"}
    return {name: value for name, value in stored.items() if name not in own} == sent


def _count_by_batch(client: httpx.Client, collection: str) -> dict[int, int]:
    body = _post(client, f"/collections/{collection}/documents/distinct", {"field": "batch", "limit": 10_000})
    return {int(item["value"]): int(item["count"]) for item in body["values"]}


def _documents(client: httpx.Client, collection: str, equal: Json | None, *, vectors: bool = False) -> Iterator[Json]:
    """Iterate over the documents of a collection, or those where a field equals a value, page by page."""
    body: Json = {"limit": _PAGE, "return_vectors": vectors}
    if equal is not None:
        ((field, value),) = equal.items()
        body["filters"] = {"field": field, "operator": "eq", "value": value}
    while True:
        page = _post(client, f"/collections/{collection}/documents/list", body)
        yield from page["results"]
        cursor = page["pagination"]["next_cursor"]
        if cursor is None:
            return
        body["cursor"] = cursor


# ── removals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_removals(client: httpx.Client, ledger: Ledger) -> None:
    """I13: each target of a deletion is whole or gone, and gone exactly where the audit log says so."""
    fates = {(e.kind, e.detail["number"], e.detail["what"]): e.fate for e in ledger.of_kind("make", "fill", "drop")}
    rows = _get(client, "/organizations/audit", params={"limit": _PAGE})["results"]
    deleted = {row["action"] + " " + str(row["details"].get("name")) + " " + str(row["namespace_id"]) for row in rows
               if row["action"].endswith(".delete")}  # fmt: skip
    for number in sorted({number for _, number, _ in fates}):
        name = scratch_name(number)
        namespace = _get_if_exists(client, f"/namespaces/{name}")
        _check_fate(fates, deleted, number, "namespace", namespace, f"namespace.delete {name} None")
        if namespace is None:
            continue
        where = {"X-Namespace": name}
        for what, path in (("things", "collections"), ("spare", "collections"), ("groups", "clusters"),
                           ("extra", "clusters")):  # fmt: skip
            part = _get_if_exists(client, f"/{path}/{what}", where)
            row = f"{path[:-1]}.delete {what} {namespace['namespace_id']}"
            _check_fate(fates, deleted, number, what, part, row)
            if part is not None:
                _check_whole(client, fates, number, what, part, where)
        if _get_if_exists(client, "/clusters/extra", where) is None and _get_if_exists(
            client, "/collections/extra_output", where
        ):
            raise Violated("I13", f"the cluster extra of {name} is gone, and its output is not")


def _get_if_exists(client: httpx.Client, path: str, headers: Json | None = None) -> Json | None:
    reply = client.get(path, headers=headers)
    return None if reply.status_code == 404 else _answer(reply)


def _check_fate(
    fates: dict[tuple[str, int, str], Any], deleted: set[str], number: int, what: str, record: Json | None, row: str
) -> None:
    created, dropped = fates.get(("make", number, what)), fates.get(("drop", number, what), "refused")
    if record is None and created == "ack" and dropped == "refused":
        raise Violated("I13", f"{what} of {scratch_name(number)} is gone without a deletion")
    if record is not None and dropped == "ack":
        raise Violated("I13", f"the deletion of {what} of {scratch_name(number)} was acknowledged and is undone")
    if created == "ack" and (record is None) != (row in deleted):
        state = "is gone" if record is None else "is there"
        raise Violated("I13", f"{what} of {scratch_name(number)} {state}, and the audit log says otherwise")


def _check_whole(
    client: httpx.Client, fates: dict[tuple[str, int, str], Any], number: int, what: str, record: Json, where: Json
) -> None:
    """Check that what still exists is complete."""
    if "collection_id" in record:
        count = _get(client, f"/collections/{what}/documents/count", headers=where)["count"]
        expected = {SCRATCH} if fates.get(("fill", number, what)) == "ack" else {0, SCRATCH}
        if count not in expected:
            raise Violated("I13", f"{what} of {scratch_name(number)} has {count} of {SCRATCH} documents")
    elif record["current_run_id"]:
        data = client.get(f"/clusters/{what}/artifacts?include_members=true&limit=1000", headers=where)
        output = _get(client, f"/collections/{record['output_collection_ids'][0]}/documents/count", headers=where)
        if data.status_code != 200 or output["count"] != SCRATCH + record["num_clusters"]:
            raise Violated("I13", f"{what} of {scratch_name(number)} is torn: {data.status_code}, {output}")


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_runs_exist(client: httpx.Client, ledger: Ledger) -> None:
    """I7: every acknowledged execution has its run, and at most one is active."""
    for name in CLUSTERS:
        runs = _runs(client, name)
        ids = {run["run_id"] for run in runs}
        for entry in ledger.of_kind("execute"):
            if entry.fate == "ack" and entry.detail["cluster"] == name and entry.reply["run_id"] not in ids:
                raise Violated("I7", f"run {entry.reply['run_id']} of {name} was acknowledged and is lost")
        requests = [e for e in ledger.of_kind("execute") if e.may_be_stored and e.detail["cluster"] == name]
        if len(runs) > len(requests):
            raise Violated("I2", f"{name} has {len(runs)} runs, and {len(requests)} were requested")
        active = [run["run_id"] for run in runs if run["status"] not in _OVER]
        if len(active) > 1:
            raise Violated("I7", f"{len(active)} runs of {name} are active at once: {active}")


def check_idempotency(ledger: Ledger) -> None:
    """I7: a request repeated under its key returned the saved reply and was not executed again."""
    for entry in ledger.of_kind("again"):
        first = ledger.entries[entry.detail["of"]]
        if entry.fate == "ack" and entry.reply["run_id"] != first.reply["run_id"]:
            raise Violated("I7", f"one key gave two runs: {first.reply['run_id']} and {entry.reply['run_id']}")


def settle(client: httpx.Client, deadline_s: float = SETTLE_SECONDS) -> dict[str, int]:
    """I7: wait until no run is active. Returns the number of runs by status."""
    end = time.monotonic() + deadline_s
    while True:
        by_status: Counter[str] = Counter()
        for name in CLUSTERS:
            body = _post(client, f"/clusters/{name}/executions/list", {"limit": 1})
            by_status.update(body["stats"]["executions_by_status"])
        if not by_status["pending"] and not by_status["processing"]:
            return dict(by_status)
        if time.monotonic() > end:
            raise Violated("I7", f"a run hangs for {deadline_s:.0f} s: {dict(by_status)}")
        time.sleep(0.1)


def check_visible(client: httpx.Client, cluster: Json) -> None:
    """I4, I5, I8: the visible results belong to one complete run."""
    name, run_id = cluster["cluster_name"], cluster["current_run_id"]
    run = _get(client, f"/clusters/{name}/executions/{run_id}")
    if run["status"] not in ("completed", "failed"):
        raise Violated("I5", f"the visible run {run_id} of {name} is {run['status']}")
    data = _request(client, "GET", f"/clusters/{name}/artifacts?include_members=true&limit=100000", None)
    if data.status_code != 200:
        raise Violated("I5", f"the artifacts of the visible run {run_id} of {name} answer {data.status_code}")
    body = data.json()
    if body["run_id"] != run_id or body["total_members"] != run["num_points"]:
        raise Violated("I5", f"{name}: artifacts of {body['run_id']} with {body['total_members']} members, "
                             f"run {run_id} with {run['num_points']}")  # fmt: skip
    if len(body["centroids"]) != run["num_clusters"] or cluster["num_clusters"] != run["num_clusters"]:
        raise Violated("I5", f"{name}: {len(body['centroids'])} centroids of {run['num_clusters']}")
    members = sum(centroid["num_members"] for centroid in body["centroids"]) + (cluster["noise_points"] or 0)
    if members != run["num_points"]:
        raise Violated("I5", f"{name}: the clusters' sizes and noise add up to {members} of {run['num_points']}")
    if cluster["enrich_source"]:
        if run["status"] == "completed":
            _check_enriched(client, body["members"])
    else:
        _check_output(client, cluster, run)


def _check_output(client: httpx.Client, cluster: Json, run: Json) -> None:
    output = cluster["output_collection_ids"][0]
    count = _get(client, f"/collections/{output}/documents/count")["count"]
    if count != run["num_points"] + run["num_clusters"]:
        raise Violated("I4", f"the output of {run['run_id']} has {count} documents")
    body = _post(client, f"/collections/{output}/documents/distinct", {"field": "run_id"})
    runs = [item["value"] for item in body["values"]]
    if runs != [run["run_id"]]:
        raise Violated("I5", f"the output collection shows {runs} instead of {run['run_id']}")


def _check_enriched(client: httpx.Client, members: Iterable[Json]) -> None:
    alive = {d["document_id"]: d for d in _documents(client, "docs", None)}
    for member in members:
        document = alive.get(member["document_id"])
        if document is not None and document.get("group") != member["cluster_id"]:
            raise Violated("I8", f"{member['document_id']} was written back as {document.get('group')}, "
                                 f"the run assigned {member['cluster_id']}")  # fmt: skip


def _runs(client: httpx.Client, cluster: str) -> list[Json]:
    runs: list[Json] = _post(client, f"/clusters/{cluster}/executions/list", {"limit": _PAGE})["results"]
    return runs


# ── tenants ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_canary(client: httpx.Client, tenants: Tenants) -> None:
    """I12: the first tenant cannot find data of the second by list, name or id."""
    foreign = {"Authorization": f"Bearer {tenants.foreign_key}", "X-Namespace": "default"}
    reply = client.get("/collections/canarybirds", headers=foreign)
    if reply.status_code != 200:
        raise Violated("I12", f"the other organisation does not find its own: {reply.status_code} {reply.text[:200]}")
    theirs = reply.json()["collection_id"]
    for method, path, body in (
        ("GET", "/collections", None),
        ("POST", "/collections/list", {}),
        ("GET", "/clusters", None),
        ("GET", "/namespaces", None),
        ("POST", "/collections/docs/documents/list", {"search": CANARY}),
    ):
        reply = client.request(method, path, json=body)
        if CANARY in reply.text or theirs in reply.text:
            raise Violated("I12", f"{method} {path} shows what belongs to another organisation")
    for ref in (theirs, "canarybirds"):
        for path in (
            f"/collections/{ref}",
            f"/collections/{ref}/documents",
            f"/collections/{ref}/documents/{CANARY}-1",
        ):
            if (status := client.get(path).status_code) != 404:
                raise Violated("I12", f"GET {path} of another organisation answers {status}")


# ── files and processes ──────────────────────────────────────────────────────────────────────────────────────────────


def check_files(data: Path, *, idle: bool) -> None:
    """I11: databases and artifacts are intact. I10, if idle: no temporary files and no orphans."""
    for database in sorted(data.rglob("*.sqlite")):
        check_database(database)
    for manifest in sorted((data / "artifacts").rglob("manifest.json")):
        check_artifacts(manifest)
    for path in sorted((data / "documents").rglob("documents.sqlite")):
        check_intents(data / "metadata.sqlite", path)
    if idle:
        left = [str(path.relative_to(data)) for path in _find_temporary(data)]
        if left:
            raise Violated("I10", f"{len(left)} temporary files are left, among them {left[:3]}")
        check_orphans(data)


def check_database(path: Path) -> None:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        result = connection.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        connection.close()
    if result != "ok":
        raise Violated("I11", f"{path.name}: {result}")


def check_intents(metadata: Path, path: Path) -> None:
    """I8: if documents hold a group, the metadata records the intent to write it. The intent is recorded first, so the
    documents are read first."""
    with _open_database(path) as documents:
        documents.execute("BEGIN")
        if _is_bare(documents):
            return
        written = documents.execute(
            "SELECT count(*) FROM documents WHERE json_extract(payload, '$.group') IS NOT NULL"
        ).fetchone()[0]
    with _open_database(metadata) as records:
        intents = records.execute(
            "SELECT count(*) FROM records WHERE kind = 'enrichment' AND namespace_id = ?", (path.parent.name,)
        ).fetchone()[0]
    if written and not intents:
        raise Violated("I8", f"results of rich were written back into {written} documents without a recorded intent")


def check_artifacts(manifest: Path) -> None:
    content = orjson.loads(manifest.read_bytes())
    for name, entry in content["files"].items():
        path = manifest.parent / content["generation"] / f"{name}.parquet"
        if not path.exists():
            raise Violated("I11", f"{content['run_id']}: {name} is missing")
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise Violated("I11", f"{content['run_id']}: {name} is not what was written")


def check_orphans(data: Path) -> None:
    """I10: every folder of artifacts belongs to a run, every generation of an output collection is visible or being
    paged through, and no checkpoint of a finished run is left."""
    with _open_database(data / "metadata.sqlite") as metadata:
        runs = {row[0] for row in metadata.execute("SELECT id FROM records WHERE kind = 'execution'")}
        namespaces = {row[0] for row in metadata.execute("SELECT id FROM records WHERE kind = 'namespace'")}
        bodies = [
            orjson.loads(row[0]) for row in metadata.execute("SELECT body FROM records WHERE kind = 'collection'")
        ]
    unknown = sorted(p.parent.name for p in (data / "artifacts").rglob("manifest.json") if p.parent.name not in runs)
    if unknown:
        raise Violated("I10", f"artifacts of unknown runs: {unknown[:3]}")
    leftover = sorted(path.name for path in (data / "checkpoints").glob("*/*/*"))
    if leftover:
        raise Violated("I10", f"checkpoints of finished runs: {leftover[:3]}")
    for part in ("documents", "artifacts", "checkpoints"):
        strange = sorted(
            str(path.relative_to(data)) for path in (data / part).glob("*/*") if path.name not in namespaces
        )
        if strange:
            raise Violated("I10", f"folders of unknown namespaces: {strange[:3]}")
    generations = {body["collection_id"]: {body["generation"], *body.get("superseded", {})} for body in bodies}
    for path in sorted((data / "documents").rglob("documents.sqlite")):
        with _open_database(path) as documents:
            if _is_bare(documents):
                continue
            for (key,) in documents.execute("SELECT key FROM collections"):
                collection, at, generation = key.partition("@")
                if collection not in generations or (at and generation not in generations[collection]):
                    raise Violated("I10", f"the documents of {key} belong to no visible collection")


class _open_database:  # noqa: N801  # a context manager, named like a function
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _is_bare(database: sqlite3.Connection) -> bool:
    """Return whether the creating process was killed before its first commit: the next one creates the tables."""
    return not database.execute("PRAGMA user_version").fetchone()[0]


def _find_temporary(data: Path) -> Iterator[Path]:
    for path in data.rglob("*"):
        if path.name.endswith((".part", ".gone")) or (path.parent.name == "spool" and path.is_file()):
            yield path


def check_processes(data: Path) -> None:
    """I10: no process is left on this data folder."""
    left = [f"{process.pid} {' '.join(line[1:4])}" for process, line in processes_on(data)]
    if left:
        raise Violated("I10", f"{len(left)} processes are left: {left}")


def processes_on(data: Path) -> Iterator[tuple[psutil.Process, list[str]]]:
    """Iterate over the processes on a data folder, found by command line or environment, with command lines."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            is_shoal = any(part.startswith("shoal.cli.") for part in line)
            there = is_shoal and (str(data) in line or process.environ().get("SHOAL_DATA") == str(data))
            if there and process.status() != psutil.STATUS_ZOMBIE:
                yield process, line


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _request(client: httpx.Client, method: str, path: str, body: Json | None, **more: Any) -> httpx.Response:
    return client.request(method, path, json=body, **more)


def _get(client: httpx.Client, path: str, **more: Any) -> Json:
    return _answer(_request(client, "GET", path, None, **more))


def _post(client: httpx.Client, path: str, body: Json) -> Json:
    return _answer(_request(client, "POST", path, body))


def _answer(reply: httpx.Response) -> Json:
    if not reply.is_success:
        message = f"{reply.request.method} {reply.request.url.path} answers {reply.status_code}: {reply.text[:300]}"
        raise Violated("I4" if reply.status_code < 500 else "I11", message)
    body: Json = reply.json()
    return body


def _summarize(document: Json) -> str:
    return str({name: value for name, value in document.items() if name not in ("vectors", "_internal")})[:300]
