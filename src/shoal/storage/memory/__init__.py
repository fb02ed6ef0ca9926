"""Stores in the memory of one process, for tests: with conflicts, and failures between two steps, on request."""
