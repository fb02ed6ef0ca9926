"""Descriptions of clusters: labels, centroids, quality, and matches between two clusterings."""
