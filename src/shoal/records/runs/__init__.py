"""Runs of clusters: executions, their plans, results and relabelings."""
