"""Converts what callers of the library pass to columns."""
