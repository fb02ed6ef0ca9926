"""Clusters: their configuration, requests, groups, ids and labels."""
