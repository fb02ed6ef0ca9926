"""Tenants that perform random operations, and a watch on every byte that any of them receives.

Every name and text that a tenant writes contains its label and so identifies its owner; ids that the server generates
are recorded with the tenant who received them. A canary of one tenant anywhere in a response to another is a leak.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx

from tenancy.calls import OF_THE_ORGANIZATION, PREFIXES, Call, Slot, put_in
from tenancy.operations import TABLE
from tenancy.tenants import DIMENSION, Tenant, send

__all__ = ["Leak", "Menagerie"]

_IDS: Final = re.compile(
    r"\b(?:(?:org|key|usr|ns|bkt|obj|col|doc|clust|run|blob)_[a-z0-9]{16}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"
)
_OF_A_NAMESPACE: Final = ("bkt_", "obj_", "col_", "doc_", "blob_")
"""Ids that no route shows outside their namespace; ids of runs and clusters appear in the organisation's tasks."""
_ORGANIZATION_WIDE: Final = ("GET /organizations/audit",)
"""Routes that intentionally show admins all namespaces of their organisation."""
_SHARED_NAMES: Final = ("alpha", "beta", "gamma")
_COUNTED: Final = ("/collections", "/buckets", "/clusters")
_COUNTED_OF_THE_ORGANIZATION: Final = ("/namespaces",)


class Leak(AssertionError):
    """A tenant received data of another tenant."""


