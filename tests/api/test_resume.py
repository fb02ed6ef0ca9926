"""A crashed run resumes after its last finished stage and ends with the same results as an uninterrupted one."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from cluster_steps import carry_out, create, grouped_documents, put_documents
from shoal.assemble import Services
from shoal.labeling import Brief, Budget, Name, WordNamer
from shoal.runs.states import QUEUE

STAGES = {"cluster": set(), "layout": {"cluster"}, "name": {"group"}, "publish": {"group", "name"}}
"""Maps the stage in which an attempt crashes to the stages that the next attempt finds."""
WEIGHTED = {"multi_feature_strategy": "weighted", "weight_learning_config": {"max_iterations": 5}}
TWO = {"feature_uris": ["v", "w"], **WEIGHTED}


class Crash(BaseException):
    """An exception that no error handler catches, like a SIGKILL."""


class Watched:
    """Counts the executed stages, and crashes once at the start of one of them."""

    def __init__(self, crash_in: str | None = None) -> None:
        self.seen: Counter[str] = Counter()
        self._crash_in = crash_in

    def __call__(self, stage: str, fraction: float) -> None:
        if stage == self._crash_in:
            raise Crash
        self.seen[stage] += 1


@pytest.fixture
def settings() -> dict[str, Any]:
    """Every stage is saved, however quick."""
    return {"checkpoint_seconds": 0.0}


def attempt(services: Services, progress: Watched) -> None:
    """Let one attempt crash; the run goes back to the queue as if its worker had released it."""
    now = services.states._now()
    job = services.metadata.claim(QUEUE, "test", now, now + timedelta(seconds=30))
    assert job is not None
    with pytest.raises(Crash):
        services.runner.run(job, progress)
    assert services.metadata.requeue(job.job_id, job.fence)


def members(client: httpx.Client, run_id: str) -> list[dict[str, Any]]:
    body = {"include_members": True, "limit": 1000}
    found: list[dict[str, Any]] = client.post(f"/clusters/groups/executions/{run_id}/data", json=body).json()["members"]
    return found


def run_of(client: httpx.Client) -> dict[str, Any]:
    run: dict[str, Any] = client.get("/clusters/groups/executions").json()
    return run


def two_features() -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    documents = grouped_documents(90)
    for row, document in enumerate(documents):
        document["vectors"]["w"] = (np.eye(3)[row % 3] + rng.normal(0, 0.3, 3)).tolist()
    return documents


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kmeans", "hdbscan", "auto"])
@pytest.mark.parametrize("crash_in", STAGES)
def test_the_next_attempt_reuses_finished_stages_and_finds_the_same_groups(
    client: httpx.Client,
    services: Services,
    method: str,
    crash_in: str,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("tries", 1)
    put_documents(client, grouped_documents(90))
    create(client, method=method)
    client.post("/clusters/groups/execute").raise_for_status()
    carry_out(services)
    undisturbed = members(client, run_of(client)["run_id"])

    client.post("/clusters/groups/execute").raise_for_status()
    attempt(services, Watched(crash_in))
    progress = Watched()
    carry_out(services, progress)

    run = run_of(client)
    assert (run["status"], set(run["resumed_stages"])) == ("completed", STAGES[crash_in])
    assert members(client, run["run_id"]) == undisturbed
    repeated = {stage for stage in ("cluster", "layout", "name") if progress.seen[stage]}
    assert repeated == {"cluster": {"cluster", "layout", "name"}, "layout": {"layout", "name"}, "name": {"name"}}.get(
        crash_in, set()
    )


def test_the_learned_feature_weights_are_saved(client: httpx.Client, services: Services) -> None:
    put_documents(client, two_features())
    create(client, config=TWO)
    client.post("/clusters/groups/execute").raise_for_status()

    attempt(services, Watched("cluster"))
    carry_out(services)

    run = run_of(client)
    assert (run["status"], run["resumed_stages"]) == ("completed", ["fuse"])


def test_independently_clustered_features_have_their_own_stages(client: httpx.Client, services: Services) -> None:
    put_documents(client, two_features())
    create(client, config={**TWO, "multi_feature_strategy": "independent"})
    client.post("/clusters/groups/execute").raise_for_status()

    attempt(services, Watched("publish"))
    carry_out(services)

    assert (run_of(client)["status"], run_of(client)["resumed_stages"]) == ("completed", ["group", "name"])


def test_stages_of_other_documents_are_recomputed(client: httpx.Client, services: Services) -> None:
    put_documents(client, grouped_documents(90))
    create(client)
    client.post("/clusters/groups/execute").raise_for_status()
    attempt(services, Watched("publish"))
    put_documents(client, grouped_documents(96)[90:])

    carry_out(services)

    run = run_of(client)
    assert (run["status"], run["resumed_stages"], run["num_points"]) == ("completed", [], 96)


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
@pytest.mark.parametrize("stage", ["group", "name"])
def test_a_damaged_stage_is_recomputed(client: httpx.Client, services: Services, stage: str, damage: str) -> None:
    put_documents(client, grouped_documents(90))
    create(client)
    client.post("/clusters/groups/execute").raise_for_status()
    attempt(services, Watched("publish"))
    (kept,) = (services.settings.data / "checkpoints").rglob(f"{stage}.npz")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        kept.unlink()
    else:
        kept.write_bytes(content[: len(content) // 2] if damage == "cut" else content)

    carry_out(services)

    others = [other for other in ("group", "name") if other != stage]
    assert (run_of(client)["status"], run_of(client)["resumed_stages"]) == ("completed", others)


@pytest.mark.parametrize("end", ["completed", "canceled", "deleted"])
def test_a_finished_run_leaves_no_stages(client: httpx.Client, services: Services, end: str) -> None:
    put_documents(client, grouped_documents(90))
    create(client)
    client.post("/clusters/groups/execute").raise_for_status()
    attempt(services, Watched("publish"))
    assert list((services.settings.data / "checkpoints").rglob("*.npz"))

    if end == "canceled":
        client.post(f"/clusters/groups/executions/{run_of(client)['run_id']}/cancel").raise_for_status()
    if end == "deleted":
        client.delete("/clusters/groups").raise_for_status()
    carry_out(services)
    services.housekeeping.tidy()

    assert not list((services.settings.data / "checkpoints").rglob("*.*"))


class CountedNamer(WordNamer):
    """The real namer with a call counter: a model would charge for each call."""

    briefs = 0

    def name(self, brief: Brief, budget: Budget, progress: Callable[[float], None] | None = None) -> list[list[Name]]:
        type(self).briefs += 1
        return super().name(brief, budget, progress)


@pytest.mark.parametrize("independent", [False, True])
def test_a_run_that_crashed_after_naming_does_not_call_the_namer_again(
    client: httpx.Client, services: Services, independent: bool
) -> None:
    put_documents(client, two_features())
    create(client, config={**TWO, "multi_feature_strategy": "independent"} if independent else {})
    CountedNamer.briefs = 0
    services.runner.naming.words = namer = CountedNamer()
    client.post("/clusters/groups/execute").raise_for_status()
    attempt(services, Watched("publish"))
    briefs = namer.briefs

    carry_out(services)

    assert (briefs, namer.briefs) == (2 if independent else 1,) * 2
    assert run_of(client)["status"] == "completed"


def test_ids_follow_the_previous_run_even_if_it_was_published_between_two_attempts(
    client: httpx.Client, services: Services
) -> None:
    """Groups and names are saved by number: each attempt assigns ids afresh."""
    put_documents(client, grouped_documents(90))
    create(client)
    client.post("/clusters/groups/execute").raise_for_status()
    carry_out(services)
    earlier = run_of(client)["run_id"]
    client.patch(f"/clusters/groups/executions/{earlier}/labels", json={"labels": {"cl_1": "Ours"}})
    client.post("/clusters/groups/execute").raise_for_status()

    attempt(services, Watched("publish"))
    client.patch(f"/clusters/groups/executions/{earlier}/labels", json={"labels": {"cl_1": "Theirs"}})
    carry_out(services)

    labels = {one["cluster_id"]: one["label"] for one in run_of(client)["centroids"]}
    assert run_of(client)["resumed_stages"] == ["group", "name"]
    assert labels["cl_1"] == "Theirs"
