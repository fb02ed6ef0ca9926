"""Tables of clusters say where each label comes from."""

import pyarrow as pa

from shoal.analysis.name_columns import NAME_COLUMNS, name_columns
from shoal.analysis.named_clusters import NamedCluster, Provenance


def cluster_with(summary: str | None, provenance: Provenance) -> NamedCluster:
    return NamedCluster(
        cluster_id="cl_0", label="Late trains", keywords=(), size=2, share=1.0, mean_similarity=1.0,
        min_similarity=1.0, medoid="a", representatives=("a",), summary=summary, provenance=provenance,
    )  # fmt: skip


def test_the_source_of_a_label_stands_beside_it() -> None:
    by_model = Provenance("model", "openai:small", 0.75, 0.5, ("a", "b"), None, {"mood": "angry"})
    failed = Provenance(error="The model did not answer.")
    rows = pa.table(name_columns([cluster_with("Trains are late.", by_model), cluster_with(None, failed)])).to_pylist()
    assert tuple(rows[0]) == NAME_COLUMNS
    assert list(rows[0].values()) == [
        "Trains are late.", "model", "openai:small", 0.75, 0.5, ["a", "b"], None, '{"mood":"angry"}',
    ]  # fmt: skip
    assert list(rows[1].values()) == [None, "words", None, None, None, [], "The model did not answer.", None]
