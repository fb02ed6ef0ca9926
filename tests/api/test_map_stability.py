"""`layout_stability`: the map of a rerun compared with the previous one."""

from typing import Any

import httpx
import numpy as np
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services

ROWS = 600


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> list[dict[str, Any]]:
    made = grouped_documents(ROWS + 30)
    put_documents(client, made[:ROWS])
    return made


def places(client: httpx.Client) -> dict[str, tuple[float, ...]]:
    shown = client.get("/clusters/groups/visualization?max_points=100000").json()
    return {one["document_id"]: (one["x"], one["y"]) for one in shown["members"]}


def moved(before: dict[str, tuple[float, ...]], after: dict[str, tuple[float, ...]]) -> float:
    """The largest displacement as a fraction of the longer side of the previous map."""
    old = np.array([before[id] for id in before])
    new = np.array([after[id] for id in before])
    return float(np.linalg.norm(new - old, axis=1).max() / np.ptp(old, axis=0).max())


def test_transform_leaves_existing_documents_in_place(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    create(client, config={"layout_stability": "transform"})
    execute(client, services)
    before = places(client)
    put_documents(client, documents[ROWS:])

    run = execute(client, services)

    after = places(client)
    assert len(after) == ROWS + 30
    assert moved(before, after) <= 0.01
    assert run["metrics"]["map_moved"] <= 0.01
    assert not run["warnings"]
    centres = {c["cluster_id"]: np.array([c["x"], c["y"]]) for c in run["centroids"]}
    spread = np.linalg.norm(np.diff(list(centres.values()), axis=0), axis=1).min()
    members = client.get(f"/clusters/groups/executions/{run['run_id']}/artifacts?include_members=true&limit=1000")
    for member in members.json()["members"]:
        if member["document_id"] >= f"d{ROWS:04d}":
            away = np.linalg.norm(np.array([member["x"], member["y"]]) - centres[member["cluster_id"]])
            assert away < spread / 2


def test_a_single_run_can_request_it_and_a_fresh_map_moves_more(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    create(client)
    execute(client, services)
    before = places(client)
    put_documents(client, documents[ROWS:])

    kept = execute(client, services, layout_stability="transform")
    still = moved(before, places(client))
    execute(client, services)
    fresh = moved(before, places(client))
    aligned = execute(client, services, layout_stability="align")

    assert still <= 0.01 < fresh
    assert kept["metrics"]["map_moved"] == pytest.approx(still, abs=1e-6)
    assert aligned["metrics"]["map_moved"] is not None


def test_the_first_run_has_no_map_to_preserve(client: httpx.Client, services: Services) -> None:
    create(client, config={"layout_stability": "transform"})

    run = execute(client, services)

    assert run["status"] == "completed"
    assert "map_moved" not in run["metrics"]


def test_a_map_with_other_dimensions_is_laid_out_afresh_with_a_warning(
    client: httpx.Client, services: Services
) -> None:
    create(client, config={"layout_stability": "transform"})
    execute(client, services)

    run = execute(client, services, vis_n_components=3)

    assert any("layout_stability" in warning for warning in run["warnings"])
    assert client.get("/clusters/groups/visualization").json()["dimensions"] == 3
