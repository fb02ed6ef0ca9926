"""Clusters over HTTP: the whole path from documents to published results."""

import csv
import io
from typing import Any, Protocol

import httpx
import pytest

import shoal
from cluster_steps import carry_out, create, execute, grouped_documents, put_documents, vector_body
from shoal.assemble import Services
from shoal.errors import Cancelled, NotFound
from shoal.records.scope import Scope
from trees import clusters_by_tree


class Clock(Protocol):
    """The return type of the fixture of the same name in lower case."""

    def forward(self, **span: float) -> None: ...


SEED_FIELDS = [
    "cluster_id",
    "cluster_name",
    "namespace_id",
    "organization_id",
    "input_collections",
    "source_bucket_ids",
    "filters",
    "cluster_type",
    "feature_uris",
    "multi_feature_strategy",
    "learned_weights",
    "learning_quality_score",
    "effective_feature_method",
    "clustered_attributes",
    "hierarchical_grouping",
    "aggregation_method",
    "output_collection_ids",
    "output_collection_names",
    "algorithm",
    "algorithm_params",
    "enrich_source",
    "source_enrichment_config",
    "llm_labeling",
    "num_clusters",
    "num_documents_clustered",
    "execution_time_seconds",
    "hierarchy_detected",
    "parent_cluster_id",
    "child_cluster_ids",
    "hierarchy_relationships",
    "status",
    "last_execution_task_id",
    "created_at",
    "updated_at",
    "last_executed_at",
    "completed_at",
    "llm_labeling_errors",
    "metadata",
]


@pytest.fixture
def documents(client: httpx.Client) -> list[dict[str, Any]]:
    """Sixty documents in three groups, stored in the collection `docs`."""
    made = grouped_documents()
    put_documents(client, made)
    return made


