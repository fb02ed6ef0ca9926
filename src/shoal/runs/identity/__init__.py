"""Cluster ids that last from one run to the next."""
