"""Nearest rows: exact search, k-nearest-neighbour lists and graphs, near-duplicates."""
