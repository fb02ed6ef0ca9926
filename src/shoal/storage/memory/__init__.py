"""Stores that live in the memory of one process, for tests: optimistic, with conflicts and faults on request."""