@pytest.mark.usefixtures("documents")
class TestConfiguration:
    def test_every_field_of_the_seed_page_is_present(self, client: httpx.Client) -> None:
        cluster = create(client)

        shown = client.get(f"/clusters/{cluster['cluster_id']}").json()

        assert len(SEED_FIELDS) == 38
        assert set(SEED_FIELDS) <= set(shown)

    def test_names_are_unique_in_their_namespace(self, client: httpx.Client) -> None:
        create(client)

        reply = client.post("/clusters", json=vector_body())

        assert reply.status_code == 409
        assert reply.json()["error"]["type"] == "AlreadyExistsError"

    @pytest.mark.parametrize("name", ["clust_k3v9q0c2m1x7a8b4", "list", "a/b", "a\nb", "x" * 101])
    def test_names_reserved_for_routes_or_ids_are_rejected(self, client: httpx.Client, name: str) -> None:
        reply = client.post("/clusters", json=vector_body(name=name))

        assert reply.status_code == 422
        assert reply.json()["error"]["details"]["field"] == "cluster_name"

    def test_an_unnamed_cluster_gets_a_generated_name(self, client: httpx.Client) -> None:
        body = vector_body()
        del body["cluster_name"]

        assert client.post("/clusters", json=body).json()["cluster_name"].startswith("cluster-")

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"collection_ids": ["nowhere"]}, 404, None),
            ({"collection_ids": None}, 422, "collection_ids"),
            ({"vector_config": None}, 422, "vector_config"),
            ({"config": {"feature_uris": ["nothing"]}}, 422, "vector_config.feature_uris"),
            ({"config": {"feature_uris": ["v", "w"]}}, 422, "vector_config.feature_uris"),
            ({"config": {"feature_uris": ["v", "v"]}}, 422, "vector_config.feature_uris"),
            ({"config": {"feature_weights": {"w": 1}}}, 422, "vector_config.feature_weights.w"),
            (
                {"config": {"multi_feature_strategy": "weighted", "weight_learning_config": {"max_iterations": 3}}},
                422,
                "vector_config.weight_learning_config.max_iterations",
            ),
            ({"config": {"output_strategy": "per_feature"}}, 422, "vector_config.output_strategy"),
            (
                {"config": {"multi_feature_strategy": "independent", "feature_weights": {"v": 1}}},
                422,
                "vector_config.feature_weights",
            ),
            ({"config": {"feature_uris": None}}, 422, "vector_config.feature_uris"),
            ({"config": {"clustering_method": "attribute_based"}}, 422, "vector_config.clustering_method"),
            ({"config": {"kmeans_parameters": {"n_clusters": 0}}}, 422, "algorithm_params.n_clusters"),
            ({"config": {"kmeans_parameters": {"n_clusters": "three"}}}, 422, "algorithm_params.n_clusters"),
            (
                {"config": {"preprocessing_steps": [{"method": "umap", "n_neighbors": 1}]}},
                422,
                "vector_config.preprocessing_steps[0].n_neighbors",
            ),
            ({"filters": {"AND": [{"field": "a", "operator": "like", "value": 1}]}}, 422, "filters.AND[0].operator"),
            ({"source_cluster_ids": ["clust_a"]}, 422, "source_cluster_ids"),
            (
                {
                    "enrich_source_collection": True,
                    "source_enrichment_config": {"field_mappings": [{"source_field": "nope", "target_field": "a"}]},
                },
                422,
                "source_enrichment_config.field_mappings[0].source_field",
            ),
            (
                {
                    "source_enrichment_config": {
                        "field_mappings": [{"source_field": "cluster_id", "target_field": "document_id"}]
                    },
                },
                422,
                "source_enrichment_config.field_mappings[0].target_field",
            ),
        ],
    )
    def test_an_invalid_option_is_rejected_at_once_and_nothing_is_created(
        self, client: httpx.Client, change: dict[str, Any], status: int, field: str | None
    ) -> None:
        reply = client.post("/clusters", json=vector_body(**change))

        assert reply.status_code == status, reply.text
        assert reply.json()["error"]["details"].get("field") == field
        assert client.post("/clusters/list").json()["total_count"] == 0
        assert client.post("/collections/list").json()["total_count"] == 1, "no output collection is left behind"

    def test_an_unknown_parameter_is_dropped_with_a_warning(self, client: httpx.Client) -> None:
        cluster = create(client, config={"kmeans_parameters": {"n_clusters": 3, "n_clutsers": 9}})

        assert "n_clutsers" not in cluster["algorithm_params"]
        assert any("n_clutsers" in warning for warning in cluster["warnings"])

    def test_the_parameters_that_the_sdk_mangles_are_dropped_with_a_warning_that_names_it(
        self, client: httpx.Client
    ) -> None:
        mangled: dict[str, object] = {"n_clusters": 8, "max_iter": 300, "random_state": 42, "n_init": 10, "tol": 0.0001}
        mangled |= {"init": "k-means++", "verbose": 0, "copy_x": True, "algorithm": "lloyd"}

        cluster = create(client, method="hdbscan", config={"algorithm_params": mangled})

        assert cluster["algorithm_params"]["min_cluster_size"] == 5
        assert any("SDK" in warning for warning in cluster["warnings"])

    def test_the_parameter_names_of_the_guide_pages_are_accepted(self, client: httpx.Client) -> None:
        body = {
            "source_collection_ids": ["docs"],
            "cluster_name": "guide",
            "feature_addresses": ["mixpeek://text_extractor@v1/v"],
            "algorithm": "kmeans",
            "algorithm_config": {"num_clusters": 3},
        }

        cluster = client.post("/clusters", json=body).json()

        assert cluster["algorithm_params"]["n_clusters"] == 3
        assert cluster["feature_uris"] == ["mixpeek://text_extractor@v1/v"]

    def test_a_model_that_the_sdk_cannot_parse_is_stored_but_not_returned_as_one(self, client: httpx.Client) -> None:
        labeling = {"enabled": True, "provider": "ollama", "model_name": "llama9", "description": "x"}

        shown = create(client, llm_labeling=labeling)["llm_labeling"]

        assert (shown["provider"], shown["model_name"]) == (None, None)
        assert shown["parameters"] == {"shoal_provider": "ollama", "shoal_model": "llama9"}

    def test_patch_changes_only_the_sent_fields(self, client: httpx.Client) -> None:
        before = create(client, metadata={"team": "a"}, description="first")

        after = client.patch(
            "/clusters/groups", json={"cluster_name": "renamed", "algorithm_params": {"n_clusters": 5}}
        ).json()

        assert after["cluster_name"] == "renamed"
        assert after["algorithm_params"]["n_clusters"] == 5
        assert (after["metadata"], after["description"]) == (before["metadata"], before["description"])
        assert client.get("/clusters/groups").status_code == 404

    def test_lists_can_be_filtered_sorted_searched_and_paginated(self, client: httpx.Client) -> None:
        for name in ("alpha", "beta", "gamma"):
            create(client, name=name)
        by_name = {"sort": {"field": "cluster_name", "direction": "desc"}, "limit": 2}

        first = client.post("/clusters/list?include_total=true", json=by_name).json()
        second = client.post("/clusters/list", json={**by_name, "offset": 2}).json()

        assert [item["cluster_name"] for item in first["results"]] == ["gamma", "beta"]
        assert [item["cluster_name"] for item in second["results"]] == ["alpha"]
        assert first["pagination"]["total"] == first["total_count"] == 3
        assert client.get("/clusters?search=BET").json()["total_count"] == 1
        assert client.post("/clusters/list", json={"filters": {"cluster_name": "alpha"}}).json()["total_count"] == 1


