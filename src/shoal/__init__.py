"""Shoal: find the groups in embedded documents, name them, write them back, explore and trust them.

    shoal.cluster(df, text="body")          from a data frame, vectors or a file to named clusters, without a server
    shoal.load("shoal-out/reviews")         a clustering that was saved
    shoal.cluster(texts=["…", …])           the same from texts alone, which are encoded
    shoal.AutoCluster().fit(vectors)        the same methods as estimators of scikit-learn's kind
    shoal.Client("http://127.0.0.1:8000")   a running server

Nothing heavy is imported before one of these is used.
"""

from typing import TYPE_CHECKING

from shoal.errors import ShoalError

if TYPE_CHECKING:
    from shoal.client import Client
    from shoal.library.clustering import Clustering
    from shoal.library.estimators import HDBSCAN, AutoCluster, KMeans
    from shoal.library.facets import derive
    from shoal.library.from_python import cluster
    from shoal.library.loading import load
    from shoal.library.text_encoder import TextEncoder

    __version__: str

__all__ = ["HDBSCAN", "AutoCluster", "Client", "Clustering", "KMeans", "ShoalError", "TextEncoder", "__version__"]
__all__ += ["cluster", "derive", "load"]

_HOMES = {
    "AutoCluster": "shoal.library.estimators",
    "Client": "shoal.client",
    "Clustering": "shoal.library.clustering",
    "HDBSCAN": "shoal.library.estimators",
    "KMeans": "shoal.library.estimators",
    "TextEncoder": "shoal.library.text_encoder",
    "cluster": "shoal.library.from_python",
    "derive": "shoal.library.facets",
    "load": "shoal.library.loading",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("shoal")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shoal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
