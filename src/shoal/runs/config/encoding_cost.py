"""What encoding the texts of a run's collections would cost, before it runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.encoders import estimate_encoding
from shoal.errors import ShoalError
from shoal.records.collection import Collection
from shoal.records.queries.filters import MATCH_ALL, Condition
from shoal.records.scope import Scope
from shoal.records.text_encoding import TextEncoding, encoding_fields
from shoal.runs.encoders import PermittedEncoders
from shoal.runs.text import volume_of_run
from shoal.storage.protocols.documents import DocumentReader

__all__ = ["EncodingCost", "estimate_run_encoding"]


@dataclass(frozen=True, slots=True)
class EncodingCost:
    """At most so many `documents` are encoded, in `cpu_seconds` on one core, with `bytes` of memory."""

    documents: int = 0
    cpu_seconds: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "EncodingCost") -> "EncodingCost":
        return EncodingCost(
            self.documents + other.documents, self.cpu_seconds + other.cpu_seconds, max(self.bytes, other.bytes)
        )


def estimate_run_encoding(
    store: DocumentReader,
    encoders: PermittedEncoders,
    scope: Scope,
    sources: Sequence[Collection],
    features: Sequence[str],
    *,
    fit: bool,
) -> EncodingCost:
    """Estimate what `RunEncoding.update` would do. A document with its own vector counts: only reading it
    would show the difference."""
    cost = EncodingCost()
    for source in sources:
        encoding = source.text_encoding
        if encoding is None or encoding.vector_name not in features:
            continue
        try:
            cost += _estimate(store, encoders, scope, source, encoding, fit=fit)
        except ShoalError:  # it is not permitted any more, or cannot be opened: the run says so
            continue
    return cost


def _estimate(
    store: DocumentReader,
    encoders: PermittedEncoders,
    scope: Scope,
    source: Collection,
    encoding: TextEncoding,
    *,
    fit: bool,
) -> EncodingCost:
    encoder, key = encoders.open(encoding.encoder), source.storage_key
    total = store.count(scope, key)
    pending = total
    if encoders.is_fitted_at_runs(encoding.encoder):
        pending = total if fit else 0
    else:
        field = f"{encoding_fields(encoding)[0]}.encoder"
        pending -= store.count(scope, key, Condition(field, "eq", encoder.name, case_sensitive=True))
    if not pending:
        return EncodingCost()
    size = volume_of_run(store, scope, encoding.fields, MATCH_ALL, [(key, total)]).held_bytes * pending / total
    seconds, working = estimate_encoding(encoder, pending, int(size))
    return EncodingCost(pending, seconds, size + working)