@pytest.mark.usefixtures("documents")
class TestExecution:
    def test_a_run_finds_and_names_the_groups_and_every_route_shows_them(
        self, client: httpx.Client, services: Services
    ) -> None:
        cluster = create(client)

        run = execute(client, services)

        assert (run["status"], run["num_clusters"], run["num_points"]) == ("completed", 3, 60)
        assert [c["num_members"] for c in run["centroids"]] == [20, 20, 20]
        labels = " | ".join(c["label"].lower() for c in run["centroids"])
        assert all(word in labels for word in ("luggage", "credit", "jazz")), labels
        shown = client.get("/clusters/groups").json()
        assert (shown["status"], shown["num_clusters"], shown["num_documents_clustered"]) == ("COMPLETED", 3, 60)
        assert shown["current_run_id"] == shown["last_run_id"] == run["run_id"]
        output = cluster["output_collection_ids"][0]
        assert client.get(f"/collections/{output}/documents/count").json()["count"] == 63
        members = client.post(
            f"/collections/{output}/documents/list", json={"filters": {"source_document_id": "d0000"}}
        ).json()["results"]
        assert [m["is_centroid"] for m in members] == [False]
        assert members[0]["cluster_label"] in {c["label"] for c in run["centroids"]}

    @pytest.mark.parametrize("method", ["mean", "median", "medoid"])
    def test_centroids_are_of_the_requested_kind(self, client: httpx.Client, services: Services, method: str) -> None:
        create(client, config={"effective_feature_method": method})

        run = execute(client, services)

        shown = client.get(f"/clusters/groups/executions/{run['run_id']}?include_vectors=true").json()["centroids"]
        medoids = {c["cluster_id"]: c["medoid_id"] for c in shown}
        for centroid in shown:
            assert len(centroid["centroid_vector"]) == 8
            if method == "medoid":
                source = client.get(
                    f"/collections/docs/documents/{medoids[centroid['cluster_id']]}?return_vectors=true"
                )
                vector = source.json()["vectors"]["v"]
                norm = sum(x * x for x in vector) ** 0.5
                assert centroid["centroid_vector"] == pytest.approx([x / norm for x in vector], abs=1e-5)

    def test_another_run_replaces_the_visible_results_atomically(
        self, client: httpx.Client, services: Services
    ) -> None:
        output = create(client)["output_collection_ids"][0]
        first = execute(client, services)
        client.patch("/clusters/groups", json={"algorithm_params": {"n_clusters": 2, "n_init": 1}})

        second = execute(client, services)

        runs = client.post(f"/collections/{output}/documents/distinct", json={"field": "run_id"}).json()["values"]
        assert [item["value"] for item in runs] == [second["run_id"]]
        assert client.get(f"/collections/{output}/documents/count").json()["count"] == 62
        old = client.get(f"/clusters/groups/executions/{first['run_id']}/artifacts").json()
        assert old["total_clusters"] == 3, "earlier runs keep their artifacts"

    def test_a_run_that_fails_leaves_the_earlier_results_visible(
        self, client: httpx.Client, services: Services, clock: Clock
    ) -> None:
        create(client)
        good = execute(client, services)
        clock.forward(seconds=1)
        client.post("/clusters/groups/execute", json={"filters": {"kind": "a"}}).raise_for_status()
        everything = {"filters": {"field": "row", "operator": "gte", "value": 0}}
        client.request("DELETE", "/collections/docs/documents/batch", json=everything)

        assert carry_out(services) == 1

        shown = client.get("/clusters/groups").json()
        assert (shown["status"], shown["num_clusters"]) == ("FAILED", 3)
        assert "needs at least two" in shown["error"]
        assert shown["current_run_id"] == good["run_id"]
        assert client.get("/clusters/groups/executions").json()["status"] == "failed"

    def test_repeating_a_request_while_its_run_is_active_returns_its_task_and_a_different_one_conflicts(
        self, client: httpx.Client
    ) -> None:
        create(client)
        first = client.post("/clusters/groups/execute").json()

        again = client.post("/clusters/groups/execute", json={"mode": "full"}).json()
        other = client.post("/clusters/groups/execute", json={"sample_size": 10})

        assert again["task_id"] == first["task_id"]
        assert other.status_code == 409
        assert other.json()["error"]["details"]["run_id"] == first["additional_data"]["run_id"]

    def test_cancelling_a_queued_run_ends_it_and_cancelling_again_conflicts(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client)
        task = client.post("/clusters/groups/execute").json()
        path = f"/clusters/groups/executions/{task['additional_data']['run_id']}/cancel"

        cancelled = client.post(path)

        assert cancelled.json()["status"] == "canceled"
        assert client.get(f"/tasks/{task['task_id']}").json()["status"] == "CANCELED"
        assert client.post(path).status_code == 409
        assert client.delete(f"/tasks/{task['task_id']}").status_code == 200
        assert carry_out(services) == 0

    def test_a_run_cancelled_during_its_work_publishes_nothing(self, client: httpx.Client, services: Services) -> None:
        create(client)
        task = client.post("/clusters/groups/execute").json()
        run_id = task["additional_data"]["run_id"]

        def cancel_before_publishing(stage: str, _: float) -> None:
            if stage == "publish":
                client.post(f"/clusters/groups/executions/{run_id}/cancel").raise_for_status()

        carry_out(services, cancel_before_publishing)

        shown = client.get("/clusters/groups").json()
        assert (shown["status"], shown["current_run_id"], shown["num_clusters"]) == ("CANCELED", None, None)
        assert client.get("/clusters/groups/visualization").status_code == 404

    def test_a_run_taken_over_by_another_worker_publishes_nothing(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client)
        client.post("/clusters/groups/execute").raise_for_status()
        now = services.states._now()
        stale = services.metadata.claim("executions", "slow", now, now)
        assert stale is not None
        fresh = services.metadata.claim("executions", "quick", now, now.replace(year=2030))
        assert fresh is not None

        services.runner.run(stale, lambda *_: None)
        with pytest.raises(Cancelled):
            services.states.check_now(stale)

        assert client.get("/clusters/groups").json()["current_run_id"] is None
        services.runner.run(fresh, lambda *_: None)
        assert client.get("/clusters/groups").json()["status"] == "COMPLETED"

    def test_a_run_with_its_own_filter_marks_its_cluster_ids(self, client: httpx.Client, services: Services) -> None:
        output = create(client)["output_collection_ids"][0]

        run = execute(client, services, filters={"even": True})

        assert run["num_points"] == 30
        ids = client.post(f"/collections/{output}/documents/distinct", json={"field": "cluster_id"}).json()["values"]
        assert {item["value"] for item in ids} == {f"{run['partition']}:cl_{n}" for n in range(3)}

    def test_a_sample_fits_the_model_and_every_document_is_assigned(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client)

        run = execute(client, services, sample_size=12)

        assert (run["num_points"], [c["num_members"] for c in run["centroids"]]) == (60, [20, 20, 20])

    def test_more_clusters_than_documents_are_rejected_and_nothing_is_queued(self, client: httpx.Client) -> None:
        create(client, config={"kmeans_parameters": {"n_clusters": 100, "n_init": 1}})

        reply = client.post("/clusters/groups/execute")

        assert reply.status_code == 422
        assert reply.json()["error"]["details"]["field"] == "algorithm_params.n_clusters"
        assert "60 documents" in reply.json()["error"]["message"]
        assert client.get("/clusters/groups/executions").json() is None

    def test_more_clusters_than_distinct_vectors_are_reduced_with_a_warning(
        self, client: httpx.Client, services: Services
    ) -> None:
        twins = grouped_documents(10)
        put_documents(client, [{**twins[n % 5], "document_id": f"t{n}"} for n in range(10)], "twins")
        parameters = {"kmeans_parameters": {"n_clusters": 8, "n_init": 1}}
        client.post("/clusters", json=vector_body(collection_ids=["twins"], config=parameters)).raise_for_status()

        run = execute(client, services)

        assert (run["status"], run["num_clusters"], run["algorithm_params"]["n_clusters"]) == ("completed", 5, 5)
        assert any("8" in warning for warning in run["warnings"])

    def test_user_labels_override_generated_ones_and_can_be_removed(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client)
        run = execute(client, services)
        path = f"/clusters/groups/executions/{run['run_id']}/labels"
        original = run["centroids"][0]["label"]

        client.patch(path, json={"labels": {"cl_0": "Bags"}}).raise_for_status()

        assert client.get("/clusters/groups/groups").json()["groups"][0]["label"] == "Bags"
        csv = client.get(f"/clusters/groups/executions/{run['run_id']}/export?format=csv").text
        assert csv.count('"Bags"') == 20
        client.patch(path, json={"labels": {"cl_0": ""}}).raise_for_status()
        assert client.get("/clusters/groups/groups").json()["groups"][0]["label"] == original
        wrong = client.patch(path, json={"labels": {"cl_9": "x"}})
        assert (wrong.status_code, wrong.json()["error"]["details"]["field"]) == (422, "labels.cl_9")
        for unseen in ("   ", "\u200b", "\u202eabc", "\x00"):
            refused = client.patch(path, json={"labels": {"cl_0": unseen}})
            assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "labels.cl_0")

    def test_deleting_a_cluster_deletes_runs_artifacts_and_output_but_not_the_sources(
        self, client: httpx.Client, services: Services
    ) -> None:
        cluster = create(client)
        run = execute(client, services)

        deleted = client.delete("/clusters/groups").json()["deleted"]

        assert deleted == {"clusters": 1, "executions": 1, "output_collections": 1}
        assert client.delete(f"/clusters/{cluster['cluster_id']}").status_code == 404
        assert client.get(f"/collections/{cluster['output_collection_ids'][0]}").status_code == 404
        assert client.get(f"/tasks/{run['task_id']}").status_code == 404
        assert client.get("/collections/docs/documents/count").json()["count"] == 60
        assert not list((services.settings.data / "artifacts").rglob("*.parquet"))

    def test_llm_labelling_without_a_model_falls_back_with_a_warning(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client, llm_labeling={"enabled": True, "provider": "openai"})

        run = execute(client, services)

        assert run["status"] == "completed"
        assert client.get("/clusters/groups").json()["status"] == "COMPLETED"
        assert run["llm_labeling_errors"] == []
        assert any("no language model is connected" in warning for warning in run["warnings"])
        assert all(c["label"] for c in run["centroids"])


