"""Data as callers of the library pass it, converted to columns."""