@dataclass
class Menagerie:
    """Tenants of several organisations on one server. `draw` decides everything, so a seed reproduces a run."""

    http: httpx.Client
    tenants: Sequence[Tenant]
    draw: random.Random
    steps: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    organizations: dict[str, str] = field(default_factory=dict)
    """Maps each id to the organisation that first received it."""
    labels: dict[str, str] = field(default_factory=dict)
    """Maps each id of a namespace to the tenant that first received it from a route limited to one namespace."""

    def __post_init__(self) -> None:
        for tenant in self.tenants:
            self.organizations[tenant.organization_id] = tenant.organization_id
            for ref in (ref for refs in tenant.refs.values() for ref in refs if _IDS.fullmatch(ref)):
                self.organizations[ref] = tenant.organization_id
                self.labels[ref] = tenant.label

    def step(self) -> None:
        """Let one tenant act; occasionally, let another check that none of its own data changed."""
        self.steps += 1
        actor = self.draw.choice(self.tenants)
        watcher = self.draw.choice([tenant for tenant in self.tenants if tenant is not actor])
        watching = self.draw.random() < 0.25
        before = self._counts(watcher, actor) if watching else {}
        act = self.draw.choices([self._own, self._foreign, self._write, self._look_everywhere], [50, 25, 20, 5])[0]
        act(actor)
        if watching and self._counts(watcher, actor) != before:
            raise Leak(f"step {self.steps}: {watcher.label} counts otherwise after an act of {actor.label}")

    # ── acts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _own(self, actor: Tenant) -> None:
        """An operation on the actor's own resources."""
        name = self.draw.choice(sorted(TABLE))
        self._ask(actor, name, TABLE[name].make(replace(actor, wear_out=True)))

    def _foreign(self, actor: Tenant) -> None:
        """An operation with a reference of another tenant in a slot or as the namespace."""
        other = self.draw.choice([tenant for tenant in self.tenants if tenant is not actor])
        name = self.draw.choice(sorted(name for name in TABLE if self._slots(name, actor, other)))
        slot = self.draw.choice(self._slots(name, actor, other))
        ref = self.draw.choice(other.refs[slot.kind])
        if slot is _HEADER:  # organisation-level routes ignore the namespace, so the call is executed there
            self._ask(actor, name, TABLE[name].make(replace(actor, wear_out=True)), ref, {"X-Namespace": ref})
        else:
            self._ask(actor, name, put_in(TABLE[name].make(actor), slot, ref), ref)

    def _slots(self, name: str, actor: Tenant, other: Tenant) -> list[Slot]:
        slots = [*TABLE[name].slots, _HEADER]
        if actor.organization_id != other.organization_id:
            return slots
        return [slot for slot in slots if slot.kind not in OF_THE_ORGANIZATION]

    def _write(self, actor: Tenant) -> None:
        """Documents, names and labels full of canaries, half of them under names that other tenants use too."""
        canary, shared = actor.name(), self.draw.choice(_SHARED_NAMES)
        name = self.draw.choice([shared, canary])
        document = {
            "document_id": name,
            "vectors": {"v": [self.draw.random() for _ in range(DIMENSION)]},
            "payload": {"text": f"{canary} words", canary: canary, "row": self.draw.randrange(9), "code": name},
            "metadata": {"note": canary},
        }
        choices: list[tuple[str, dict[str, Any]]] = [
            (
                f"/namespaces/{actor.ref('namespace')}/documents/upsert",
                {"collection_id": actor.ref("collection"), "documents": [document]},
            ),
            ("/collections", {"collection_name": name, "source": {"type": "direct_upsert"}, "description": canary}),
            ("/buckets", {"bucket_name": name, "bucket_schema": {"properties": {}}, "metadata": {"c": canary}}),
            ("/namespaces", {"namespace_id": shared, "namespace_name": f"{shared}_{actor.organization_id[-4:]}"}),
            (f"/organizations/users/{actor.email}/api-keys", {"name": shared, "description": actor.open_name()}),
            (
                f"/clusters/{actor.ref('cluster')}/executions/{actor.ref('run')}/labels",
                {"labels": {"cl_0": canary}},
            ),
            (f"/clusters/{actor.ref('cluster')}", {"description": canary, "metadata": {"c": canary}}),
        ]
        path, body = self.draw.choice(choices)
        changes = "labels" in body or path.endswith(actor.ref("cluster"))
        self._ask(actor, f"{'PATCH' if changes else 'POST'} {path}", Call(body=body))

    def _look_everywhere(self, actor: Tenant) -> None:
        """Every list, under the names that all tenants use."""
        for path in (*_COUNTED, *_COUNTED_OF_THE_ORGANIZATION, "/me"):
            self._ask(actor, f"GET {path}", Call(query={} if path == "/me" else {"limit": "50"}))
        for shared in _SHARED_NAMES:
            for path in (*_COUNTED, *_COUNTED_OF_THE_ORGANIZATION, "/tasks"):
                self._ask(actor, f"GET {path}/{shared}", Call())
            self._ask(actor, f"GET /collections/{actor.ref('collection')}/documents/{shared}", Call())

    # ── the watch ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask(
        self, actor: Tenant, name: str, call: Call, sent: str = "", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        method, path = name.split(" ")
        mount = self.draw.choice(PREFIXES)
        where = {"X-Namespace": actor.ref("namespace")} | dict(headers or {})
        answer = send(self.http, method, mount + path, call, actor.keys["admin"], where)
        self.answers[answer.status_code] += 1
        if answer.status_code >= 500:
            raise AssertionError(f"step {self.steps}: {name} of {actor.label} is answered {answer.text}")
        self._watch(actor, name, answer, sent)
        return answer

    def _watch(self, actor: Tenant, name: str, answer: httpx.Response, sent: str) -> None:
        received = answer.content.decode("utf-8", "replace") + "".join(f"\n{k}: {v}" for k, v in answer.headers.items())
        if sent:
            received = received.replace(sent, "")
        wide = name in _ORGANIZATION_WIDE
        for canary in self._canaries(actor, wide=wide):
            if canary in received:
                raise Leak(f"step {self.steps}: {name} tells {actor.label} {canary!r}: {received[:2000]}")
        for id in _IDS.findall(received):
            foreign = self.organizations.setdefault(id, actor.organization_id) != actor.organization_id
            if id.startswith(_OF_A_NAMESPACE) and not wide:
                foreign |= self.labels.setdefault(id, actor.label) != actor.label
            if foreign:
                raise Leak(f"step {self.steps}: {name} tells {actor.label} {id} of another: {received[:2000]}")

    def _canaries(self, actor: Tenant, *, wide: bool) -> Iterator[str]:
        """What the actor may not see: any data of another organisation, or contents of another namespace of its own."""
        for tenant in self.tenants:
            if tenant.organization_id != actor.organization_id:
                yield f"{tenant.label}_"
                yield tenant.email
                yield from tenant.keys.values()
            elif tenant is not actor and not wide:
                yield f"{tenant.label}_own_"

    def _counts(self, watcher: Tenant, actor: Tenant) -> dict[str, Any]:
        """The number of resources visible to the watcher, excluding those shared with the actor."""
        counted = [*_COUNTED]
        if watcher.organization_id != actor.organization_id:
            counted += _COUNTED_OF_THE_ORGANIZATION
        seen = {}
        for path in counted:
            answer = self._ask(watcher, f"GET {path}", Call(query={"limit": "1", "include_total": "true"}))
            seen[path] = answer.json()["pagination"]["total"]
        for path in (
            f"/collections/{watcher.ref('collection')}/documents/count",
            f"/namespaces/{watcher.ref('namespace')}",
            f"/buckets/{watcher.ref('bucket')}",
        ):
            answer = self._ask(watcher, f"GET {path}", Call())
            seen[path] = {name: value for name, value in answer.json().items() if name.endswith("count")}
        return seen


_HEADER: Final = Slot("header.X-Namespace", "namespace")