@pytest.mark.usefixtures("documents")
class TestEnrichment:
    def test_mapped_fields_are_written_to_the_sources_and_nothing_else_changes(
        self, client: httpx.Client, services: Services, documents: list[dict[str, Any]]
    ) -> None:
        mappings = [
            {"source_field": "cluster_id", "target_field": "topic.id"},
            {"source_field": "cluster_label", "target_field": "topic.name"},
            {"source_field": "member_count", "target_field": "topic.size"},
            {"source_field": "metadata.team", "target_field": "team"},
        ]
        create(
            client,
            enrich_source_collection=True,
            source_enrichment_config={"field_mappings": mappings},
            metadata={"team": "x"},
        )

        run = execute(client, services)

        found = client.get("/collections/docs/documents/d0000").json()
        assert found["topic"]["size"] == 20
        assert found["topic"]["name"] in {c["label"] for c in run["centroids"]}
        assert (found["team"], found["text"]) == ("x", documents[0]["payload"]["text"])
        assert run["enriched_documents"] == 60

    def test_enrichment_is_completed_if_a_run_that_crashed_after_publishing_is_resumed(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client, enrich_source_collection=True)
        client.post("/clusters/groups/execute").raise_for_status()
        now = services.states._now()

        class Crash(Exception):
            pass

        def crash_at_enrichment(stage: str, _: float) -> None:
            if stage == "enrich":
                raise Crash

        job = services.metadata.claim("executions", "first", now, now)
        assert job is not None
        with pytest.raises(Crash):
            services.runner.run(job, crash_at_enrichment)
        assert "cluster_id" not in client.get("/collections/docs/documents/d0000").json()

        assert carry_out(services) == 1

        assert client.get("/clusters/groups").json()["status"] == "COMPLETED"
        assert client.get("/collections/docs/documents/d0000").json()["cluster_id"].startswith("cl_")

    def test_the_visible_results_can_be_written_to_the_sources_on_demand(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client)
        execute(client, services)

        body = {"clustering_ids": ["groups"], "source_collection_id": "docs"}
        reply = client.post("/clusters/enrich", json=body).json()

        assert (reply["processed"], reply["enriched"], reply["failed"]) == (60, 60, 0)
        assert client.get("/collections/docs/documents/d0001").json()["cluster_label"]


