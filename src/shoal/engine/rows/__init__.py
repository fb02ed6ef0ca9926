"""Rows as the engine sees them: geometry, keys, exact sums, int8 codes."""
