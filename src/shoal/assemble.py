"""Wires the services to the stores: the only place where services are constructed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shoal.analysis.naming import open_word_namer
from shoal.intake import FileReaders, Limits
from shoal.jobs.limits import run_memory_mib
from shoal.labeling import WordNamer, read_stop_words
from shoal.repositories.audit import Audit
from shoal.repositories.retention_clock import RetentionClock
from shoal.runs.config.planning import Planning
from shoal.runs.encoders import PermittedEncoders
from shoal.runs.encoding import RunEncoding
from shoal.runs.enrichment import Enrichment
from shoal.runs.facets import FacetFeatures
from shoal.runs.generations import Generations
from shoal.runs.intents import EnrichmentIntents
from shoal.runs.models.answers import AnswerStore
from shoal.runs.models.connected import ConnectedModels
from shoal.runs.models.spending import Spendings
from shoal.runs.naming import GroupNaming
from shoal.runs.relabeling import Relabelings
from shoal.runs.run import Runner
from shoal.runs.states import RunStates
from shoal.services.buckets import Buckets
from shoal.services.clusters import Clusters
from shoal.services.collections import Collections
from shoal.services.documents.bulk import Bulk
from shoal.services.documents.documents import Documents
from shoal.services.documents.ingest_encoding import IngestEncoding
from shoal.services.executions import Executions
from shoal.services.housekeeping import Housekeeping
from shoal.services.idempotency import REPLY_LIFETIME, Idempotency
from shoal.services.keys.keys import Keys
from shoal.services.links import Links
from shoal.services.namespaces import Namespaces
from shoal.services.objects import Objects
from shoal.services.removals import Removals
from shoal.services.tasks import Tasks
from shoal.settings import Settings
from shoal.storage.local.disk import Disk
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.stores import Stores, open_stores

__all__ = ["Services", "assemble", "utc_now"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All services and the stores below them. `close` closes the stores."""

    settings: Settings
    stores: Stores
    metadata: MetadataStore
    documents_store: DocumentStore
    artifacts: ArtifactStore
    audit: Audit
    keys: Keys
    links: Links
    namespaces: Namespaces
    buckets: Buckets
    objects: Objects
    collections: Collections
    documents: Documents
    bulk: Bulk
    clusters: Clusters
    executions: Executions
    tasks: Tasks
    enrichment: Enrichment
    idempotency: Idempotency
    states: RunStates
    runner: Runner
    housekeeping: Housekeeping
    disk: Disk

    def close(self) -> None:
        """Close every store."""
        self.stores.close()


def utc_now() -> datetime:
    """Return the current time in UTC; tests pass a clock of their own."""
    return datetime.now(UTC)


def assemble(settings: Settings, now: Callable[[], datetime] = utc_now, stores: Stores | None = None) -> Services:
    """Construct the services on the given stores, by default those of the settings' data folder.

    Raises what `open_stores` does.
    """
    data = settings.data
    stores = stores or open_stores(settings, lambda metadata: RetentionClock(metadata, now)() - REPLY_LIFETIME)
    metadata, documents_store = stores.metadata, stores.documents
    artifacts, checkpoints = stores.artifacts, stores.checkpoints
    retention = RetentionClock(metadata, now)
    answers = AnswerStore(metadata, now, retention)
    removals = Removals(
        metadata, documents_store, artifacts, checkpoints, now, lambda: stores.exclusively("removals"), answers
    )
    namespaces = Namespaces(metadata, documents_store, removals, now, settings.max_dimension)
    audit = Audit(metadata, now, retention, days=settings.audit_days, rows=settings.audit_rows)
    buckets = Buckets(metadata, now)
    states = RunStates(metadata, now, max_queued=settings.max_queued_runs)
    idempotency = Idempotency(metadata, documents_store, now, retention)
    generations = Generations(metadata, documents_store, states, now, timedelta(seconds=settings.output_grace_seconds))
    encoders = PermittedEncoders(settings.encoder_uris())
    collections = Collections(metadata, documents_store, buckets, removals, now, settings.max_dimension, encoders)
    ingest = IngestEncoding(documents_store, encoders, now)
    documents = Documents(metadata, documents_store, collections, now, settings.max_dimension, ingest)
    readers = FileReaders(Limits.of(settings))
    bulk = Bulk(documents_store, collections, documents, now, settings.max_dimension, data / "spool", readers, ingest)
    disk = Disk(
        data,
        reserve_mib=settings.disk_reserve_mib,
        ballast_mib=settings.ballast_mib,
        emptied=stores.checkpoint,
    )
    keys = Keys(metadata, namespaces, audit, now)
    models = ConnectedModels.read(settings)
    spendings = Spendings(metadata, now, settings.llm_month_budget)
    planning = Planning(
        metadata,
        documents_store,
        lambda: max(disk.space().usable, 0),
        memory_limit=lambda: run_memory_mib(settings, several=keys.has_several_organizations()) * 2**20,
        threads=settings.threads,
        run_seconds=settings.run_seconds,
        models=models,
        spendings=spendings,
        encoders=encoders,
    )
    clusters = Clusters(metadata, documents_store, states, removals, planning, now)
    enrichment = Enrichment(metadata, documents_store, artifacts, states, now)
    relabelings = Relabelings(metadata, documents_store, artifacts, states, now)
    links = Links(data / "links.secret", now)
    return Services(
        settings=settings,
        stores=stores,
        housekeeping=Housekeeping(
            keys,
            namespaces,
            documents_store,
            audit,
            retention,
            states,
            removals,
            relabelings,
            generations,
            idempotency,
            answers,
            artifacts,
            checkpoints,
            now,
            keep_runs=settings.keep_runs,
        ),
        enrichment=enrichment,
        idempotency=idempotency,
        clusters=clusters,
        executions=Executions(metadata, EnrichmentIntents(metadata, now), clusters, states, artifacts, relabelings),
        tasks=Tasks(metadata, states),
        states=states,
        runner=Runner(
            metadata,
            documents_store,
            artifacts,
            states,
            enrichment,
            relabelings,
            generations,
            checkpoints,
            now,
            GroupNaming(_word_namer(settings), models, metadata, documents_store, answers, spendings),
            RunEncoding(documents_store, encoders, now),
            FacetFeatures(models, metadata, answers, spendings, encoders),
            threads=settings.threads,
            worth_seconds=settings.checkpoint_seconds,
        ),
        metadata=metadata,
        documents_store=documents_store,
        artifacts=artifacts,
        audit=audit,
        keys=keys,
        links=links,
        namespaces=namespaces,
        buckets=buckets,
        objects=Objects(metadata, buckets, now),
        collections=collections,
        documents=documents,
        bulk=bulk,
        disk=disk,
    )


def _word_namer(settings: Settings) -> WordNamer:
    stop_words = read_stop_words(settings.stop_words or None, "SHOAL_STOP_WORDS")
    return open_word_namer(stop_words)