@pytest.mark.usefixtures("documents")
class TestResults:
    def test_the_map_contains_every_point_or_an_even_sample_in_either_format(
        self, client: httpx.Client, services: Services
    ) -> None:
        create(client)
        execute(client, services, vis_n_components=3)

        plain = client.get("/clusters/groups/visualization").json()
        compact = client.get("/clusters/groups/visualization?max_points=10&compact=true").json()

        assert (plain["dimensions"], plain["total_points"], len(plain["members"])) == (3, 60, 60)
        assert set(plain["members"][0]) == {"document_id", "cluster_id", "x", "y", "z"}
        assert {name: len(values) for name, values in compact["members"].items()} == dict.fromkeys(
            ("x", "y", "z", "cluster_ids", "document_ids"), 10
        )

    def test_pages_of_members_add_up_to_all_members(self, client: httpx.Client, services: Services) -> None:
        create(client)
        execute(client, services)
        seen, cursor = [], "0"
        while cursor is not None:
            page = client.get(
                f"/clusters/groups/artifacts?include_members=true&include_centroids=false&limit=25&cursor={cursor}"
            ).json()
            seen += [member["document_id"] for member in page["members"]]
            cursor = page["next_cursor"]

        assert len(seen) == len(set(seen)) == 60

    def test_members_of_one_cluster_can_be_requested(self, client: httpx.Client, services: Services) -> None:
        create(client)
        execute(client, services)

        body = {"cluster_id": "cl_1", "include_members": True}
        members = client.post("/clusters/groups/data", json=body).json()["members"]

        assert {member["cluster_id"] for member in members} == {"cl_1"}
        assert len(members) == 20

    def test_all_members_are_returned_as_ndjson_or_arrow_by_the_accept_header(
        self, client: httpx.Client, services: Services
    ) -> None:
        import pyarrow as pa

        create(client)
        execute(client, services)

        lines = client.post("/clusters/groups/data", headers={"Accept": "application/x-ndjson"}).text.splitlines()
        arrow = client.post("/clusters/groups/data", headers={"Accept": "application/vnd.apache.arrow.stream"})

        assert len(lines) == 60
        assert pa.ipc.open_stream(arrow.content).read_all().num_rows == 60

    def test_the_parquet_export_can_be_downloaded(self, client: httpx.Client, services: Services) -> None:
        import pyarrow.parquet as pq

        create(client)
        run = execute(client, services)

        export = client.get(f"/clusters/groups/executions/{run['run_id']}/export").json()

        content = client.get(export["url"]).content
        assert len(content) == export["size_bytes"]
        assert pq.read_table(io.BytesIO(content)).num_rows == export["row_count"] == 60

    @pytest.mark.parametrize(
        "label", ["=HYPERLINK(1)", "\n=1", " =1", "\u200b=1", "\uff1d1", "\r\n+1", "\t@SUM(1)", "-1", "\n plain"]
    )
    def test_texts_that_look_like_formulas_are_escaped_in_a_csv(
        self, client: httpx.Client, services: Services, label: str
    ) -> None:
        create(client)
        run = execute(client, services)
        path = f"/clusters/groups/executions/{run['run_id']}"
        client.patch(f"{path}/labels", json={"labels": {"cl_0": label}}).raise_for_status()

        rows = csv.DictReader(io.StringIO(client.get(f"{path}/export?format=csv").text, newline=""))

        assert {row["cluster_label"] for row in rows if row["cluster_id"] == "cl_0"} == {f"'{label}"}


