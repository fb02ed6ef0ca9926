"""Calls as users write them, for type checkers: mypy checks this file with all others, `test_types.py` with pyright."""

from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

import shoal
from shoal.engine.cluster_probabilities import TopClusters
from shoal.library.clustering import Assignment


def clusters_of_data_frames(df: pd.DataFrame, pf: pl.DataFrame, lazy: pl.LazyFrame) -> None:
    assert_type(shoal.cluster(df), shoal.Clustering)
    shoal.cluster(df, vector="vec", text=["title", "body"], id="ticket")
    shoal.cluster(df["vec"], text=df["body"], id=df["ticket"])
    shoal.cluster(df[["vec"]], text=df["body"].tolist(), id=df.index)
    shoal.cluster(pf, text=pf["body"], id=pf["ticket"])
    shoal.cluster(lazy, text="body")
    shoal.cluster("tickets.csv", text="body", algorithm="hdbscan", min_cluster_size=30)
    shoal.cluster(Path("tickets.csv"), vector=np.eye(3), n_clusters=3)
    shoal.cluster(np.eye(3), text=["a", None, "c"], id=range(3))
    shoal.cluster({"vec": np.eye(3), "body": ["a", "b", "c"]})
    shoal.cluster([{"vec": [1.0, 2.0], "body": "a"}])


def what_a_clustering_gives(clustering: shoal.Clustering, df: pd.DataFrame) -> None:
    assert_type(clustering.to_pandas(), pd.DataFrame)
    assert_type(clustering.to_polars("clusters"), pl.DataFrame)
    assert_type(clustering.probabilities(), NDArray[np.float32])
    assert_type(clustering.probabilities(df, vector="vec"), NDArray[np.float32])
    assert_type(clustering.probabilities(top=3), TopClusters)
    assert_type(clustering.assign(df, vector="vec"), Assignment)
    assert_type(clustering.clusters[0].label, str)
    assert_type(clustering.clusters[0].examples, tuple[str, ...])
    assert_type(clustering.noise, int)
    clustering.over_time(df["opened"], bins="week")
    clustering.per_class(df["team"])


def what_estimators_give(df: pd.DataFrame) -> None:
    model = shoal.AutoCluster().fit(df["vec"], text=df["body"])
    assert_type(model, shoal.AutoCluster)
    assert_type(model.labels_, NDArray[np.int64])
    assert_type(model.cluster_names_, list[str])
    assert_type(model.predict(df["vec"]), NDArray[np.int64])
    assert_type(shoal.KMeans(3).fit_predict(df, text=df["body"]), NDArray[np.int64])
