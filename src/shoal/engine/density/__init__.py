"""Density-based clustering: core distances, spanning trees, condensed trees, outlier scores."""