class TestDensities:
    """Results of HDBSCAN other than the clusters."""

    @pytest.fixture
    def strays(self) -> list[str]:
        """Ids of documents far from the three groups and from each other."""
        return [f"s{number}" for number in range(4)]

    @pytest.fixture
    def cluster(self, client: httpx.Client, strays: list[str]) -> dict[str, Any]:
        """Sixty documents in three groups, one of them smaller by five, and four outliers; a cluster over them."""
        groups = [
            one for one in grouped_documents() if one["document_id"] not in {f"d{n:04d}" for n in range(0, 15, 3)}
        ]
        away = [
            {"document_id": id, "vectors": {"v": [float(n == axis) for n in range(8)]}, "payload": {"text": "odd"}}
            for axis, id in enumerate(strays, 4)
        ]
        put_documents(client, groups + away)
        return create(client, method="hdbscan")

    @staticmethod
    def own_artifact(services: Services, run: dict[str, Any], cluster: dict[str, Any], name: str) -> Any:
        return services.artifacts.read(Scope(cluster["organization_id"], cluster["namespace_id"]), run["run_id"], name)

    def test_the_tree_is_stored_with_the_run_and_equals_that_of_the_library(
        self, client: httpx.Client, services: Services, cluster: dict[str, Any]
    ) -> None:
        run = execute(client, services)

        tree, members, centroids = (
            self.own_artifact(services, run, cluster, name) for name in ("condensed_tree", "members", "centroids")
        )
        ids = members["document_id"].to_pylist()
        stored = client.post("/clusters/groups/data", json={"include_members": True, "limit": 1000}).json()
        assert [member["document_id"] for member in stored["members"]] == ids
        vectors = [
            client.get(f"/collections/docs/documents/{id}?return_vectors=true").json()["vectors"]["v"] for id in ids
        ]
        same = shoal.cluster(vectors, id=ids, algorithm="hdbscan")
        assert tree.equals(same.condensed_tree(), check_metadata=True)
        assert members["outlier_score"].equals(same.members()["outlier_score"])
        assert centroids["exemplar_ids"].equals(same.centroids()["exemplar_ids"])
        assert clusters_by_tree(tree) == dict(enumerate(members["cluster_id"].to_pylist()))
        assert run["num_clusters"] == 3

    def test_outlier_scores_are_returned_wherever_members_are(
        self, client: httpx.Client, services: Services, cluster: dict[str, Any], strays: list[str]
    ) -> None:
        import json

        import pyarrow as pa

        run = execute(client, services)

        body = {"include_members": True, "limit": 1000}
        members = client.post("/clusters/groups/data", json=body).json()["members"]
        scores = {member["document_id"]: member["outlier_score"] for member in members}
        assert len(scores) == 59
        inside = [score for id, score in scores.items() if id not in strays]
        assert min(scores[id] for id in strays) > max(inside)
        assert {member["cluster_id"] for member in members if member["document_id"] in strays} == {"cl_noise"}
        lines = client.post("/clusters/groups/data", headers={"Accept": "application/x-ndjson"}).text.splitlines()
        assert {line["document_id"]: line["outlier_score"] for line in map(json.loads, lines)} == scores
        arrow = client.post("/clusters/groups/data", headers={"Accept": "application/vnd.apache.arrow.stream"})
        table = pa.ipc.open_stream(arrow.content).read_all()
        assert dict(zip(table["document_id"].to_pylist(), table["outlier_score"].to_pylist(), strict=True)) == scores
        header = client.get(f"/clusters/groups/executions/{run['run_id']}/export?format=csv").text.splitlines()[0]
        assert "outlier_score" in header

    def test_output_documents_contain_scores_and_exemplars(
        self, client: httpx.Client, services: Services, cluster: dict[str, Any], strays: list[str]
    ) -> None:
        execute(client, services)

        path = f"/collections/{cluster['output_collection_ids'][0]}/documents/list"
        condition = {"field": "outlier_score", "operator": "gt", "value": 0.5}
        odd = client.post(path, json={"filters": {"AND": [condition]}}).json()["results"]
        assert {one["source_document_id"] for one in odd} == set(strays)
        centroids = client.post(path, json={"filters": {"is_centroid": True}}).json()["results"]
        members = client.post("/clusters/groups/data", json={"include_members": True, "limit": 1000}).json()["members"]
        home = {member["document_id"]: member["cluster_id"] for member in members}
        assert len(centroids) == 3
        for one in centroids:
            assert one["exemplar_ids"]
            assert {home[id] for id in one["exemplar_ids"]} == {one["cluster_id"]}

    def test_documents_outside_the_sample_have_no_score(
        self, client: httpx.Client, services: Services, cluster: dict[str, Any]
    ) -> None:
        run = execute(client, services, sample_size=40)

        body = {"include_members": True, "limit": 1000}
        members = client.post("/clusters/groups/data", json=body).json()["members"]
        tree = self.own_artifact(services, run, cluster, "condensed_tree")
        fitted = {row: one["cluster_id"] for row, one in enumerate(members) if one["outlier_score"] is not None}
        assert len(fitted) == 40 and len(members) == 59
        assert clusters_by_tree(tree) == fitted

    @pytest.mark.usefixtures("documents")
    def test_kmeans_stores_no_tree(self, client: httpx.Client, services: Services) -> None:
        made = create(client)
        run = execute(client, services)

        with pytest.raises(NotFound):
            self.own_artifact(services, run, made, "condensed_tree")
        members = client.post("/clusters/groups/data", json={"include_members": True}).json()["members"]
        assert members and "outlier_score" not in members[0]


class TestAttributes:
    @pytest.mark.usefixtures("documents")
    def test_flat_groups_are_combinations_of_values(self, client: httpx.Client, services: Services) -> None:
        body = {
            "collection_ids": ["docs"],
            "cluster_name": "groups",
            "cluster_type": "attribute",
            "attribute_config": {"attributes": ["kind", "even"]},
        }
        client.post("/clusters", json=body).raise_for_status()

        run = execute(client, services)

        assert (run["num_clusters"], run["num_points"]) == (6, 60)
        assert {c["label"] for c in run["centroids"]} == {f"{k}_{e}" for k in "abc" for e in ("true", "false")}
        assert sum(c["num_members"] for c in run["centroids"]) == 60

    @pytest.mark.usefixtures("documents")
    def test_hierarchical_groups_form_a_tree_whose_leaves_contain_all_documents(
        self, client: httpx.Client, services: Services
    ) -> None:
        body = {
            "collection_ids": ["docs"],
            "cluster_name": "groups",
            "cluster_type": "attribute",
            "attribute_config": {"attributes": ["kind", "even"], "hierarchical_grouping": True},
        }
        client.post("/clusters", json=body).raise_for_status()

        run = execute(client, services)

        parents = {c["cluster_id"]: c for c in run["centroids"] if c["parent_cluster_id"] is None}
        leaves = [c for c in run["centroids"] if c["parent_cluster_id"] is not None]
        assert {c["label"] for c in parents.values()} == {"a", "b", "c"}
        assert sum(c["num_members"] for c in leaves) == sum(c["num_members"] for c in parents.values()) == 60
        assert all(c["attributes"]["kind"] == parents[c["parent_cluster_id"]]["label"] for c in leaves)
        shown = client.get("/clusters/groups").json()
        assert shown["hierarchy_detected"] is True
        assert run["num_clusters"] == shown["num_clusters"] == len(leaves) == 6
        assert {(link["level"], link["parent_label"]) for link in shown["hierarchy_relationships"]} == {
            (1, label) for label in "abc"
        }

    def test_a_missing_value_is_a_group_of_its_own(self, client: httpx.Client, services: Services) -> None:
        documents = [{"document_id": f"d{n}", "vectors": {}, "payload": {"k": "a"} if n % 2 else {}} for n in range(4)]
        put_documents(client, documents)
        body = {
            "collection_ids": ["docs"],
            "cluster_name": "groups",
            "cluster_type": "attribute",
            "attribute_config": {"attributes": ["k"]},
        }
        client.post("/clusters", json=body).raise_for_status()

        run = execute(client, services)

        assert [c["label"] for c in run["centroids"]] == ["__missing__", "a"]


class TestUnusualInput:
    def test_executing_a_cluster_over_an_empty_collection_is_rejected(self, client: httpx.Client) -> None:
        put_documents(client, grouped_documents(3))
        create(client)
        client.request(
            "DELETE", "/collections/docs/documents/batch", json={"document_ids": ["d0000", "d0001", "d0002"]}
        )

        reply = client.post("/clusters/groups/execute")

        assert reply.status_code == 422
        assert reply.json()["error"]["details"]["field"] == "collection_ids"
        assert client.get("/clusters/groups/executions").json() is None

    def test_executing_a_cluster_over_one_document_is_rejected(self, client: httpx.Client) -> None:
        put_documents(client, grouped_documents(1))
        create(client)

        reply = client.post("/clusters/groups/execute")

        assert (reply.status_code, "one document" in reply.json()["error"]["message"]) == (422, True)

    @pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
    def test_equal_vectors_have_a_defined_result(self, client: httpx.Client, services: Services, method: str) -> None:
        same = [{**document, "vectors": {"v": [1.0] * 8}} for document in grouped_documents(12)]
        put_documents(client, same)
        create(client, method=method)

        run = execute(client, services)

        assert (run["status"], run["num_clusters"] <= 1) == ("completed", True)
        assert "NaN" not in client.get("/clusters/groups/executions").text
        assert run["metrics"]["silhouette_score"] is None

    def test_all_zero_vectors_are_excluded_counted_and_reported(self, client: httpx.Client, services: Services) -> None:
        documents = grouped_documents(30)
        documents[4]["vectors"]["v"] = [0.0] * 8
        put_documents(client, documents)
        create(client)

        run = execute(client, services)

        assert (run["num_points"], run["pipeline_drop"], run["source_documents"]) == (29, 1, 30)
        assert any("all-zero" in warning for warning in run["warnings"])

    def test_documents_without_the_vector_account_for_the_difference(
        self, client: httpx.Client, services: Services
    ) -> None:
        documents = grouped_documents(30)
        documents[4]["vectors"] = {}
        put_documents(client, documents)
        create(client)

        run = execute(client, services)

        assert (run["num_points"], run["index_gap"], run["source_documents"]) == (29, 1, 30)

    def test_insertion_order_of_documents_does_not_matter(self, client: httpx.Client, services: Services) -> None:
        documents = grouped_documents()
        put_documents(client, documents, "docs")
        put_documents(client, documents[::-1], "reversed")
        create(client)
        client.post("/clusters", json=vector_body(name="other", collection_ids=["reversed"])).raise_for_status()

        first, second = execute(client, services, "groups"), execute(client, services, "other")

        members = [
            client.post(f"/clusters/{ref}/data", headers={"Accept": "application/x-ndjson"}).text
            for ref in ("groups", "other")
        ]
        hidden = [text.replace(run["centroids"][0]["representative_ids"][0]["collection_id"], "") for text, run in
                  zip(members, (first, second), strict=True)]  # fmt: skip
        assert hidden[0] == hidden[1]

    def test_clusters_of_another_organisation_are_not_found(self, client: httpx.Client, stranger: httpx.Client) -> None:
        put_documents(client, grouped_documents(6))
        cluster = create(client)

        for path in ("", "/executions", "/groups", "/visualization", "/artifacts"):
            assert stranger.get(f"/clusters/{cluster['cluster_id']}{path}").status_code == 404
        assert stranger.post(f"/clusters/{cluster['cluster_id']}/execute").status_code == 404
        assert stranger.delete(f"/clusters/{cluster['cluster_id']}").status_code == 404
        assert client.get("/clusters/groups").status_code == 200
